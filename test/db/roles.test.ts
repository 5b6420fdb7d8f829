import { beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { loginUrl, provisionLogins } from '../../src/postgres/logins.js';
import { migrate } from '../../src/postgres/migrate.js';
import { scramVerifier } from '../../src/postgres/logins.js';
import { readSetUp, setUp, setUpSql } from '../../src/postgres/set-up.js';
import { emptyDatabase, type GuestDatabase } from '../support/database.js';
import { makeOlderSchema } from '../support/older-schema.js';

const SCHEMAS = ['control', 'region'] as const;

/** All that a server knows of a role, and what the database lets everybody do. */
async function footprint({ owner, name }: GuestDatabase, role: string): Promise<unknown> {
  const { rows } = await owner.query(
    `select to_jsonb(a) as authid, shobj_description(a.oid, 'pg_authid') as comment,
       (select jsonb_agg(to_jsonb(m) order by m.roleid, m.member, m.grantor) from pg_auth_members m where a.oid in (m.roleid, m.member)) as members,
       (select jsonb_agg(to_jsonb(s)) from pg_db_role_setting s where s.setrole = a.oid) as settings,
       (select count(*) from pg_shdepend d where d.refobjid = a.oid and d.classid <> 'pg_auth_members'::regclass) as rights,
       (select datacl::text from pg_database where datname = $2) as acl
     from pg_authid a where rolname = $1`,
    [role, name],
  );
  return rows[0];
}

function urlAs({ url }: GuestDatabase, role: string, password: string): string {
  const at = new URL(url);
  at.username = role;
  at.password = password;
  return at.toString();
}

async function asked(url: string, sql = 'select current_user as said'): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ said: string }>(sql);
    return rows[0]?.said;
  } finally {
    await client.end();
  }
}

describe('on a database of somebody else, with a superuser', () => {
  test('roles that have our names are left alone, as are their grants and the rights of PUBLIC', async () => {
    const guest = await emptyDatabaseNow(0);
    const role = `${guest.name}_worker`;
    await guest.owner.query(`
      create role "${guest.name}_friends" nologin;
      create role "${role}" login password 'their own' connection limit 7 in role "${guest.name}_friends";
      alter role "${role}" set work_mem = '8MB'`);
    const before = await footprint(guest, role);
    await migrate(guest.owner, SCHEMAS);
    expect(await provisionLogins(guest.owner)).toBe(true);
    expect(await footprint(guest, role)).toEqual(before);
    expect(await asked(urlAs(guest, role, 'their own'))).toBe(role);
    const url = await loginUrl(guest.owner, guest.url, 'worker');
    expect(await asked(url)).toBe(`${guest.name}_worker_2`);
    // The second time there is nothing to do, and nothing is done.
    expect(await provisionLogins(guest.owner)).toBe(false);
    expect(await loginUrl(guest.owner, guest.url, 'worker')).toBe(url);
  });

  test('a copy of a database gets roles of its own, and takes none of the other', async () => {
    const guest = await emptyDatabaseNow(1);
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    const copy = await emptyDatabaseNow(2);
    await setUp({ owner: copy.owner, schemas: SCHEMAS, given: {} });
    // As a dump of the first that was restored into the second.
    const { rows } = await guest.owner.query<Record<string, string>>('select * from portcullis_store.login');
    await copy.owner.query('delete from portcullis_store.login');
    for (const { login, role, password, mark } of rows) {
      await copy.owner.query(
        'insert into portcullis_store.login (login, role, password, mark) values ($1, $2, $3, $4)',
        [...[login, role, password, mark]],
      );
    }
    const before = await footprint(guest, `${guest.name}_worker`);
    await provisionLogins(copy.owner);
    expect(await footprint(guest, `${guest.name}_worker`)).toEqual(before);
    expect(await asked(await loginUrl(copy.owner, copy.url, 'worker'))).toBe(`${copy.name}_worker_2`);
  });

  test('roles of a version that set no marks are adopted with a new password, unless somebody else uses them', async () => {
    const guest = await emptyDatabaseNow(3);
    const { worker, planner } = await makeOlderSchema(guest.owner, guest.name);
    await guest.owner.query(
      `create role "${guest.name}_other" nologin; grant "${guest.name}_other" to "${planner}"`,
    );
    const before = await footprint(guest, planner ?? '');
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    expect(await footprint(guest, planner ?? '')).toEqual(before);
    expect(await asked(await loginUrl(guest.owner, guest.url, 'worker'))).toBe(worker);
    expect(await asked(await loginUrl(guest.owner, guest.url, 'planner'))).toBe(`${guest.name}_planner_2`);
    await expect(asked(urlAs(guest, worker ?? '', 'old'))).rejects.toMatchObject({ code: '28P01' });
  });

  test('no password stands in a statement or its parameters, and the logins have limits', async () => {
    const guest = await emptyDatabaseNow(4);
    const sent: unknown[] = [];
    guest.owner.on('connect', (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      client.query = ((...args: unknown[]) => {
        sent.push(args.filter((each) => typeof each !== 'function'));
        return query(...args);
      }) as typeof client.query;
    });
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    for (const login of ['worker', 'planner'] as const) {
      const { password } = new URL(await loginUrl(guest.owner, guest.url, login));
      expect(password).toMatch(/^[0-9a-f]{64}$/);
      expect(JSON.stringify(sent)).not.toContain(password);
    }
    expect(JSON.stringify(sent)).toContain('SCRAM-SHA-256$4096:');
    const { rows } = await guest.owner.query<{ all: number; ours: number }>(
      `select current_setting('max_connections')::integer as all,
         (select sum(rolconnlimit) from pg_roles where rolname in ($1, $2))::integer as ours`,
      [`${guest.name}_worker`, `${guest.name}_planner`],
    );
    expect(rows[0]?.ours).toBeGreaterThan(0);
    expect(rows[0]?.ours).toBeLessThan(0.81 * (rows[0]?.all ?? 0));
  });
});

describe('for an owner without CREATEROLE', () => {
  let guest: GuestDatabase;
  let owner: pg.Pool;
  let role = '';
  beforeAll(async () => {
    guest = await emptyDatabaseNow(5);
    role = `${guest.name}_owner`;
    await guest.owner.query(`
      create role "${role}" login password 'owner';
      alter database "${guest.name}" owner to "${role}"`);
    owner = guest.pool(urlAs(guest, role, 'owner'));
  });

  test('what is missing is said with where its SQL is, and no role is made', async () => {
    await expect(setUp({ owner, schemas: SCHEMAS, given: {} })).rejects.toMatchObject({
      code: 'ROLES_MISSING',
      message: expect.stringContaining(`${guest.name}_worker`),
      hint: expect.stringContaining('portcullis migrate --sql'),
    });
    const { rows } = await guest.owner.query('select from pg_roles where starts_with(rolname, $1)', [
      `${guest.name}_`,
    ]);
    expect(rows).toHaveLength(1);
  });

  test("a DBA runs the SQL; with the logins' URLs there is nothing left to do", async () => {
    const sql = (await setUpSql({ owner, schemas: SCHEMAS, given: {} })) ?? '';
    expect(sql).not.toMatch(/password '/i);
    expect(sql).toContain(`\\password ${guest.name}_worker`);
    await guest.owner.query(sql);
    for (const login of ['worker', 'planner']) {
      // What psql's \password sends.
      await guest.owner.query(
        `alter role "${guest.name}_${login}" password '${scramVerifier(`${login}'s`)}'`,
      );
    }
    const given = {
      worker: urlAs(guest, `${guest.name}_worker`, "worker's"),
      planner: urlAs(guest, `${guest.name}_planner`, "planner's"),
    };
    expect(await readSetUp({ owner, schemas: SCHEMAS, given })).toEqual({
      migrations: [],
      roles: [],
      rights: false,
    });
    expect(await setUpSql({ owner, schemas: SCHEMAS, given })).toBeUndefined();
    expect(await loginUrl(owner, guest.url, 'worker', given)).toBe(given.worker);
    expect(await asked(given.worker, 'select count(*)::text as said from portcullis_region.gate')).toBe('0');
    const { rows } = await guest.owner.query<{ owner: string }>(
      `select distinct tableowner as owner from pg_tables where schemaname ~ '^portcullis|^directory'`,
    );
    expect(rows).toEqual([{ owner: role }]);
  });
});

describe('for an owner with CREATEROLE who is no superuser', () => {
  test('the roles are made, and the owner may end the connections of the worker', async () => {
    const guest = await emptyDatabaseNow(6);
    const role = `${guest.name}_owner`;
    await guest.owner.query(`
      create role "${role}" login createrole password 'owner';
      alter database "${guest.name}" owner to "${role}"`);
    const url = urlAs(guest, role, 'owner');
    const owner = guest.pool(url);
    await setUp({ owner, schemas: SCHEMAS, given: {} });
    expect(await readSetUp({ owner, schemas: SCHEMAS, given: {} })).toMatchObject({ rights: false });
    const worker = new pg.Client({ connectionString: await loginUrl(owner, url, 'worker') });
    worker.on('error', () => undefined);
    await worker.connect();
    const { rows } = await worker.query<{ pid: number }>('select pg_backend_pid() as pid');
    const ended = await owner.query<{ done: boolean }>('select pg_terminate_backend($1) as done', [
      rows[0]?.pid,
    ]);
    expect(ended.rows).toEqual([{ done: true }]);
    await worker.end().catch(() => undefined);
  });
});

// A file's databases are asked for at its top level, where their ends can be registered.
const made = await Promise.all(Array.from({ length: 7 }, () => emptyDatabase()));

function emptyDatabaseNow(index: number): Promise<GuestDatabase> {
  const database = made[index];
  if (!database) throw new Error('one database too few');
  return Promise.resolve(database);
}
