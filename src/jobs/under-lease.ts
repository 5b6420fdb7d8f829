import type pg from 'pg';
import { faultPoint } from '../base/fault-point.js';
import type { Run } from '../scheduler/election.js';
import { finishRun, type Finished } from '../scheduler/finish.js';
import { releaseLease } from '../scheduler/lease.js';
import type { Log } from '../telemetry/log.js';
import { keepLease, type LeaseKeeper } from './lease-keeper.js';
import type { End } from './run-end.js';

/** A run that this process has the lease of. */
export interface Leased {
  /** The region plane, over the worker login. */
  readonly region: pg.Pool;
  readonly run: Run;
  readonly leaseMs: number;
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
  { region, run, leaseMs, signal, log, what }: Leased,
  carryOut: (keeper: LeaseKeeper) => Promise<End>,
  afterwards: Afterwards = () => Promise.resolve(),
): Promise<Finished | undefined> {
  await faultPoint('run.elected');
  const keeper = keepLease(region, run, leaseMs, signal);
  try {
    const end = await carryOut(keeper);
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
      log.info({ code: 'given-up' }, `gave the ${what} up for another worker`);
      return undefined;
    }
    await faultPoint('run.before-finish');
    const finished = await finishRun(region, run, end);
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
