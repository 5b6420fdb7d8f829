import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { faultPoint } from '../kernel/fault-point.js';
import { LOCKS } from './locks.js';
import { inTransaction } from './pool.js';

/** Both from `src/postgres/` and from `dist/postgres/` the SQL stands at the same place. */
const FOLDER = new URL('../../src/postgres/migrations/', import.meta.url);

/** Which of the two region databases a database holds. In the embedded default, one database holds both. */
export type SchemaKind = 'control' | 'region';

export interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** How a database's schema stands to this program's. */
export interface Schema {
  /** `empty`: never migrated. `changed`: a migration ran that differs from this program's of the same name. */
  readonly standing: 'empty' | 'older' | 'current' | 'newer' | 'changed';
  /** Migrations of this program that have not run, in order. */
  readonly missing: readonly Migration[];
  /** Names of migrations that ran and that this program does not know, or knows otherwise. */
  readonly unknown: readonly string[];
}

/** One process at a time migrates a database or changes its roles. */

/** How long to wait for that lock, and for the locks that a migration's statements need. */
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
  const { rows: there } = await database.query<{ migrated: boolean }>(
    `select to_regclass('portcullis_store.migration') is not null as migrated`,
  );
  const { rows } =
    there[0]?.migrated === true
      ? await database.query<{ name: string; sha256: string }>(
          'select name, sha256 from portcullis_store.migration order by name',
        )
      : { rows: [] };
  const past = rows.filter(({ name }) => schemas.some((schemaKind) => name.startsWith(`${schemaKind}/`)));
  return compareSchema(past, wanted);
}

function compareSchema(
  past: readonly { readonly name: string; readonly sha256: string }[],
  wanted: readonly Migration[],
): Schema {
  const known = new Map(wanted.map(({ name, sha256 }) => [name, sha256]));
  const done = new Set(past.map(({ name }) => name));
  const missing = wanted.filter(({ name }) => !done.has(name));
  const strangers = past.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  const changed = past
    .filter(({ name, sha256 }) => known.has(name) && known.get(name) !== sha256)
    .map(({ name }) => name);
  if (changed.length > 0) return { standing: 'changed', missing, unknown: changed };
  if (strangers.length > 0) return { standing: 'newer', missing, unknown: strangers };
  const standing = missing.length === 0 ? 'current' : past.length === 0 ? 'empty' : 'older';
  return { standing, missing, unknown: [] };
}

/**
 * Brings a database to this program's schema, each migration once and all of them in one transaction. Answers
 * the names of those that ran now; where there are none, nothing was written and no lock was asked for. Throws
 * DATABASE_NEWER, MIGRATION_CHANGED, and MIGRATION_LOCKED where somebody holds a lock that it needs.
 */
export async function migrate(
  pool: pg.Pool,
  schemas: readonly SchemaKind[],
  lockMs: number = LOCK_MS,
): Promise<string[]> {
  if (toMigrate(await readSchema(pool, schemas)).length === 0) return [];
  return underMigrationLock(pool, lockMs, async (client) => {
    const missing = toMigrate(await readSchema(client, schemas));
    await client.query(migrationScript(missing));
    return missing.map(({ name }) => name);
  });
}

/** The SQL that runs these migrations and records them. */
export function migrationScript(missing: readonly Migration[]): string {
  const steps = missing.map(
    ({ name, sql, sha256 }) =>
      `-- ${name}\n${sql.trimEnd()}\ninsert into portcullis_store.migration (name, sha256) values ('${name}', '${sha256}');\n`,
  );
  return `${BOOTSTRAP.trim()}\n\n${steps.join('\n')}`;
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
              where n.nspname like 'portcullis\\_%' or n.nspname = 'directory')
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
    `nothing was migrated: a lock that it needs was not free within ${lockMs / 1_000} s; ${who}`,
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
  const { rows } = await pool
    .query<Holder>(HOLDERS, [LOCKS.migration, mode])
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

/** This program's migrations of a schema, in order. */
export async function readMigrations(schemaKind: SchemaKind): Promise<Migration[]> {
  const folder = new URL(`${schemaKind}/`, FOLDER);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, folder), 'utf8');
      return { name: `${schemaKind}/${file}`, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}
