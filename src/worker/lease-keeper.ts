import { setMaxListeners } from 'node:events';
import type pg from 'pg';
import { formatDurationMs } from '../kernel/duration.js';
import { disconnectAttempt, renewLease } from '../runs/lease.js';
import type { Run } from '../runs/election.js';
import { PROGRESS_MS, type Phase } from './phase-limits.js';
import type { RunsUnderWay } from './runs-under-way.js';

/** Why a run was told to stop, as the `reason` of its abort signal. */
export type StopCause =
  | { readonly why: 'lease-lost' }
  | { readonly why: 'shutdown' }
  | { readonly why: 'no-progress'; readonly phase: Phase; readonly silentMs: number }
  | { readonly why: 'time-limit'; readonly phase: Phase; readonly limitMs: number }
  | { readonly why: 'gate'; readonly code: string; readonly reason: string };

export interface LeaseKeeper {
  readonly signal: AbortSignal;
  stop(cause: StopCause): void;
  /** Something has come of the run: a row was read, a look-up answered, a batch written. */
  progressed(): void;
  /** The run is in this phase from now on, for at most `limitMs`. */
  enter(phase: Phase, limitMs: number): void;
  /** The run's work is over, and only its end is left: once this resolves, no connection of it is ended any more. */
  workOver(): Promise<void>;
  /** Ends the renewals. To be called however the run ends. */
  end(): void;
}

export interface KeeperOptions {
  readonly leaseMs: number;
  /** How long the run may show no progress; absent: {@link PROGRESS_MS}. */
  readonly progressMs?: number | undefined;
  /** Where this process lists its runs. */
  readonly underWay?: RunsUnderWay | undefined;
}

const RENEWALS_PER_LEASE = 3;

/** How long a run that was told to stop may take to end its statement by itself: a batch, say. */
const GRACE_MS = 5_000;

/**
 * Keeps a run's lease for as long as the run makes progress: it is renewed at a third of its length where something
 * has come of the run since, or where the database sees a session of the run at work. Tells the run to stop when
 * another worker has it, when the database could not be asked for as long as the lease lasts, when it shows no
 * progress or exceeds a phase's limit, or when `outer` is aborted: a shutdown. The connections of a run that was
 * told to stop are ended after a while, so that nothing it waits for holds it up.
 */
export function keepLease(pool: pg.Pool, run: Run, options: KeeperOptions, outer: AbortSignal): LeaseKeeper {
  const { leaseMs, progressMs = PROGRESS_MS, underWay } = options;
  const controller = new AbortController();
  const { signal } = controller;
  // Every look-up of a plan listens: a hundred at once are no leak.
  setMaxListeners(0, signal);
  let phase: Phase = run.restores === null ? 'decide' : 'plan the restore';
  let progressAt = performance.now();
  let disconnecting: NodeJS.Timeout | undefined;
  let disconnected: Promise<unknown> = Promise.resolve();
  let limit: NodeJS.Timeout | undefined;
  let workOver = false;

  const stop = (cause: StopCause): void => {
    if (signal.aborted) return;
    controller.abort(cause);
    clearTimeout(limit);
    if (workOver) return;
    const hangs = cause.why === 'time-limit' || cause.why === 'no-progress';
    disconnecting = setTimeout(
      () => {
        disconnected = disconnectAttempt(pool, run).catch(() => undefined);
      },
      hangs ? 0 : GRACE_MS,
    );
  };
  const onShutdown = (): void => stop({ why: 'shutdown' });
  if (outer.aborted) onShutdown();
  outer.addEventListener('abort', onShutdown, { once: true });

  let renewedAt = performance.now();
  let busy = false;
  const renew = async (): Promise<void> => {
    // A database that doesn't answer at all is as silent as one that fails.
    if (performance.now() - renewedAt >= leaseMs) stop({ why: 'lease-lost' });
    if (busy) return;
    busy = true;
    try {
      const askedAt = performance.now();
      const fresh = askedAt - progressAt < progressMs;
      const lease = await renewLease(pool, run, leaseMs, fresh);
      if (lease.working) progressAt = Math.max(progressAt, askedAt);
      if (!lease.ours) stop({ why: 'lease-lost' });
      else if (lease.renewed) renewedAt = askedAt;
      else stop({ why: 'no-progress', phase, silentMs: askedAt - progressAt });
    } catch {
      // Tried again at the next renewal, until the lease is over.
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void renew(), leaseMs / RENEWALS_PER_LEASE);
  const leave = underWay?.enter({
    region: pool,
    hangs: () => {
      const silentMs = performance.now() - progressAt;
      if (silentMs < progressMs / 2) return undefined;
      return `run ${run.id.slice(0, 8)} of ${run.job} in ${run.region} has shown no progress for ${formatDurationMs(silentMs)}`;
    },
  });
  return {
    signal,
    stop,
    progressed: () => (progressAt = performance.now()),
    enter: (next, limitMs) => {
      phase = next;
      progressAt = performance.now();
      clearTimeout(limit);
      if (!signal.aborted)
        limit = setTimeout(() => stop({ why: 'time-limit', phase: next, limitMs }), limitMs);
    },
    workOver: async () => {
      workOver = true;
      progressAt = performance.now();
      clearTimeout(limit);
      clearTimeout(disconnecting);
      // The run's end has the name of its connections too: what is under way would end it.
      await disconnected;
    },
    end: () => {
      clearInterval(timer);
      clearTimeout(limit);
      clearTimeout(disconnecting);
      outer.removeEventListener('abort', onShutdown);
      leave?.();
    },
  };
}

/** What a signal of {@link keepLease} was aborted for. */
export function stopCause(signal: AbortSignal): StopCause {
  return signal.reason as StopCause;
}
