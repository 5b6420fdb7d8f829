import { formatDurationMs } from '../kernel/duration.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import type { Run } from '../runs/election.js';
import type { BatchWritten } from '../journal/write-batch.js';
import type { Finished, Outcome } from '../runs/finish.js';
import { isUnreachable } from '../postgres/pool.js';
import type { Stopped } from '../gate/write-path.js';
import { stopCause, type StopCause } from './lease-keeper.js';
import { tooLongText } from './phase-limits.js';
import type { TrippedEnd } from './tripped-run.js';

/** What a person or a table hears of a run. */
export interface RunReport extends Finished {
  readonly run: Run;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  /** Told of each phase and batch, for a progress display. */
  readonly onProgress?: (progress: RunProgress) => void;
}

export type RunProgress =
  | { readonly phase: 'planning' }
  | { readonly phase: 'applying'; readonly planned: Readonly<Record<string, number>> }
  | { readonly phase: 'batch'; readonly written: BatchWritten };

/** How a run ends; or that it does not end here: it is another worker's, or was given up for one. */
export type End = Outcome | TrippedEnd | 'not-ours' | 'given-up';

/** The end of a run that was told to stop. */
export function endOf(cause: StopCause, status: 'held' | 'stopped', run: Pick<Run, 'attempt'>): End {
  switch (cause.why) {
    case 'lease-lost':
      return 'not-ours';
    case 'shutdown':
      return 'given-up';
    case 'no-progress': {
      if (run.attempt < ATTEMPTS) return 'given-up';
      const reason = `no progress for ${formatDurationMs(cause.silentMs)} in phase "${cause.phase}", attempt ${run.attempt}`;
      return { status: status === 'held' ? 'failed' : status, code: 'no-progress', reason };
    }
    case 'time-limit': {
      const reason = tooLongText(cause.phase, cause.limitMs);
      return { status: status === 'held' ? 'failed' : status, code: 'time-limit', reason };
    }
    case 'gate':
      return { status: isKill(cause.code) ? 'killed' : status, code: cause.code, reason: cause.reason };
  }
}

/** The end of a run whose changes were not all applied, by what stopped them; `status` where that was no kill. */
export function endOfStopped(
  { code, reason }: Pick<Stopped, 'code' | 'reason'>,
  signal: AbortSignal,
  run: Pick<Run, 'attempt'>,
  status: 'held' | 'stopped' = 'stopped',
): End {
  if (code === 'lease-lost') return 'not-ours';
  if (code === 'aborted') return endOf(stopCause(signal), status, run);
  return { status: isKill(code) ? 'killed' : status, code, reason };
}

const KILLS = new Set(['gate-killed', 'all-stopped', 'version-quarantined', 'guard-tripped']);

/** What ends a run as killed rather than as held or stopped. */
function isKill(code: string): boolean {
  return KILLS.has(code);
}

/** A run whose connections break again and again is not tried for ever. */
const ATTEMPTS = 10;

/**
 * The end of a run that met an error. A database that went away, or a connection that was cut, is no fault of
 * the run's: it is given up, and whoever reaches the database first goes on with it.
 */
export function failure(error: unknown, run: Pick<Run, 'attempt'>): End {
  if (isUnreachable(error) && run.attempt < ATTEMPTS) return 'given-up';
  if (error instanceof PortcullisError) {
    if (error.code === 'LEASE_LOST') return 'not-ours';
    if (error.code === 'PLAN_INVALID' || error.code === 'PLAN_WROTE') {
      return { status: 'refused', code: error.code, reason: error.message };
    }
    return { status: 'failed', code: error.code, reason: error.message };
  }
  return { status: 'failed', code: 'error', reason: messageOf(error) };
}
