import type pg from 'pg';
import { formatDurationMs } from '../kernel/duration.js';
import { faultPoint } from '../kernel/fault-point.js';
import { within } from '../kernel/within.js';
import { tryAgain } from '../gate/batch-error.js';
import { electAnother, type Run } from '../runs/election.js';
import { finishRun, type Finished } from '../runs/finish.js';
import { attemptName, disconnectAttempt, releaseLease } from '../runs/lease.js';
import { inTransaction } from '../postgres/pool.js';
import type { Log } from '../telemetry/log.js';
import { PLAN_EXPIRED } from './judged-plan.js';
import { keepLease, stopCause, type KeeperOptions, type LeaseKeeper } from './lease-keeper.js';
import { PHASE_LIMITS, tooLong } from './phase-limits.js';
import type { End } from './run-end.js';

/** A run that this process has the lease of. */
export interface Leased extends KeeperOptions {
  /** The region database, over the worker login. */
  readonly region: pg.Pool;
  readonly run: Run;
  /** Aborted when this process shuts down. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** What people call it. */
  readonly what: 'run' | 'restore';
}

/** What is left to be done about an end, once the run's row has it. */
export type Afterwards = (end: Exclude<End, string>) => Promise<void>;

/**
 * Carries a run out under its lease, which is renewed meanwhile, and ends it. Answers undefined when it went to
 * another worker, or was given up for one because this process is shutting down.
 */
export async function underLease(
  { region, run, signal, log, what, ...options }: Leased,
  carryOut: (keeper: LeaseKeeper) => Promise<End>,
  afterwards: Afterwards = () => Promise.resolve(),
): Promise<Finished | undefined> {
  await faultPoint('run.elected');
  const keeper = keepLease(region, run, options, signal);
  try {
    const end = await carryOut(keeper);
    await keeper.workOver();
    if (end === 'not-ours') {
      // Another has it, or nobody yet: it could not be renewed in time, and from then on anybody may.
      log.warn(
        { code: 'lease-lost' },
        `lost the lease: another worker has this ${what}, or may take it over`,
      );
      return undefined;
    }
    if (end === 'given-up') {
      await releaseLease(region, run);
      logGivenUp(log, what, keeper.signal);
      return undefined;
    }
    await faultPoint('run.before-finish');
    const finished = await finish(region, run, end);
    await afterwards(end);
    if (!finished) return undefined;
    await faultPoint('run.finished');
    const { code, status, planned, applied, conflicts } = finished;
    log.info({ code, status, planned, applied, conflicts }, finished.reason);
    return finished;
  } finally {
    keeper.end();
  }
}

function logGivenUp(log: Log, what: string, signal: AbortSignal): void {
  const cause = signal.aborted ? stopCause(signal) : undefined;
  if (cause?.why !== 'no-progress') {
    log.info({ code: 'given-up' }, `handed the ${what} over to another worker`);
    return;
  }
  log.error(
    { code: 'no-progress', phase: cause.phase },
    `handed the ${what} over to another worker: no progress for ${formatDurationMs(cause.silentMs)} in phase "${cause.phase}"`,
  );
}

/**
 * Over a connection by which the database can be seen to work on it. Throws TIME_LIMIT. A kill that cancels the batch
 * which this connection has just ended can hit what comes behind it.
 */
async function finish(region: pg.Pool, run: Run, end: Exclude<End, string>): Promise<Finished | undefined> {
  const late = (): Error => tooLong('finish', PHASE_LIMITS.finish);
  const work = (): Promise<Finished | undefined> =>
    tryAgain(() =>
      inTransaction(region, (client) => finishWithin(client, run, end), { name: attemptName(run) }),
    );
  try {
    return await within(PHASE_LIMITS.finish, work, late);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'TIME_LIMIT')
      await disconnectAttempt(region, run).catch(() => undefined);
    throw error;
  }
}

async function finishWithin(
  client: pg.PoolClient,
  run: Run,
  end: Exclude<End, string>,
): Promise<Finished | undefined> {
  const finished = await finishRun(client, run, end);
  if (finished?.code === PLAN_EXPIRED)
    await electAnother(client, run, `plans what run ${run.id.slice(0, 8)} has left`);
  return finished;
}
