import type pg from 'pg';
import { faultPoint } from '../kernel/fault-point.js';
import { PortcullisError } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { applyPlan, type Applied, type ApplyPlan } from '../gate/write-path.js';
import { readGate } from '../gate/permit.js';
import { appliedOf, partText } from '../journal/restore-plan.js';
import { previewRestore } from '../journal/restore-preview.js';
import { verifyRestored } from '../journal/verify-restored.js';
import type { Run } from '../runs/election.js';
import { electRestore } from '../runs/election.js';
import type { Counts, Outcome } from '../runs/finish.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { readApplyPlan, throughInterruptions } from './apply-phase.js';
import { stopCause, type LeaseKeeper } from './lease-keeper.js';
import { PHASE_LIMITS } from './phase-limits.js';
import { partOfRestore, planRestoreRun, readRestored } from './restore-plan-phase.js';
import { settleAfter, type Reservations } from './reservations.js';
import { endOf, endOfStopped, failure, type End, type RunOptions, type RunReport } from './run-end.js';
import type { RunsUnderWay } from './runs-under-way.js';
import { measureRun } from './run-metrics.js';
import { mayAlter } from './trial.js';
import { underLease } from './under-lease.js';

/** What restoring takes: no flags, no look-ups and no job's code. A `Platform` has it. */
export interface RestoreSite {
  readonly worker: string;
  /** The region database, over the worker login. */
  readonly region: pg.Pool;
  /** Values that are unique across regions; absent: a restore that takes one again is held. */
  readonly reservations?: Reservations;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly progressMs?: number;
  readonly underWay?: RunsUnderWay;
}

/** How fast a restore goes. */
export interface RestorePace {
  readonly leaseMs: number;
  /** Changes in one transaction. */
  readonly batch: number;
}

/** For a job that has no policy any more. */
export const RESTORE_PACE: RestorePace = { leaseMs: 20_000, batch: 500 };

/** A run that restores another. */
export type RestoreRun = Run & { readonly restores: string };

/**
 * Changes in the first batch, which is read back before it commits, and before any other is written; the others are
 * where a trigger may alter rows. A row that is not what it was is refused, by itself, in whichever batch it is.
 */
const FIRST_BATCH = 10;

/**
 * Carries a restore from where it stands to its end: plan, a first small batch that is verified, then all the
 * lanes. Where a constraint refused rows that others of the run stood in the way of, it goes round again for
 * as long as that helps; the report is of all the rounds together. Answers undefined as `executeRun` does.
 */
export async function executeRestore(
  site: RestoreSite,
  run: RestoreRun,
  status: 'planning' | 'applying',
  pace: RestorePace,
  options: RunOptions,
): Promise<RunReport | undefined> {
  const first = await executeRound(site, run, status, pace, options);
  let all = first;
  for (let last = first; last !== undefined && all !== undefined;) {
    if (last.status !== 'succeeded' || sum(last.applied) === 0) break;
    if (!(await anyRefused(site.region, last.run.id))) break;
    const { worker, region } = site;
    const part = await partOfRestore(region, run.id);
    const next = await electRestore(region, { of: run.restores, worker, leaseMs: pace.leaseMs, part });
    if (!next) break;
    last = await executeRound(site, { ...next, restores: run.restores }, 'planning', pace, options);
    if (!last) return undefined;
    all = together(all, last);
  }
  return all;
}

/** A later round has planned again what the earlier ones left, so its conflicts are those of all. */
function together(earlier: RunReport, later: RunReport): RunReport {
  const applied: Record<string, number> = { ...earlier.applied };
  for (const [kind, n] of Object.entries(later.applied)) applied[kind] = (applied[kind] ?? 0) + n;
  return {
    ...later,
    planned: earlier.planned,
    applied,
    durationMs: earlier.durationMs + later.durationMs,
  };
}

async function executeRound(
  site: RestoreSite,
  run: RestoreRun,
  status: 'planning' | 'applying',
  pace: RestorePace,
  options: RunOptions,
): Promise<RunReport | undefined> {
  const { region, metrics } = site;
  const log = site.log.child({ runId: run.id, job: run.job, region: run.region, restores: run.restores });
  const leased = {
    region,
    run,
    leaseMs: pace.leaseMs,
    progressMs: site.progressMs,
    underWay: site.underWay,
    signal: options.signal,
    log,
    what: 'restore',
  } as const;
  const finished = await underLease(leased, (keeper) => carryOut(site, run, status, pace, keeper, options));
  if (!finished) return undefined;
  await settleAfter(site, run.id);
  if (metrics) measureRun(metrics, [], run, finished);
  return { run, ...finished };
}

async function carryOut(
  site: RestoreSite,
  run: RestoreRun,
  status: 'planning' | 'applying',
  pace: RestorePace,
  keeper: LeaseKeeper,
  options: RunOptions,
): Promise<End> {
  const { signal } = keeper;
  let writing = status === 'applying';
  try {
    if (status === 'planning') {
      keeper.enter('plan the restore', PHASE_LIMITS['plan the restore']);
      const stopped = await whyStopped(site.region, run);
      if (stopped) return stopped;
      options.onProgress?.({ phase: 'planning' });
      const planned = await planRestoreRun(site.region, run, site.reservations);
      await faultPoint('plan.committed');
      if (planned.lanes.length === 0) return await nothingToDo(site.region, run);
      options.onProgress?.({ phase: 'applying', planned: planned.counts });
    }
    writing = true;
    keeper.enter('apply the restore', PHASE_LIMITS['apply the restore']);
    const applied = await throughInterruptions(site.region, signal, () =>
      apply(site.region, run, pace, keeper, options),
    );
    if (applied.complete) return await whole(site.region, run);
    return endOfStopped(applied, signal, run);
  } catch (error) {
    if (signal.aborted) return endOf(stopCause(signal), writing ? 'stopped' : 'held', run);
    if (error instanceof PortcullisError && error.code === 'RESERVATION_UNAVAILABLE')
      return { status: 'held', code: 'reservation-unavailable', reason: error.message };
    return failure(error, run);
  }
}

/** A closed or killed gate lets the cure through; `stop --all` does not. */
async function whyStopped(pool: pg.Pool, run: RestoreRun): Promise<Outcome | undefined> {
  // A gate that nobody has seen is made: the fence looks for its row.
  await readGate(pool, run.job, run.region);
  const { rows } = await pool.query<{ reason: string }>(
    'select reason from portcullis_region.gate where job = $1 and region = $2 and stopped',
    [run.job, run.region],
  );
  const [gate] = rows;
  return gate && { status: 'held', code: 'all-stopped', reason: `everything is stopped: ${gate.reason}` };
}

async function apply(
  pool: pg.Pool,
  run: RestoreRun,
  { batch }: RestorePace,
  keeper: LeaseKeeper,
  { onProgress }: RunOptions,
): Promise<Applied> {
  const plan: ApplyPlan = {
    ...(await readApplyPlan(pool, run)),
    batch,
    firstBatches: [],
    signal: keeper.signal,
    onBatch: (written) => {
      keeper.progressed();
      onProgress?.({ phase: 'batch', written });
    },
  };
  const [first, ...others] = plan.lanes;
  const shapes = new Set(plan.steps.map(({ shape }) => shape));
  const rest: ApplyPlan = {
    ...plan,
    ...(plan.steps.some(mayAlter) && {
      check: (client, stretch) => verifyRestored(client, shapes, stretch),
    }),
  };
  if (first === undefined || plan.lanes.some(({ appliedSeq }) => appliedSeq > 0))
    return applyPlan(pool, rest);
  const verifiedSeq = Math.min(FIRST_BATCH, first.lastSeq);
  const start = await applyPlan(pool, {
    ...plan,
    lanes: [{ ...first, lastSeq: verifiedSeq }],
    check: (client, stretch) => verifyRestored(client, shapes, stretch),
  });
  if (!start.complete) return start;
  return applyPlan(pool, { ...rest, lanes: [{ ...first, appliedSeq: verifiedSeq }, ...others] });
}

async function nothingToDo(pool: pg.Pool, run: RestoreRun): Promise<Outcome> {
  const part = await partOfRestore(pool, run.id);
  if (part !== undefined) {
    const applied = await appliedOf(pool, run.restores, part);
    const which = `${partText(part)} of run ${run.restores.slice(0, 8)}`;
    return {
      ...{ status: 'succeeded', code: 'nothing-to-do' },
      reason:
        applied === 0 ? `no change of ${which} was applied` : `every change of ${which} is restored already`,
    };
  }
  const { rows } = await pool.query<{ applied: number }>(
    `select coalesce(sum(applied_seq), 0)::bigint
            - (select count(*) from portcullis_region.conflict where run = $1) as applied
     from portcullis_region.lane where run = $1`,
    [run.restores],
  );
  const which = `run ${run.restores.slice(0, 8)}`;
  return {
    status: 'succeeded',
    code: 'nothing-to-do',
    reason:
      rows[0]?.applied === 0 ? `${which} applied no change` : `every change of ${which} is restored already`,
  };
}

async function whole(pool: pg.Pool, run: RestoreRun): Promise<Outcome> {
  const { rows } = await pool.query<{ touched: number; refused: number }>(
    `select count(*) filter (where refusal is null) as touched, count(refusal) as refused
     from portcullis_region.conflict where run = $1`,
    [run.id],
  );
  const { touched, refused } = rows[0] ?? { touched: 0, refused: 0 };
  const { refused: resources } = await readRestored(pool, run.restores);
  const part = await partOfRestore(pool, run.id);
  const none = { shapes: new Map(), refused: resources };
  const { conflicts: left } = await previewRestore(pool, run.restores, none, part);
  const skipped = [
    ...(left > 0 ? [`${countOf(left, 'change')} not restored: ${[...resources.values()].join('; ')}`] : []),
    ...(touched > 0 ? [`${countOf(touched, 'row')} changed since the run; skipped`] : []),
    ...(refused > 0 ? [`the database refused to restore ${countOf(refused, 'row')}`] : []),
  ];
  const all = skipped.length === 0 ? 'every row is as it was before the run' : skipped.join('; ');
  const reason = part === undefined ? all : `${partText(part)}: ${all}`;
  return { status: 'succeeded', code: 'restored', reason };
}

async function anyRefused(pool: pg.Pool, run: string): Promise<boolean> {
  const { rows } = await pool.query(
    'select from portcullis_region.conflict where run = $1 and refusal is not null limit 1',
    [run],
  );
  return rows.length > 0;
}

function sum(counts: Counts): number {
  return Object.values(counts).reduce((all, n) => all + n, 0);
}
