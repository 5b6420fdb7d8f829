import type pg from 'pg';
import Cursor from 'pg-cursor';
import type { BenchTable } from './tables.js';
import { BATCH, LANES, UNCLAIMED, type Unclaimed } from './claim-job.js';

/** The journal that somebody would make who writes this one job by hand. */
export async function makeJournal(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create schema hand_written;
    create table hand_written.journal (
      run      uuid not null,
      key      text not null,
      unit     text not null,
      before   jsonb,
      after    jsonb,
      evidence jsonb not null,
      primary key (run, key)
    )`);
}

/** One statement, so one round trip and one commit: faster than an update and an insert in a transaction. */
const updateAndJournal = ({ composite }: BenchTable): string => `
  with batch as (
    select * from unnest($2::text[], $3::text[], $4::text[]) as b (id, unit, email)
  ), written as (
    update directory.account a
    set state = 'MANAGED', organisation_id = b.unit, claimed_at = $5
    from batch b
    where a.id = b.id ${composite ? 'and a.home_region = $6' : ''} and a.state = 'UNMANAGED' and a.organisation_id is null and a.claimed_at is null
      and a.email = b.email
    returning ${composite ? 'jsonb_build_array(a.home_region, a.id)::text' : 'a.id'} as id, b.unit, a.email
  )
  insert into hand_written.journal (run, key, unit, before, after, evidence)
  select $1, id, unit,
    jsonb_build_object('state', 'UNMANAGED', 'organisation_id', null, 'claimed_at', null, 'email', email),
    jsonb_build_object('state', 'MANAGED', 'organisation_id', unit, 'claimed_at', $5::text),
    jsonb_build_object('consent', 'selected', 'by', unit)
  from written`;

/** Answers the next batch, or undefined when there is none. */
export type Batches = () => Promise<readonly Unclaimed[] | undefined>;

/** Writes all batches over as many connections as a run has lanes. Answers how many rows were changed. */
export async function writeBatches(
  pool: pg.Pool,
  run: string,
  next: Batches,
  table: BenchTable,
  region: string,
): Promise<number> {
  const text = updateAndJournal(table);
  const now = new Date().toISOString();
  const write = async (): Promise<number> => {
    const client = await pool.connect();
    let changed = 0;
    try {
      for (let rows = await next(); rows !== undefined; rows = await next()) {
        const { rowCount } = await client.query({
          name: 'hand-written',
          text,
          values: [
            run,
            rows.map((row) => row.id),
            rows.map((row) => row.unit),
            rows.map((row) => row.email),
            now,
            ...(table.composite ? [region] : []),
          ],
        });
        changed += rowCount ?? 0;
      }
    } finally {
      client.release();
    }
    return changed;
  };
  const changed = await Promise.all(Array.from({ length: LANES }, write));
  return changed.reduce((sum, each) => sum + each, 0);
}

/** Batches of rows that are at hand. */
export function batchesOf(rows: readonly Unclaimed[]): Batches {
  let from = 0;
  return () => {
    const batch = rows.slice(from, (from += BATCH));
    return Promise.resolve(batch.length === 0 ? undefined : batch);
  };
}

/** The whole job by hand: selects a region's accounts, and updates and journals them in batches. */
export async function handWrittenJob(
  pool: pg.Pool,
  run: string,
  region: string,
  table: BenchTable,
): Promise<number> {
  const reader = await pool.connect();
  const cursor = reader.query(new Cursor<Unclaimed>(UNCLAIMED, [region]));
  try {
    let reading: Promise<unknown> = Promise.resolve();
    const next: Batches = async () => {
      // A cursor reads one batch at a time.
      const rows = reading.then(() => cursor.read(BATCH));
      reading = rows;
      const batch = await rows;
      return batch.length === 0 ? undefined : batch;
    };
    return await writeBatches(pool, run, next, table, region);
  } finally {
    await cursor.close();
    reader.release();
  }
}

export async function readUnclaimed(pool: pg.Pool, region: string): Promise<Unclaimed[]> {
  const { rows } = await pool.query<Unclaimed>(UNCLAIMED, [region]);
  return rows;
}
