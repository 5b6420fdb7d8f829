import { expect } from '@jest/globals';
import { portcullis } from '../support/portcullis.js';
import { commitOrder } from './commit-order.js';
import type { SampleWorld } from './sample.js';

export interface RunRow {
  readonly id: string;
  readonly status: string;
  readonly reason: string;
  readonly attempt: number;
  readonly batches: number;
}

/** The only run of a job, or the only restore, in a region. */
export async function runIn(
  { database }: SampleWorld,
  region: string,
  which: 'run' | 'restore' = 'run',
): Promise<RunRow> {
  const { rows } = await database.owner.query<RunRow>(
    `select id, status, reason, attempt,
       (select count(*) from portcullis_region.batch b where b.run = r.id) as batches
     from portcullis_region.run r
     where region = $1 and not dry_run and (restores is not null) = $2`,
    [region, which === 'restore'],
  );
  const [row] = rows;
  if (!row || rows.length > 1) throw new Error(`${rows.length} ${which}s in ${region}, not one`);
  return row;
}

/** How many batches have been committed for the jobs, or the restores, of a region. */
export async function batchesIn(
  { database }: SampleWorld,
  region: string,
  which: 'run' | 'restore' = 'run',
): Promise<number> {
  const { rows } = await database.owner.query<{ n: number }>(
    `select count(*) as n from portcullis_region.batch b join portcullis_region.run r on r.id = b.run
     where region = $1 and (restores is not null) = $2`,
    [region, which === 'restore'],
  );
  return rows[0]?.n ?? 0;
}

/** Has every lease of whoever is dead or stands still end now, and not when its time is over. */
export async function endLeases({ database }: SampleWorld): Promise<void> {
  await database.owner.query(
    `update portcullis_region.run set lease_until = '-infinity' where status in ('planning', 'applying')`,
  );
}

export interface Killed {
  readonly job: string;
  readonly region: string;
  readonly tookMs: number;
  readonly inFlight: number;
  readonly terminated: number;
  readonly epoch: number;
  readonly runsEnded: readonly string[];
}

/** Kills a region's gate with a command of its own, which must answer that it has. */
export async function kill({ env }: SampleWorld, region: string, reason: string): Promise<Killed> {
  const args = ['kill', 'domain-claim', '--region', region, '--reason', reason, '--json'];
  const { code, stdout, stderr } = await portcullis(args, { env }).finished;
  expect([code, stderr]).toEqual([0, '']);
  const [killed] = (JSON.parse(stdout) as { killed: Killed[] }).killed;
  if (!killed) throw new Error(`nothing was killed in ${region}`);
  return killed;
}

/** How many of a region's rows are not what they were before any run, over all columns. */
export async function changedRows({ database }: SampleWorld, region: string): Promise<number> {
  const { rows } = await database.owner.query<{ n: number }>(
    `select (select count(*) from directory.account t full join directory.account_before b using (id)
             where coalesce(t.home_region, b.home_region) = $1 and t::text is distinct from b::text)
          + (select count(*) from directory.domain t full join directory.domain_before b using (id)
             where coalesce(t.home_region, b.home_region) = $1 and t::text is distinct from b::text) as n`,
    [region],
  );
  return rows[0]?.n ?? -1;
}

/** The run ended as killed, nothing committed after the kill, and the rows are as the journal says. */
export async function expectKilled(
  world: SampleWorld,
  region: string,
  reason: string,
  batches: number,
): Promise<void> {
  const run = await runIn(world, region);
  expect(run).toMatchObject({ status: 'killed', batches });
  expect(run.reason).toContain(reason);
  const order = await commitOrder(world.database.owner, run.id);
  expect(order).toMatchObject({ late: 0 });
  expect(await changedRows(world, region)).toBe(order.changes);
}
