import type pg from 'pg';
import { rulesOf, type GuardPolicy, type RateOf } from '../flags/guard-policy.js';
import type { BatchWritten, Stretch } from '../journal/write-batch.js';
import type { Run } from '../runs/election.js';
import { acceptedEvents } from './accepted-runs.js';
import { startRate, stepRate, usualRate, type RateState } from './rate.js';
import { closingOf } from '../containment/closing.js';
import { failedRule, writeTrip } from '../containment/trip-row.js';
import { writeVerdicts } from './verdict-rows.js';
import type { Judged } from '../containment/verdict.js';

/** What a rate stands at, as it is kept. */
interface Kept {
  readonly rate: RateState;
  /** What it said after the last batch; null before the first. */
  readonly judged: Judged | null;
}

interface RateRow {
  readonly rule: string;
  readonly frozen: { readonly of: RateOf };
  readonly state: Kept;
  readonly tripped: boolean;
}

/**
 * Settles, in the transaction that stores a plan, what the run's rates are held against: what is usual may not
 * change while the run goes on, whatever other runs do meanwhile.
 */
export async function startRates(
  client: pg.PoolClient,
  run: Run,
  { rules }: GuardPolicy,
  plannedBatches: number,
): Promise<void> {
  for (const { name, of, acceptableShare, alpha } of rulesOf(rules, 'rate')) {
    const p0 = usualRate(acceptableShare, await acceptedEvents(client, run, of));
    const kept: Kept = { rate: startRate({ rule: name, of, alpha, p0, plannedBatches }), judged: null };
    await client.query(
      'insert into portcullis_region.rate (run, rule, frozen, state) values ($1, $2, $3, $4)',
      [run.id, name, JSON.stringify({ of }), JSON.stringify(kept)],
    );
  }
}

/** Whether a run has rates to be judged by. */
export async function hasRates(region: pg.Pool, run: string): Promise<boolean> {
  const { rowCount } = await region.query('select from portcullis_region.rate where run = $1 limit 1', [run]);
  return rowCount === 1;
}

/** Why a run must stop, and what becomes of the batch that was just written. */
export interface RateStop {
  readonly batch: 'commit' | 'undo';
  readonly reason: string;
}

/**
 * Judges a batch, in its own transaction and last of all in it. From here to the commit the run's other batches
 * wait, so that they are judged in the order in which they commit, and the state that is kept is of exactly
 * the batches that are there: whoever goes on from it, after whatever end of this process, decides the same.
 *
 * A rate that fails is written down as a trip with the batch that made it fail. Batches of other lanes that
 * were under way find it so and are undone: none commits behind the one that failed.
 */
export async function judgeBatch(
  client: pg.PoolClient,
  run: Run,
  stretch: Stretch,
  written: BatchWritten,
  onTrip: GuardPolicy['onTrip'],
): Promise<RateStop | undefined> {
  const { rows } = await client.query<RateRow>(
    'select rule, frozen, state, tripped from portcullis_region.rate where run = $1 order by rule for update',
    [run.id],
  );
  const tripped = rows.filter((row) => row.tripped);
  if (tripped.length > 0)
    return { batch: 'undo', reason: reasonsOf(tripped.map(({ state }) => state.judged)) };
  const events = written.conflicts === 0 ? NONE : await eventsIn(client, stretch);
  const stepped = rows.map(({ rule, frozen, state }) => {
    const { state: rate, judged } = stepRate(state.rate, {
      n: stretch.to - stretch.from,
      x: events[frozen.of],
    });
    return { rule, state: { rate, judged }, tripped: judged.verdict === 'fail' };
  });
  await client.query(
    `update portcullis_region.rate r set state = s.state, tripped = s.tripped
     from jsonb_to_recordset($2) as s (rule text, state jsonb, tripped boolean)
     where r.run = $1 and r.rule = s.rule`,
    [run.id, JSON.stringify(stepped)],
  );
  const failed = stepped.filter((each) => each.tripped).map(({ state }) => state.judged);
  const [first, ...others] = failed.map(failedRule);
  if (!first) return undefined;
  const { id, job, region, version } = run;
  await writeTrip(client, {
    job,
    region,
    version,
    run: id,
    stage: 'apply',
    failed: [first, ...others],
    restore: onTrip.restore,
    closing: closingOf(onTrip, { version, shared: [] }),
  });
  await writeVerdicts(
    client,
    id,
    'apply',
    stepped.map(({ state }) => state.judged),
  );
  return { batch: 'commit', reason: reasonsOf(failed) };
}

/** What the rates said after a run's last batch. */
export async function lastOfRates(region: pg.Pool, run: string): Promise<Judged[]> {
  const { rows } = await region.query<Pick<RateRow, 'state'>>(
    'select state from portcullis_region.rate where run = $1 order by rule',
    [run],
  );
  return rows.flatMap(({ state: { judged } }) => (judged ? [judged] : []));
}

type Events = Readonly<Record<RateOf, number>>;
const NONE: Events = { conflicts: 0, refusals: 0, errors: 0 };

async function eventsIn(client: pg.PoolClient, { run, lane, from, to }: Stretch): Promise<Events> {
  const { rows } = await client.query<Events>(
    `select count(*) filter (where refusal is null) as conflicts,
       count(*) filter (where refusal is not null) as refusals, count(*) as errors
     from portcullis_region.conflict where run = $1 and lane = $2 and seq > $3 and seq <= $4`,
    [run, lane, from, to],
  );
  return rows[0] ?? NONE;
}

function reasonsOf(judged: readonly (Judged | null)[]): string {
  return judged.flatMap((each) => (each ? [each.reason] : [])).join('; ');
}

/** How many batches a plan makes: the first ones are small, and go through the longest lane. */
export function batchesOf(
  lanes: readonly { readonly lastSeq: number }[],
  { batch, firstBatches }: { readonly batch: number; readonly firstBatches: readonly number[] },
): number {
  const [lead, ...others] = lanes.map(({ lastSeq }) => lastSeq).sort((one, other) => other - one);
  let left = lead ?? 0;
  let first = 0;
  for (const size of firstBatches) {
    if (left <= 0) break;
    left -= size;
    first += 1;
  }
  return [Math.max(0, left), ...others].reduce((sum, changes) => sum + Math.ceil(changes / batch), first);
}
