import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { migrate, readInstalled, readSchema, type JobSchema } from '../../src/postgres/migrate.js';
import { readSetUp, setUp, setUpSql } from '../../src/postgres/set-up.js';
import { DIRECTORY, emptyDatabase, SCHEMAS, type GuestDatabase } from '../support/database.js';
import { makeOlderSchema } from '../support/older-schema.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';

const OWN = ['control', 'region'] as const;
const TABLES = 'create schema shelf;\ncreate table shelf.book (id text primary key, title text not null);\n';
const MORE = 'alter table shelf.book add column lent boolean not null default false;\n';

const made = await Promise.all(Array.from({ length: 6 }, () => emptyDatabase()));

function database(index: number): GuestDatabase {
  const found = made[index];
  if (!found) throw new Error('one database too few');
  return found;
}

/** A job's migrations, by the names of their files. */
async function migrationsOf(
  files: Readonly<Record<string, string>>,
  schemas = ['shelf'],
): Promise<JobSchema> {
  const folder = join(await temporaryFolder(), 'migrations');
  await mkdir(folder);
  for (const [name, sql] of Object.entries(files)) await writeFile(join(folder, name), sql);
  return { job: 'library', folder: pathToFileURL(`${folder}/`), schemas };
}

async function schemasIn(owner: pg.Pool): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select nspname as name from pg_namespace where nspname !~ '^pg_|^information_schema$|^portcullis|^public$' order by 1`,
  );
  return rows.map(({ name }) => name);
}

async function ranIn(owner: pg.Pool): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select job || '/' || name as name from portcullis_store.job_migration order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** What each of our roles may do with a table, such as `worker insert`. */
async function rightsOn(owner: pg.Pool, table: string): Promise<string[]> {
  const { rows } = await owner.query<{ what: string }>(
    `select l.login || ' ' || p as what from portcullis_store.login l, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) p
     where has_table_privilege(l.role, $1, p) order by 1`,
    [table],
  );
  return rows.map(({ what }) => what);
}

describe('the migrations of a job', () => {
  const { owner } = database(0);

  test('run once, beside the platform’s own, and give its logins their rights', async () => {
    const library = await migrationsOf({ '001-tables.sql': TABLES });
    await setUp({ owner, schemas: OWN, given: {} });
    expect(await schemasIn(owner)).toEqual([]);
    const schemas = [...OWN, library];
    expect(await readSetUp({ owner, schemas, given: {} })).toMatchObject({
      migrations: ['job/library/001-tables.sql'],
    });
    expect(await setUp({ owner, schemas, given: {} })).toMatchObject({
      migrations: ['job/library/001-tables.sql'],
      rights: true,
    });
    expect(await setUp({ owner, schemas, given: {} })).toEqual({ migrations: [], roles: [], rights: false });
    expect(await ranIn(owner)).toEqual(['library/001-tables.sql']);
    expect(await readInstalled(owner)).toEqual([{ job: 'library', schemas: ['shelf'] }]);
    expect(await rightsOn(owner, 'shelf.book')).toEqual([
      ...[
        'guard select',
        'planner select',
        'worker delete',
        'worker insert',
        'worker select',
        'worker update',
      ],
    ]);
  });

  test('go on with those that are new, and a version before them still finds its tables', async () => {
    const later = await migrationsOf({ '001-tables.sql': TABLES, '002-lent.sql': MORE });
    expect(await migrate(owner, [...OWN, later])).toEqual(['job/library/002-lent.sql']);
    const earlier = await migrationsOf({ '001-tables.sql': TABLES });
    expect(await readSchema(owner, [earlier])).toMatchObject({ standing: 'current', missing: [] });
    expect(await migrate(owner, [earlier])).toEqual([]);
  });

  test('are refused where one that ran is another by now', async () => {
    const edited = await migrationsOf({ '001-tables.sql': `${TABLES}-- edited` });
    await expect(migrate(owner, [...OWN, edited])).rejects.toMatchObject({
      code: 'MIGRATION_CHANGED',
      message: expect.stringContaining('job/library/001-tables.sql'),
    });
  });

  test('are kept all or not at all, and the platform’s own are kept without them', async () => {
    const { owner: fresh } = database(1);
    const broken = await migrationsOf({ '001-tables.sql': TABLES, '002-broken.sql': 'select 1 / 0' });
    await expect(migrate(fresh, [...OWN, broken])).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: 'library: its migration job/library/002-broken.sql failed: division by zero',
    });
    expect(await schemasIn(fresh)).toEqual([]);
    expect(await readInstalled(fresh)).toEqual([]);
    expect(await readSchema(fresh, OWN)).toMatchObject({ standing: 'current' });
  });

  test('take no schema that somebody else made', async () => {
    const { owner: fresh } = database(1);
    await fresh.query('create schema shelf; create table shelf.theirs (id integer)');
    const library = await migrationsOf({ '001-more.sql': 'create table shelf.book (id text)' });
    await expect(migrate(fresh, [library])).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining('there is a schema shelf already, which the job did not make'),
    });
    expect(await readInstalled(fresh)).toEqual([]);
  });

  test.each([
    [{ 'tables.sql': TABLES }, 'has tables.sql; each file is named by a number of its own'],
    [{ '001-a.sql': TABLES, '001-b.sql': MORE }, 'has 001-b.sql; each file is named by a number of its own'],
    [{}, 'has no file such as 001-tables.sql'],
  ])('%j is no folder of migrations', async (files, why) => {
    await expect(migrate(owner, [await migrationsOf(files)])).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(why),
    });
  });

  test('stand in the SQL for a DBA, with the rights on what they make', async () => {
    const { owner: fresh } = database(2);
    const library = await migrationsOf({ '001-tables.sql': TABLES });
    const schemas = [...OWN, library];
    const sql = (await setUpSql({ owner: fresh, schemas, given: {} })) ?? '';
    await fresh.query(sql);
    expect(await ranIn(fresh)).toEqual(['library/001-tables.sql']);
    expect(await rightsOn(fresh, 'shelf.book')).toContain('worker update');
    expect((await readSetUp({ owner: fresh, schemas, given: {} })).migrations).toEqual([]);
  });
});

test('a database of the first release has its directory as domain-claim’s, with all that it held', async () => {
  const { owner, name } = database(3);
  await makeOlderSchema(owner, name);
  await owner.query(
    `insert into directory.account (id, email, email_verified, home_region) values ('a1', 'ann@BÜCHER.de', true, 'eu')`,
  );
  expect(await readInstalled(owner)).toEqual([{ job: 'domain-claim', schemas: ['directory'] }]);
  // A process that knows no such job upgrades what is Portcullis' own.
  await migrate(owner, OWN);
  expect(await readSchema(owner, OWN)).toMatchObject({ standing: 'current' });
  expect(await ranIn(owner)).toEqual(['domain-claim/001-directory.sql', 'domain-claim/002-product-use.sql']);
  const { migrations } = await setUp({ owner, schemas: SCHEMAS, given: {} });
  expect(migrations[0]).toBe('job/domain-claim/003-host-names.sql');
  const { rows } = await owner.query('select id, email_domain from directory.account');
  expect(rows).toEqual([{ id: 'a1', email_domain: 'xn--bcher-kva.de' }]);
  expect(await rightsOn(owner, 'directory.account')).toContain('worker update');
  expect(await readSchema(owner, [DIRECTORY])).toMatchObject({ standing: 'current' });
});

describe('portcullis migrate', () => {
  const control = database(4);
  const region = database(5);
  let env: Record<string, string> = {};

  beforeAll(async () => {
    const flags = await temporaryFolder();
    await writeFile(
      join(flags, 'domain-claim.yaml'),
      `job: domain-claim\nschedule: '0 3 * * *'\nregions: { eu: { database: PORTCULLIS_DATABASE_URL_EU } }\n`,
    );
    env = {
      PORTCULLIS_HOME: await temporaryFolder(),
      PORTCULLIS_FLAGS: flags,
      PORTCULLIS_DATABASE_URL: control.url,
      PORTCULLIS_DATABASE_URL_EU: region.url,
    };
  });

  test('makes a job’s tables where its policy has regions, and in no other database', async () => {
    const printed = await portcullis(['migrate', '--sql'], { env }).finished;
    expect(printed.stderr).toBe('');
    const [before = '', after = ''] = printed.stdout.split('-- PORTCULLIS_DATABASE_URL_EU');
    expect(before).not.toContain('create table directory');
    expect(after).toContain('-- job/domain-claim/001-directory.sql');
    expect(await portcullis(['migrate'], { env }).finished).toMatchObject({ code: 0, stderr: '' });
    expect(await schemasIn(control.owner)).toEqual([]);
    expect(await schemasIn(region.owner)).toEqual(['directory']);
    const again = await portcullis(['migrate'], { env }).finished;
    expect(again.stdout).toBe('control: nothing to do\nPORTCULLIS_DATABASE_URL_EU: nothing to do\n');
    expect(await portcullis(['migrate', '--sql'], { env }).finished).toMatchObject({
      stdout: expect.not.stringContaining('create'),
    });
  });

  test('goes on with a job’s tables where they are, whatever the policies say since', async () => {
    await region.owner.query(
      `delete from portcullis_store.job_migration where name = '003-host-names.sql';
       drop function directory.email_domain(text) cascade; drop function directory.host_name(text);
       alter table directory.account add column email_domain text;
       create index account_by_domain on directory.account (email_domain)`,
    );
    const elsewhere = { ...env, PORTCULLIS_FLAGS: await temporaryFolder() };
    await writeFile(
      join(elsewhere.PORTCULLIS_FLAGS, 'domain-claim.yaml'),
      `job: domain-claim\nschedule: '0 3 * * *'\nregions: [us]\n`,
    );
    const { stdout, stderr } = await portcullis(['migrate', '--json'], { env: elsewhere }).finished;
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      databases: [
        { database: 'control', migrations: expect.arrayContaining(['job/domain-claim/001-directory.sql']) },
        { database: 'PORTCULLIS_DATABASE_URL_EU', migrations: ['job/domain-claim/003-host-names.sql'] },
      ],
    });
  });
});
