import type pg from 'pg';
import { LOCKS } from '../postgres/locks.js';
import { inTransaction } from '../postgres/pool.js';
import { type SampleSeed, sampleDirectory } from './sample-directory.js';
import { SAMPLE_PREFIX, type SampleDirectory } from './sample-rows.js';

/** How many rows each table got. */
export type SampleCounts = Readonly<Record<keyof SampleDirectory, number>>;

/**
 * Fills an empty directory with the sample world of a seed. Answers how many rows it wrote, or undefined
 * where the directory was not empty and so was left alone.
 */
export async function seedSampleWorld(pool: pg.Pool, seed: SampleSeed): Promise<SampleCounts | undefined> {
  const counts = await inTransaction(pool, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [LOCKS.sample]);
    const { rows } = await client.query<{ empty: boolean }>(
      `select not exists (select from directory.organisation)
          and not exists (select from directory.account) as empty`,
    );
    if (rows[0]?.empty !== true) return undefined;
    const world = sampleDirectory(seed);
    return {
      organisation: await insert(client, 'organisation', world.organisation),
      account: await insert(client, 'account', world.account),
      admin: await insert(client, 'admin', world.admin),
      product_use: await insert(client, 'product_use', world.product_use),
      request: await insert(client, 'request', world.request),
      domain: await insert(client, 'domain', world.domain),
    };
  });
  if (counts === undefined) return undefined;
  const tables = Object.keys(counts).map((table) => `directory.${table}`);
  await pool.query(`analyze ${tables.join(', ')}`);
  return counts;
}

/** Writes a table's rows in one statement; all rows have the same columns, named as the table's. */
async function insert(
  client: pg.PoolClient,
  table: keyof SampleDirectory,
  rows: readonly object[],
): Promise<number> {
  const columns = Object.keys(rows[0] ?? {}).join(', ');
  const { rowCount } = await client.query(
    `insert into directory.${table} (${columns})
     select ${columns} from json_populate_recordset(null::directory.${table}, $1::json)`,
    [JSON.stringify(rows)],
  );
  return rowCount ?? 0;
}

/**
 * Whether the directory is a sample world and nothing else: there are organisations, and every one is of the
 * sample's making. Only then may the sample's name server answer for its domains.
 */
export async function isSampleWorld(pool: pg.Pool): Promise<boolean> {
  const { rows: tables } = await pool.query<{ there: boolean }>(
    `select to_regclass('directory.organisation') is not null as there`,
  );
  if (tables[0]?.there !== true) return false;
  const { rows } = await pool.query<{ sample: boolean | null }>(
    'select bool_and(starts_with(id, $1)) as sample from directory.organisation',
    [SAMPLE_PREFIX],
  );
  return rows[0]?.sample === true;
}
