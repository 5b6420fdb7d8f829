import { setMaxListeners } from 'node:events';
import type pg from 'pg';
import { renewLease } from '../scheduler/lease.js';
import type { Run } from '../scheduler/election.js';

/** Why a run was told to stop, as the `reason` of its abort signal. */
export type StopCause =
  | { readonly why: 'lease-lost' }
  | { readonly why: 'shutdown' }
  | { readonly why: 'gate'; readonly code: string; readonly reason: string };

export interface LeaseKeeper {
  readonly signal: AbortSignal;
  stop(cause: StopCause): void;
  /** Ends the renewals. To be called however the run ends. */
  end(): void;
}

const RENEWALS_PER_LEASE = 3;

/**
 * Renews a run's lease at a third of its length, and tells the run to stop when another worker has it, when
 * the database could not be asked for as long as the lease lasts, or when `outer` is aborted: a shutdown.
 */
export function keepLease(pool: pg.Pool, run: Run, leaseMs: number, outer: AbortSignal): LeaseKeeper {
  const controller = new AbortController();
  // Every look-up of a plan listens: a hundred at once are no leak.
  setMaxListeners(0, controller.signal);
  const stop = (cause: StopCause): void => {
    if (!controller.signal.aborted) controller.abort(cause);
  };
  const onShutdown = (): void => stop({ why: 'shutdown' });
  if (outer.aborted) onShutdown();
  outer.addEventListener('abort', onShutdown, { once: true });
  let renewedAt = performance.now();
  let busy = false;
  const beat = async (): Promise<void> => {
    // A database that doesn't answer at all is as silent as one that fails.
    if (performance.now() - renewedAt >= leaseMs) stop({ why: 'lease-lost' });
    if (busy) return;
    busy = true;
    try {
      const askedAt = performance.now();
      if (!(await renewLease(pool, run, leaseMs))) stop({ why: 'lease-lost' });
      renewedAt = askedAt;
    } catch {
      // Tried again at the next beat, until the lease is over.
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void beat(), leaseMs / RENEWALS_PER_LEASE);
  return {
    signal: controller.signal,
    stop,
    end: () => {
      clearInterval(timer);
      outer.removeEventListener('abort', onShutdown);
    },
  };
}

/** What a signal of {@link keepLease} was aborted for. */
export function stopCause(signal: AbortSignal): StopCause {
  return signal.reason as StopCause;
}
