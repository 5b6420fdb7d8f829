import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import type pg from 'pg';
import { PortcullisError } from '../base/errors.js';
import { inTransaction } from './pool.js';

/** Both from `src/store/` and from `dist/store/` the SQL stands at the same place. */
const FOLDER = new URL('../../src/store/migrations/', import.meta.url);

/** Which of the two planes a database holds. In the embedded default, one database holds both. */
export type Plane = 'control' | 'region';

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** Any number that no other advisory lock of ours uses: one process migrates at a time. */
const MIGRATION_LOCK = 7_020_210;

/**
 * Brings a database to this program's schema, each migration once and in one transaction with its record.
 * Answers the names of those that ran now. Refuses a database that a newer program has migrated, and one
 * whose past migrations differ from this program's.
 */
export async function migrate(pool: pg.Pool, planes: readonly Plane[]): Promise<string[]> {
  const wanted = (await Promise.all(planes.map(readMigrations))).flat();
  return inTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await client.query(`
      create schema if not exists portcullis_store;
      create table if not exists portcullis_store.migration (
        name   text primary key,
        sha256 text not null,
        ran_at timestamptz not null default clock_timestamp()
      )`);
    const { rows: past } = await client.query<{ name: string; sha256: string }>(
      'select name, sha256 from portcullis_store.migration',
    );
    refuseStrangers(past, wanted, planes);
    const done = new Set(past.map((row) => row.name));
    const missing = wanted.filter((migration) => !done.has(migration.name));
    for (const { name, sql, sha256 } of missing) {
      await client.query(sql);
      await client.query('insert into portcullis_store.migration (name, sha256) values ($1, $2)', [
        name,
        sha256,
      ]);
    }
    return missing.map((migration) => migration.name);
  });
}

function refuseStrangers(
  past: readonly { name: string; sha256: string }[],
  wanted: readonly Migration[],
  planes: readonly Plane[],
): void {
  const known = new Map(wanted.map((migration) => [migration.name, migration.sha256]));
  for (const { name, sha256 } of past) {
    if (!planes.some((plane) => name.startsWith(`${plane}/`))) continue;
    const mine = known.get(name);
    if (mine === undefined) {
      throw new PortcullisError(
        'DATABASE_NEWER',
        `the database has migration ${name}, which this program does not know`,
        {
          mend: 'run the newer Portcullis, or restore the database from before it',
        },
      );
    }
    if (mine !== sha256) {
      throw new PortcullisError(
        'MIGRATION_CHANGED',
        `migration ${name} is not the one that ran on this database`,
        {
          mend: 'restore the file as it was released; changes belong in a new migration',
        },
      );
    }
  }
}

async function readMigrations(plane: Plane): Promise<Migration[]> {
  const folder = new URL(`${plane}/`, FOLDER);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, folder), 'utf8');
      return { name: `${plane}/${file}`, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}
