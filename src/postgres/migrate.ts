import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import pg from 'pg';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { faultPoint } from '../kernel/fault-point.js';
import { readLeft, takeUpSql, type LeftTables, type RanFile } from './left-schemas.js';
import { LOCKS } from './locks.js';
import { inTransaction, isUnreachable } from './pool.js';

/** Both from `src/postgres/` and from `dist/postgres/` the SQL stands at the same place. */
const FOLDER = new URL('../../src/postgres/migrations/', import.meta.url);

/** The migrations that a job brings, in a folder of its own, and the schemas that they make. */
export interface JobSchema {
  readonly job: string;
  readonly folder: URL;
  /** Nothing else is in them: the job's logins may read and write all of it, and `uninstall --with-data` drops them. */
  readonly schemas: readonly string[];
}

/** What a database holds: of Portcullis' own, in the embedded default, both; and the tables of jobs. */
export type SchemaKind = 'control' | 'region' | JobSchema;

export interface Migration {
  /** `region/001-runs.sql`, or `job/domain-claim/001-directory.sql`. */
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
  /** Whose it is; absent: Portcullis' own. */
  readonly of?: JobSchema;
  /** It makes nothing, and records tables that an uninstall left. */
  readonly takesUp?: LeftTables;
}

/** Migrations that ran as the platform's own, and are a job's since region/037-job-migrations.sql, which has the same list. */
const MOVED: ReadonlyMap<string, string> = new Map([
  ['region/002-directory.sql', 'job/domain-claim/001-directory.sql'],
  ['region/008-product-use.sql', 'job/domain-claim/002-product-use.sql'],
  ['region/022-host-names.sql', 'job/domain-claim/003-host-names.sql'],
]);

/** How a database's schema stands to this program's. */
export interface Schema {
  /** `empty`: never migrated. `changed`: a migration ran that differs from this program's of the same name. */
  readonly standing: 'empty' | 'older' | 'current' | 'newer' | 'changed';
  /** Migrations of this program that have not run, in order. */
  readonly missing: readonly Migration[];
  /** Names of migrations that ran and that this program does not know, or knows otherwise. */
  readonly unknown: readonly string[];
}

/** How long to wait for the lock of whoever migrates a database or changes its roles, and for the locks that a migration's statements need. */
const LOCK_MS = 15_000;

const BOOTSTRAP = `
create schema if not exists portcullis_store;
create table if not exists portcullis_store.migration (
  name   text primary key,
  sha256 text not null,
  ran_at timestamptz not null default clock_timestamp()
);`;

/** Reads how a database's schema stands to this program's. Writes nothing and waits for no lock. */
export async function readSchema(
  database: pg.Pool | pg.PoolClient,
  schemas: readonly SchemaKind[],
): Promise<Schema> {
  const wanted = (await Promise.all(schemas.map(readMigrations))).flat();
  const prefixes = schemas.map((each) => `${nameOf(each)}/`);
  const past = (await readPast(database)).filter(({ name }) =>
    prefixes.some((prefix) => name.startsWith(prefix)),
  );
  const jobs = schemas.flatMap((each) => (typeof each === 'string' ? [] : [each]));
  const left = jobs.length === 0 ? [] : await readLeft(database);
  const takingUp = jobs.flatMap((of) => {
    const prefix = `${nameOf(of)}/`;
    const found = left.find(({ job }) => job === of.job);
    if (found === undefined || past.some(({ name }) => name.startsWith(prefix))) return [];
    return [{ name: `${prefix}the tables that an uninstall left`, sql: '', sha256: '', of, takesUp: found }];
  });
  const ran = takingUp.flatMap(({ takesUp, of }) =>
    takesUp.ran.map(({ name, sha256 }) => ({ name: `${nameOf(of)}/${name}`, sha256 })),
  );
  const schema = compareSchema([...past, ...ran], wanted);
  if (takingUp.length === 0 || schema.unknown.length > 0) return schema;
  const standing = past.length === 0 ? 'empty' : 'older';
  // Behind Portcullis' own, which make the record.
  const own = schema.missing.filter(({ of }) => of === undefined);
  const theirs = schema.missing.filter(({ of }) => of !== undefined);
  return { standing, missing: [...own, ...takingUp, ...theirs], unknown: [] };
}

/** What ran on a database, by today's names. */
async function readPast(database: pg.Pool | pg.PoolClient): Promise<RanFile[]> {
  const { rows: there } = await database.query<{ own: boolean; jobs: boolean }>(
    `select to_regclass('portcullis_store.migration') is not null as own,
       to_regclass('portcullis_store.job_migration') is not null as jobs`,
  );
  const { own = false, jobs = false } = there[0] ?? {};
  const queries = [
    ...(own ? ['select name, sha256 from portcullis_store.migration'] : []),
    ...(jobs ? [`select 'job/' || job || '/' || name, sha256 from portcullis_store.job_migration`] : []),
  ];
  if (queries.length === 0) return [];
  const { rows } = await database.query<RanFile>(`${queries.join(' union all ')} order by 1`);
  return rows.map((row) => ({ ...row, name: MOVED.get(row.name) ?? row.name }));
}

/** A job with migrations that ran on a database, and the schemas that they made there. */
export interface InstalledSchema {
  readonly job: string;
  readonly schemas: readonly string[];
}

/** The migrations of a job that ran on a database, by the names of their files. */
export async function ranOf(database: pg.Pool, job: string): Promise<RanFile[]> {
  const prefix = `job/${job}/`;
  return (await readPast(database)).flatMap(({ name, sha256 }) =>
    name.startsWith(prefix) ? [{ name: name.slice(prefix.length), sha256 }] : [],
  );
}

/** The jobs whose tables a database has, whether this program knows their code or not. */
export async function readInstalled(database: pg.Pool | pg.PoolClient): Promise<InstalledSchema[]> {
  const { rows: there } = await database.query<{ recorded: boolean }>(
    `select to_regclass('portcullis_store.job_schema') is not null as recorded`,
  );
  if (there[0]?.recorded === true) {
    const { rows } = await database.query<InstalledSchema>(
      `select job, array_agg(name order by name) as schemas from portcullis_store.job_schema group by job order by job`,
    );
    return rows;
  }
  // Before that record there was one.
  const past = await readPast(database);
  return past.some(({ name }) => name === 'job/domain-claim/001-directory.sql')
    ? [{ job: 'domain-claim', schemas: ['directory'] }]
    : [];
}

function nameOf(schema: SchemaKind): string {
  return typeof schema === 'string' ? schema : `job/${schema.job}`;
}

function compareSchema(past: readonly RanFile[], wanted: readonly Migration[]): Schema {
  const known = new Map(wanted.map(({ name, sha256 }) => [name, sha256]));
  const done = new Set(past.map(({ name }) => name));
  const missing = wanted.filter(({ name }) => !done.has(name));
  // While a job's next version is rolled out, the one before runs on its tables too: they are looked at when it is loaded.
  const strangers = past
    .filter(({ name }) => !known.has(name) && !name.startsWith('job/'))
    .map(({ name }) => name);
  const changed = past
    .filter(({ name, sha256 }) => known.has(name) && known.get(name) !== sha256)
    .map(({ name }) => name);
  if (changed.length > 0) return { standing: 'changed', missing, unknown: changed };
  if (strangers.length > 0) return { standing: 'newer', missing, unknown: strangers };
  const standing = missing.length === 0 ? 'current' : past.length === 0 ? 'empty' : 'older';
  return { standing, missing, unknown: [] };
}

/**
 * Brings a database to this program's schema, each migration once: Portcullis' own in one transaction, and those of each
 * job in another. Answers the names of those that ran now; where there are none, nothing was written and no lock was
 * asked for. Throws DATABASE_NEWER, MIGRATION_CHANGED, MIGRATION_LOCKED where somebody holds a lock that it needs, and
 * JOB_INVALID for a job's migration that fails.
 */
export async function migrate(
  pool: pg.Pool,
  schemas: readonly SchemaKind[],
  lockMs: number = LOCK_MS,
): Promise<string[]> {
  const own = schemas.filter((each) => typeof each === 'string');
  const ran: string[] = [];
  for (const part of [own, ...schemas.filter((each) => typeof each !== 'string').map((job) => [job])]) {
    if (part.length > 0) ran.push(...(await migratePart(pool, part, lockMs)));
  }
  return ran;
}

async function migratePart(
  pool: pg.Pool,
  schemas: readonly SchemaKind[],
  lockMs: number,
): Promise<readonly string[]> {
  if (toMigrate(await readSchema(pool, schemas)).length === 0) return [];
  return underMigrationLock(pool, lockMs, async (client) => {
    const missing = toMigrate(await readSchema(client, schemas));
    await client.query(BOOTSTRAP);
    for (const [at, migration] of missing.entries()) {
      await client.query(stepOf(missing, at)).catch((error: unknown) => {
        throw failedOf(migration, error);
      });
    }
    return missing.map(({ name }) => name);
  });
}

function failedOf({ name, of }: Migration, error: unknown): unknown {
  if (of === undefined || (error as { code?: unknown }).code === LOCK_NOT_AVAILABLE || isUnreachable(error))
    return error;
  return new PortcullisError('JOB_INVALID', `${of.job}: its migration ${name} failed: ${messageOf(error)}`, {
    hint: 'nothing of the job’s migrations was kept; correct the SQL, which runs in one transaction as the owner',
    details: { job: of.job, migration: name },
    cause: error,
  });
}

/** The SQL that runs these migrations and records them. */
export function migrationScript(missing: readonly Migration[]): string {
  return `${BOOTSTRAP.trim()}\n\n${missing.map((_, at) => stepOf(missing, at)).join('\n')}`;
}

/** The SQL of one of these migrations, and of its record. */
function stepOf(missing: readonly Migration[], at: number): string {
  const { name, sql, sha256, of, takesUp } = missing[at] ?? { name: '', sql: '', sha256: '' };
  if (takesUp !== undefined) return `-- ${name}\n${takeUpSql(takesUp)}`;
  if (of === undefined) {
    return `-- ${name}\n${sql.trimEnd()}\ninsert into portcullis_store.migration (name, sha256) values ('${name}', '${sha256}');\n`;
  }
  const job = pg.escapeLiteral(of.job);
  const file = pg.escapeLiteral(name.slice(nameOf(of).length + 1));
  const first = missing.findIndex((each) => each.of?.job === of.job) === at;
  return `${first ? reserveSchemas(of) : ''}-- ${name}\n${sql.trimEnd()}\n;\ninsert into portcullis_store.job_migration (job, name, sha256) values (${job}, ${file}, '${sha256}');\n`;
}

/** A schema that somebody else made is no job's: its logins would get rights there, and an uninstall could drop it. */
function reserveSchemas({ job, schemas }: JobSchema): string {
  const names = `array[${schemas.map((each) => pg.escapeLiteral(each)).join(', ')}]::text[]`;
  return `-- The schemas of ${job}
do $schemas$
declare
  taken text := (select string_agg(nspname, ', ' order by nspname) from pg_namespace
    where nspname = any (${names}) and nspname not in (select name from portcullis_store.job_schema where job = ${pg.escapeLiteral(job)}));
begin
  if taken is not null then
    raise exception 'there is a schema % already, which the job did not make', taken;
  end if;
end $schemas$;
insert into portcullis_store.job_schema (name, job) select name, ${pg.escapeLiteral(job)} from unnest(${names}) name on conflict do nothing;
`;
}

/** The migrations to run. Throws where this program must leave the database alone. */
export function toMigrate({ standing, missing, unknown }: Schema): readonly Migration[] {
  const [first = ''] = unknown;
  if (standing === 'newer') {
    throw new PortcullisError(
      'DATABASE_NEWER',
      `the database has migration ${first}, which this program does not know`,
      { hint: 'run the newer Portcullis, or restore the database from before it' },
    );
  }
  if (standing === 'changed') {
    throw new PortcullisError(
      'MIGRATION_CHANGED',
      `migration ${first} is not the one that ran on this database`,
      { hint: 'restore the file as it was released; changes belong in a new migration' },
    );
  }
  return missing;
}

/** Throws where a command that writes must not write: the schema is not this program's. */
export function requireCurrent(schema: Schema, database: string): void {
  if (toMigrate(schema).length > 0) throw outdated(schema, database);
}

/** The error for a database whose schema is not there, or older than this program's. */
export function outdated({ standing, missing }: Schema, database: string): PortcullisError {
  const message =
    standing === 'empty'
      ? `${database}: the database has no Portcullis schema`
      : `${database}: the database lacks ${missing.length} of this program's migrations, ${missing[0]?.name ?? ''} first`;
  return new PortcullisError('DATABASE_OUTDATED', message, {
    hint: 'run portcullis migrate (with --sql it prints the SQL instead); or check that the URL names the database that you mean',
    details: { database, missing: missing.map(({ name }) => name) },
  });
}

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Runs `work` in a transaction that holds the migrations' lock, and waits for no lock longer than `lockMs`.
 * Throws MIGRATION_LOCKED with who is in the way.
 */
export async function underMigrationLock<T>(
  pool: pg.Pool,
  lockMs: number,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  try {
    return await inTransaction(pool, async (client) => {
      await client.query(`set local lock_timeout = ${Math.max(1, Math.round(lockMs))}`);
      await client.query('select pg_advisory_xact_lock($1)', [LOCKS.migration]);
      await faultPoint('migrate.locked');
      return work(client);
    });
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
    throw await lockedBy(pool, lockMs, error);
  }
}

interface Holder {
  readonly pid: number;
  readonly application: string;
  readonly role: string | null;
  readonly state: string | null;
}

/** Sessions that hold the migrations' lock, or else a table of ours, in the mode $2 or, where that is null, in any. */
const HOLDERS = `
  with held as (
    select pid, locktype = 'advisory' as ours
    from pg_locks
    where granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
      and ((locktype = 'advisory' and classid = 0 and objid = $1 and objsubid = 1)
        or (locktype = 'relation' and relation in (
              select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname like 'portcullis\\_%' or n.nspname = any ($3))
            and ($2::text is null or mode = $2)))
  )
  select distinct pid, application_name as application, usename as role, state
  from held join pg_stat_activity using (pid)
  where ours or not exists (select from held where ours)
  order by pid limit 5`;

async function lockedBy(pool: pg.Pool, lockMs: number, cause: unknown): Promise<PortcullisError> {
  const { who, ...how } = await holdersOf(pool, null);
  return new PortcullisError(
    'MIGRATION_LOCKED',
    `nothing was changed: a lock that it needs was not free within ${lockMs / 1_000} s; ${who}`,
    { ...how, cause },
  );
}

/**
 * What came of reading a table that somebody had locked, with who that is: DATABASE_LOCKED in place of the database's
 * own words. Any other error is answered as it is.
 */
export async function lockedOut(pools: readonly pg.Pool[], error: unknown): Promise<unknown> {
  if ((error as { code?: unknown } | null)?.code !== LOCK_NOT_AVAILABLE) return error;
  const asked = await Promise.all(pools.map((pool) => holdersOf(pool, 'AccessExclusiveLock')));
  const found = asked.find(({ details }) => details.holders.length > 0) ?? asked[0];
  if (found === undefined) return error;
  const { who, ...how } = found;
  return new PortcullisError('DATABASE_LOCKED', `a table of Portcullis is locked; ${who}`, {
    ...how,
    cause: error,
  });
}

async function holdersOf(pool: pg.Pool, mode: string | null) {
  const installed = await readInstalled(pool).catch(() => []);
  const { rows } = await pool
    .query<Holder>(HOLDERS, [LOCKS.migration, mode, installed.flatMap(({ schemas }) => schemas)])
    .catch((): { rows: Holder[] } => ({ rows: [] }));
  const who = rows.map(
    ({ pid, application, role, state }) =>
      `process ${pid} of the server (application_name ${application === '' ? 'not set' : `"${application}"`}, role ${role ?? 'unknown'}, ${state ?? 'state unknown'})`,
  );
  return {
    who: who.length === 0 ? 'its holder is gone by now' : `held by ${who.join('; ')}`,
    hint:
      rows[0] === undefined
        ? 'try again'
        : `wait until that session ends, or end it: select pg_terminate_backend(${rows[0].pid})`,
    details: { holders: rows },
  };
}

const JOB_FILE = /^\d{3}-[a-z0-9-]+\.sql$/;

/** This program's migrations of a schema, in order. Throws JOB_INVALID for a job's folder that is not one of migrations. */
export async function readMigrations(schema: SchemaKind): Promise<Migration[]> {
  const own = typeof schema === 'string';
  const folder = own ? new URL(`${schema}/`, FOLDER) : schema.folder;
  const names = await readdir(folder).catch((error: unknown) => {
    if (own) throw error;
    throw folderFault(schema, `cannot be read: ${messageOf(error)}`);
  });
  const files = names.filter((file) => file.endsWith('.sql')).sort();
  if (!own) requireOrder(schema, files);
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, folder), 'utf8');
      const sha256 = createHash('sha256').update(sql).digest('hex');
      return { name: `${nameOf(schema)}/${file}`, sql, sha256, ...(own ? {} : { of: schema }) };
    }),
  );
}

function requireOrder(schema: JobSchema, files: readonly string[]): void {
  const numbers = files.map((file) => /^[0-9]{3}/.exec(file)?.[0] ?? file);
  const odd = files.find((file, at) => !JOB_FILE.test(file) || numbers.indexOf(numbers[at] ?? '') !== at);
  if (odd !== undefined)
    throw folderFault(schema, `has ${odd}; each file is named by a number of its own, as 001-tables.sql is`);
  if (files.length === 0) throw folderFault(schema, 'has no file such as 001-tables.sql');
}

function folderFault({ job, folder }: JobSchema, what: string): PortcullisError {
  return new PortcullisError('JOB_INVALID', `${job}: its folder of migrations, ${folder.pathname}, ${what}`, {
    hint: 'correct the folder, or the job’s declaration of it',
    details: { job },
  });
}
