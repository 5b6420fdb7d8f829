import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { loginUrl } from '../../src/postgres/logins.js';
import { migrate, readSchema } from '../../src/postgres/migrate.js';
import { setUp, setUpSql, type SetUpReport } from '../../src/postgres/set-up.js';
import {
  dataText,
  isUninstalled,
  planUninstall,
  uninstall,
  uninstallSql,
  uninstallText,
} from '../../src/regions/uninstall.js';
import { emptyDatabase, SCHEMAS, type GuestDatabase } from '../support/database.js';
import { makeOlderSchema } from '../support/older-schema.js';
import { portcullis, temporaryFolder, type Finished } from '../support/portcullis.js';

const made = await Promise.all(Array.from({ length: 9 }, () => emptyDatabase()));

/** A database of somebody else's, with tables, a role that has the name that ours would have, and grants. */
async function guestAt(index: number): Promise<GuestDatabase> {
  const guest = made[index];
  if (!guest) throw new Error('one database too few');
  await guest.owner.query(`
    create role "${guest.name}_worker" nologin;
    create table public.customers (id bigint generated always as identity primary key, name text not null);
    insert into public.customers (name) values ('Ann'), ('Bob');
    create view public.names as select name from public.customers;
    create function public.shout(name text) returns text language sql return upper(name);
    grant select on public.customers to "${guest.name}_worker";
    comment on table public.customers is 'theirs'`);
  return guest;
}

/** What a job's grants.sql gives. */
async function grantTables(owner: pg.Pool): Promise<void> {
  const { rows } = await owner.query<{ role: string }>('select role from portcullis_store.login');
  for (const { role } of rows)
    await owner.query(
      `grant usage on schema public to "${role}"; grant select, update on public.customers to "${role}"`,
    );
}

/** Catalogues that hold what a database consists of, and what of a row is not the same for the same object. */
const CATALOGUES: Readonly<Record<string, readonly string[]>> = {
  pg_namespace: [],
  pg_class: [
    'relfilenode',
    'relpages',
    'reltuples',
    'relallvisible',
    'relallfrozen',
    'relfrozenxid',
    'relminmxid',
  ],
  ...{
    pg_attribute: [],
    pg_attrdef: [],
    pg_proc: [],
    pg_type: [],
    pg_constraint: [],
    pg_index: [],
    pg_trigger: [],
  },
  ...{
    pg_rewrite: [],
    pg_policy: [],
    pg_extension: [],
    pg_publication: [],
    pg_event_trigger: [],
    pg_default_acl: [],
  },
  ...{
    pg_description: [],
    pg_db_role_setting: [],
    pg_depend: [],
    pg_shdepend: [],
    pg_sequence: [],
    pg_operator: [],
  },
  ...{ pg_cast: [], pg_collation: [], pg_language: [], pg_largeobject_metadata: [], pg_foreign_server: [] },
};

/** Everything that a database and its server know of it: each row of the catalogues, its roles with what hangs on them. */
async function everything({ owner, name }: GuestDatabase): Promise<Record<string, unknown>> {
  const known: Record<string, unknown> = {};
  for (const [catalogue, changing] of Object.entries(CATALOGUES)) {
    const own = catalogue === 'pg_shdepend' || catalogue === 'pg_db_role_setting';
    const where = own
      ? `where ${catalogue === 'pg_shdepend' ? 'dbid' : 'setdatabase'} = (select oid from pg_database where datname = current_database())`
      : '';
    const { rows } = await owner.query<{ row: unknown }>(
      `select (to_jsonb(c) - $1::text[])::text as row from ${catalogue} c ${where} order by 1`,
      [changing],
    );
    known[catalogue] = rows.map(({ row }) => row);
  }
  const { rows: roles } = await owner.query(
    `select to_jsonb(a) as role, shobj_description(a.oid, 'pg_authid') as comment,
       (select jsonb_agg(to_jsonb(m) order by m.oid) from pg_auth_members m where a.oid in (m.roleid, m.member)) as members,
       (select jsonb_agg(to_jsonb(s)) from pg_db_role_setting s where s.setrole = a.oid) as settings
     from pg_authid a where starts_with(rolname, $1) order by rolname`,
    [name],
  );
  const { rows: database } = await owner.query(
    `select datdba, datconnlimit, datacl::text, shobj_description(oid, 'pg_database') as comment from pg_database where datname = $1`,
    [name],
  );
  return { ...known, roles, database };
}

const planOf = (guest: Pick<GuestDatabase, 'owner'>, asDba = false, withData = true) => {
  const database = { name: 'control', owner: guest.owner };
  return planUninstall(database, { control: guest.owner, databases: [database] }, { asDba, withData });
};

describe('an uninstall', () => {
  test('leaves the catalogues as they were before the installation, and the rows of others', async () => {
    const guest = await guestAt(0);
    const before = await everything(guest);
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    await grantTables(guest.owner);
    await guest.owner.query(
      `insert into directory.organisation (id, name, home_region) values ('o', 'O', 'eu')`,
    );
    const plan = await planOf(guest);
    expect(plan).toMatchObject({ inUse: [], impossible: [] });
    expect(plan.schemas.map(({ name, job }) => [name, job])).toEqual([
      ...[
        ['portcullis_control', null],
        ['portcullis_region', null],
        ['portcullis_guard', null],
      ],
      ...[
        ['portcullis_store', null],
        ['directory', 'domain-claim'],
      ],
    ]);
    expect(plan.roles).toContain(`${guest.name}_worker_2`);
    expect(plan.roles).not.toContain(`${guest.name}_worker`);
    await uninstall(guest, plan);
    expect(await everything(guest)).toEqual(before);
    const { rows } = await guest.owner.query('select name from public.customers order by id');
    expect(rows).toEqual([{ name: 'Ann' }, { name: 'Bob' }]);
    expect(isUninstalled(await planOf(guest))).toBe(true);
    // It can be installed again.
    expect((await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} })).roles).toHaveLength(3);
  });

  test('leaves the tables that a job brought where nobody says that they may go, with no right of ours on them', async () => {
    const guest = await guestAt(6);
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    await guest.owner.query(`
      insert into directory.organisation (id, name, home_region) values ('o', 'O', 'eu'), ('p', 'P', 'eu');
      insert into portcullis_region.run (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
        values ('9f3c2a1b-0000-4000-8000-000000000000', 'j', '1.0.0_a', 'eu', now(), 'manual', 'succeeded', 'applied', 'x', 'w', now());
      insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq)
        values ('9f3c2a1b-0000-4000-8000-000000000000', 0, 1, 2, 2);
      insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
        select '9f3c2a1b-0000-4000-8000-000000000000', 0, n, 'r', 'k' || n, 'r', 'o', '{"a": "\\\\ \\n"}', '{"a": "b"}', '{}' from generate_series(1, 2) n`);
    const plan = await planOf(guest, false, false);
    expect(plan.schemas.map(({ name }) => name)).not.toContain('directory');
    expect(plan.journal).toEqual({ runs: 1, changes: 2 });
    const text = uninstallText(plan);
    expect(text).toContain(
      'the journal of 2 changes by 1 run, which can then never be restored; it is in no file: --journal FILE writes it to one first',
    );
    expect(text).toMatch(
      /stays \(--with-data drops it too\): schema directory: 6 tables, 2 rows, the tables of domain-claim: .*organisation 2 rows/,
    );
    expect(dataText(plan)).toBeUndefined();
    expect(dataText(await planOf(guest))).toBe('2 rows of directory (domain-claim)');
    // A file that is there already is nobody's to overwrite, and nothing is removed.
    const file = join(await temporaryFolder(), 'journal.jsonl');
    await writeFile(file, 'kept');
    await expect(uninstall(guest, plan, file)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(await readFile(file, 'utf8')).toBe('kept');
    expect((await planOf(guest)).journal.changes).toBe(2);
    await uninstall(guest, plan, `${file}.2`);
    const lines = (await readFile(`${file}.2`, 'utf8')).trimEnd().split('\n');
    const written = lines.map((line) => JSON.parse(line) as { table: string; row: Record<string, unknown> });
    expect(
      written.filter(({ table }) => table === 'change').map(({ row }) => [row['key'], row['before']]),
    ).toEqual([
      ['k1', { a: '\\ \n' }],
      ['k2', { a: '\\ \n' }],
    ]);
    expect(written.filter(({ table }) => table === 'run')).toHaveLength(1);
    const { rows } = await guest.owner.query(
      `select (select count(*) from directory.organisation) as kept, to_regnamespace('portcullis_region') is null as gone,
         (select count(*) from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'directory'::regnamespace
            and a.grantee not in (c.relowner, 0)) as rights`,
    );
    expect(rows).toEqual([{ kept: 2, gone: true, rights: 0 }]);
    expect(isUninstalled(await planOf(guest, false, false))).toBe(true);
    // They can still be dropped, and are named.
    expect(dataText(await planOf(guest))).toBe('2 rows of directory (domain-claim)');
  });

  test('leaves tables that a later installation takes up again, and a later uninstall drops', async () => {
    const guest = await guestAt(7);
    const { owner } = guest;
    const before = await everything(guest);
    const install = (): Promise<SetUpReport> => setUp({ owner, schemas: SCHEMAS, given: {} });
    const kept = async (): Promise<unknown> =>
      (
        await owner.query(
          `select obj_description('directory'::regnamespace, 'pg_namespace') as comment,
             (select array_agg(id) from directory.organisation) as ids`,
        )
      ).rows;
    const recorded = async (): Promise<unknown> =>
      (
        await owner.query(
          `select job, name, sha256, (select array_agg(name) from portcullis_store.job_schema s where s.job = m.job) as schemas
           from portcullis_store.job_migration m order by 1, 2`,
        )
      ).rows;
    const first = await install();
    await owner.query(`insert into directory.organisation (id, name, home_region) values ('o', 'O', 'eu');
      comment on schema directory is 'the directory''s own'`);
    const [rows, record] = [await kept(), await recorded()];
    for (const asDba of [false, true]) {
      const plan = await planOf(guest, asDba, false);
      await (asDba ? owner.query(uninstallSql(plan)) : uninstall(guest, plan));
      expect((await readSchema(owner, SCHEMAS)).standing).toBe('empty');
      const again = asDba ? await setUpSql({ owner, schemas: SCHEMAS, given: {} }) : '';
      if (asDba) await owner.query(again ?? '');
      else
        expect(await install()).toMatchObject({
          migrations: [
            ...first.migrations.filter((name) => !name.startsWith('job/')),
            'job/domain-claim/the tables that an uninstall left',
          ],
        });
      expect([await kept(), await recorded()]).toEqual([rows, record]);
      // A DBA's script has no passwords: the next start sets them.
      expect(await install()).toEqual({ migrations: [], roles: [], rights: asDba });
      const worker = guest.pool(await loginUrl(owner, guest.url, 'worker'));
      await worker.query(`update directory.organisation set name = 'P'`);
    }
    // Left once more, and dropped by an uninstall that finds nothing else.
    await uninstall(guest, await planOf(guest, false, false));
    await uninstall(guest, await planOf(guest));
    expect(await everything(guest)).toEqual(before);
  });

  test('leaves tables that are nobody’s any more where their mark was taken off, or one of several schemas is gone', async () => {
    const guest = await guestAt(8);
    const { owner } = guest;
    await setUp({ owner, schemas: SCHEMAS, given: {} });
    await uninstall(guest, await planOf(guest, false, false));
    const { rows } = await owner.query<{ mark: string }>(
      `select obj_description('directory'::regnamespace, 'pg_namespace') as mark`,
    );
    const mark = rows[0]?.mark ?? '';
    const remark = (text: string): Promise<unknown> =>
      owner.query(`comment on schema directory is '${text.replaceAll("'", "''")}'`);
    for (const other of [
      'theirs',
      mark.slice(0, -1),
      mark.replace('["directory"]', '["directory","gone"]'),
    ]) {
      await remark(other);
      await expect(migrate(owner, SCHEMAS)).rejects.toThrow(
        'there is a schema directory already, which the job did not make',
      );
    }
    await remark(mark.replace(/"sha256":"[0-9a-f]{4}/, '"sha256":"0000'));
    await expect(migrate(owner, SCHEMAS)).rejects.toMatchObject({ code: 'MIGRATION_CHANGED' });
  });

  test('of the SQL for a DBA does the same, also after an upgrade from the first release', async () => {
    const guest = await guestAt(1);
    await guest.owner.query(`drop owned by "${guest.name}_worker"; drop role "${guest.name}_worker"`);
    const before = await everything(guest);
    await makeOlderSchema(guest.owner, guest.name);
    await setUp({ owner: guest.owner, schemas: SCHEMAS, given: {} });
    await grantTables(guest.owner);
    await guest.owner.query(uninstallSql(await planOf(guest, true)));
    // The first release gave a right that every login has by default, in its own words.
    expect(await everything(guest)).toEqual({ ...before, database: expect.anything() });
  });

  test('is done by an owner with CREATEROLE who is no superuser', async () => {
    const guest = await guestAt(2);
    const role = `${guest.name}_owner`;
    await guest.owner.query(`
      create role "${role}" login createrole password 'owner';
      alter database "${guest.name}" owner to "${role}";
      alter table public.customers owner to "${role}"`);
    const url = new URL(guest.url);
    Object.assign(url, { username: role, password: 'owner' });
    const owner = guest.pool(url.toString());
    const before = await everything(guest);
    await setUp({ owner, schemas: SCHEMAS, given: {} });
    await grantTables(guest.owner);
    const plan = await planOf({ owner });
    expect(plan.impossible).toEqual([]);
    await uninstall({ owner }, plan);
    expect(await everything(guest)).toEqual(before);
  });

  test('names what is in use, and what somebody else made', async () => {
    const guest = await guestAt(3);
    const { owner } = guest;
    await setUp({ owner, schemas: SCHEMAS, given: {} });
    const worker = guest.pool(await loginUrl(owner, guest.url, 'worker'));
    await worker.query('select 1');
    await owner.query(`
      insert into portcullis_region.run (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
        values ('9f3c2a1b-0000-4000-8000-000000000000', 'j', '1.0.0_a', 'eu', now(), 'manual', 'applying', 'x', 'x', 'w', now());
      insert into portcullis_control.incident (id, job, cause, state, title, evidence, opened_by)
        values ('aaaaaaaa', 'j', 'manual', 'open', 'customers call', '[]', 'ann');
      insert into portcullis_control.incident_region (incident, region, since) values ('aaaaaaaa', 'eu', now());
      create view public.report as select id from directory.account;
      create table public.notes (account text references directory.account);
      create table public.kept ();
      alter table public.kept owner to "${guest.name}_worker_2"`);
    const { inUse, impossible } = await planOf(guest);
    expect(inUse).toEqual([
      '1 run is under way: portcullis stop --all',
      expect.stringMatching(/^test of .* is connected: end the process$|portcullis test of .* is connected/),
      'incident aaaaaaaa is not closed: customers call',
    ]);
    expect(impossible).toEqual([
      expect.stringMatching(/^constraint notes_account_fkey on table notes depends on .*account/),
      expect.stringMatching(/^rule _RETURN on view report depends on .*account/),
      `the role ${guest.name}_worker_2 owns table kept: give it to somebody else, or drop it`,
    ]);
  });
});

describe('portcullis uninstall', () => {
  const run = (args: readonly string[], env: Record<string, string>): Promise<Finished> =>
    portcullis(['uninstall', ...args], { env }).finished;

  test('shows what goes, asks, and removes a region’s database before the control database', async () => {
    const [control, region] = [await guestAt(4), await guestAt(5)];
    const before = [await everything(control), await everything(region)];
    const flags = await temporaryFolder();
    await writeFile(
      join(flags, 'domain-claim.yaml'),
      `job: domain-claim\nschedule: '0 3 * * *'\nregions: { eu: { database: PORTCULLIS_DATABASE_URL_EU } }\n`,
    );
    const env = {
      PORTCULLIS_HOME: await temporaryFolder(),
      PORTCULLIS_FLAGS: flags,
      PORTCULLIS_DATABASE_URL: control.url,
      PORTCULLIS_DATABASE_URL_EU: region.url,
    };
    expect(await portcullis(['migrate'], { env }).finished).toMatchObject({ code: 0 });
    const preview = await run(['-d', 'control', '--dry-run'], env);
    expect(preview.stdout).toContain('schema portcullis_control:');
    expect(preview.stdout).toContain(
      'PORTCULLIS_DATABASE_URL_EU holds regions that this database decides for',
    );
    expect(await run(['-d', 'control', '--yes'], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('UNINSTALL_REFUSED'),
    });
    const unasked = await run(['-d', 'PORTCULLIS_DATABASE_URL_EU'], env);
    expect(unasked).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('stays (--with-data drops it too): schema directory: 6 tables, 0 rows'),
    });
    const withData = await run(['-d', 'PORTCULLIS_DATABASE_URL_EU', '--with-data'], env);
    expect(withData).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('deletes 0 rows of directory (domain-claim), and cannot be undone'),
    });
    expect(await run(['-d', 'PORTCULLIS_DATABASE_URL_EU', '--with-data', '--yes'], env)).toMatchObject({
      code: 0,
      stdout: 'PORTCULLIS_DATABASE_URL_EU: removed\n',
    });
    const { rows } = await control.owner.query(
      `select principal, subject from portcullis_control.audit where action = 'uninstall'`,
    );
    expect(rows).toEqual([{ principal: 'system:uninstall', subject: 'PORTCULLIS_DATABASE_URL_EU' }]);
    expect(await run(['-d', 'control', '--with-data', '--yes', '--json'], env)).toMatchObject({ code: 0 });
    expect([await everything(control), await everything(region)]).toEqual(before);
    expect(await run(['-d', 'control', '--yes'], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nothing of Portcullis is there'),
    });
  });
});
