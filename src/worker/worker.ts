import { startPoller } from '../kernel/poller.js';
import { messageOf } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { type FlagAnswer, flagName } from '../flags/definition.js';
import type { Policy } from '../flags/policy.js';
import { reconcileGate } from '../gate/permit.js';
import { caughtUp, missedSince } from '../gate/missed-since.js';
import { elect, electMissed, type Run } from '../runs/election.js';
import { takeOver } from '../runs/lease.js';
import { newestSlot } from '../runs/slots.js';
import { scheduleTicks } from '../runs/ticks.js';
import { DatabaseClock, SKEW_NOTED_MS, skewText } from '../postgres/database-clock.js';
import type { Platform } from './platform.js';
import type { KnownJob, LoadedJob } from './registry.js';
import { PHASE_LIMITS, tooLong } from './phase-limits.js';
import { executeRun, type RunProgress, type RunReport } from './run-loop.js';

/** A job, and where it is served. */
export interface PlacedJob {
  readonly job: KnownJob;
  readonly policy: Policy;
  /** The regions of the policy that this worker serves. */
  readonly regions: readonly string[];
}

export interface ServedJob extends PlacedJob {
  readonly job: LoadedJob;
}

export interface WorkerOptions {
  /** Runs at a time in this process; the others wait their turn. */
  readonly concurrentRuns?: number;
  /** How often to look for runs to take over and for missed slots. */
  readonly sweepMs?: number;
  readonly onRun?: (report: RunReport) => void;
  readonly onProgress?: (run: Run, progress: RunProgress) => void;
}

/** A worker: runs jobs in its regions as their slots come due, and keeps the regions' permits renewed. */
export interface Worker {
  /** Runs a job at once in each of its regions, as if a slot had come due now. Answers when they are over. */
  runNow(job: string): Promise<void>;
  /** Flags may have changed: carries their news to the gates at once. */
  flagsChanged(): void;
  /** Takes no new work, gives up what is running for another worker, and answers when all is quiet. */
  stop(): Promise<void>;
}

const RENEWALS_PER_PERMIT = 3;

/**
 * Starts a worker for some jobs and regions. Before anything else it carries the flags' news to the gates,
 * so that a gate which should be closed is closed before the first run is considered.
 */
export async function startWorker(
  platform: Platform,
  served: readonly ServedJob[],
  options: WorkerOptions = {},
): Promise<Worker> {
  for (const { job, policy, regions } of served) {
    for (const region of regions) {
      platform.metrics.changesExpected({
        ...{ job: policy.job, region, version: job.version },
        kinds: job.kinds.keys(),
      });
    }
  }
  const shutdown = new AbortController();
  const running = new Set<Promise<unknown>>();
  const turns = new Turns(options.concurrentRuns ?? 4);
  const clock = new DatabaseClock(platform.region);
  let skewed = false;

  const track = <T>(work: Promise<T>): Promise<T> => {
    running.add(work);
    const forget = (): void => void running.delete(work);
    work.then(forget, forget);
    return work;
  };
  const failed =
    (what: string) =>
    (error: unknown): void =>
      platform.log.error({ code: 'worker-error', err: error }, `${what}: ${messageOf(error)}`);
  /** Work that nobody waits for: its failure is logged, and the next beat tries again. */
  const background = (what: string, work: () => Promise<unknown>): void => {
    if (!shutdown.signal.aborted) void track(work().catch(failed(what)));
  };

  const execute = async (one: ServedJob, run: Run, status: 'planning' | 'applying'): Promise<void> => {
    const report = await executeRun(platform, one.job, one.policy, run, status, {
      signal: shutdown.signal,
      onProgress: (progress) => options.onProgress?.(run, progress),
    });
    if (report) options.onRun?.(report);
  };

  const claim = (one: ServedJob, region: string) => ({
    job: one.policy.job,
    version: one.job.version,
    region,
    worker: platform.worker,
    leaseMs: one.policy.leaseMs,
  });

  // A run is elected, or taken over, only once it has its turn: its lease must not end while it waits.
  const runSlot = (one: ServedJob, region: string, slot?: Date): Promise<void> =>
    turns.take(async () => {
      const trigger = slot === undefined ? 'manual' : 'schedule';
      const electing = () =>
        elect(platform.region, { ...claim(one, region), trigger, ...(slot && { slot }) });
      const limitMs = PHASE_LIMITS.elect;
      const election = await within(limitMs, electing, () => tooLong('elect', limitMs));
      if (election.elected) await execute(one, election.run, 'planning');
      // Asked again, so that the slot comes due when the database says so.
      else if (election.why === 'early') await clock.ask();
    });

  const askTime = async (): Promise<void> => {
    await clock.ask();
    const { skewMs } = clock;
    if (Math.abs(skewMs) >= SKEW_NOTED_MS === skewed) return;
    skewed = !skewed;
    if (skewed) platform.log.warn({ code: 'clock-skew', skewMs: Math.round(skewMs) }, skewText(skewMs));
    else
      platform.log.info({ code: 'clock-skew-over' }, "this machine's clock agrees with the database's again");
  };

  const reconcile = async (one: ServedJob, region: string): Promise<void> => {
    const { job, permitMs } = one.policy;
    const look = (): FlagAnswer => platform.flags.look(flagName(job, region));
    const { gate } = await reconcileGate(platform.region, job, region, look, permitMs);
    platform.metrics.gateState({ job, region, state: gate.state });
    platform.metrics.permitSeconds({ job, region, seconds: gate.permitMs / 1000 });
  };

  const missedSlot = async (one: ServedJob, region: string): Promise<Date | undefined> => {
    const { policy, job } = one;
    if (!platform.flags.look(flagName(policy.job, region)).open) return undefined;
    const since = await missedSince(
      platform.region,
      { job: policy.job, version: job.version, region },
      policy.missedSlots,
    );
    return since && newestSlot(policy.schedule, since, clock.now());
  };

  const catchUp = (one: ServedJob, region: string, slot: Date): Promise<void> =>
    turns.take(async () => {
      const run = await electMissed(platform.region, { ...claim(one, region), slot, trigger: 'catch-up' });
      if (!run) return;
      await caughtUp(platform.region, one.policy.job, region);
      await execute(one, run, 'planning');
    });

  /** Takes runs over for as long as there are any and this process has a turn to spare. */
  const takeOverAll = async (one: ServedJob): Promise<void> => {
    const taken = await takeOver(platform.region, {
      jobs: [one.policy.job],
      regions: one.regions,
      versions: [one.job.version],
      worker: platform.worker,
      leaseMs: one.policy.leaseMs,
    });
    if (!taken) return;
    const { run, status, fromWorker } = taken;
    platform.metrics.leaseTakenOver({ job: run.job, region: run.region });
    platform.log.warn(
      { code: 'taken-over', runId: run.id, attempt: run.attempt, fromWorker },
      `took run over while it was ${status}`,
    );
    await execute(one, run, status);
    await takeOverAll(one);
  };

  const sweep = async (): Promise<void> => {
    await askTime();
    await platform.trips.finishForsaken(platform.region);
    for (const one of served) {
      if (turns.spare) background('takeover', () => turns.take(() => takeOverAll(one)));
      for (const region of one.regions) {
        const slot = turns.spare ? await missedSlot(one, region) : undefined;
        if (slot) background('catch-up', () => catchUp(one, region, slot));
      }
    }
  };

  const reconcileJob = (one: ServedJob): Promise<unknown> =>
    Promise.all(one.regions.map((region) => reconcile(one, region)));
  const reconcileAll = (): Promise<unknown> => Promise.all(served.map(reconcileJob));

  // Sweeps come first: a gate's news may have to wait for a batch whose worker stands still, and a takeover ends that.
  const sweeps = startPoller(options.sweepMs ?? 2_000, sweep, failed('sweep'), { restFirst: true });
  const quiet = async (): Promise<void> => {
    shutdown.abort();
    await sweeps.stop();
    await Promise.allSettled(running);
  };
  try {
    await askTime();
    await reconcileAll();
  } catch (error) {
    await quiet();
    throw error;
  }
  // No beat: one renewal that hangs must not hold up the next.
  const renewals = served.map((one) =>
    setInterval(
      () => background('permits', () => reconcileJob(one)),
      one.policy.permitMs / RENEWALS_PER_PERMIT,
    ),
  );
  const stopTicks = served.map((one) =>
    scheduleTicks(
      one.policy.schedule,
      () => clock.now(),
      (slot) => {
        for (const region of one.regions) background('slot', () => runSlot(one, region, slot));
      },
    ),
  );

  return {
    runNow: async (job) => {
      const now = served.filter(({ policy }) => policy.job === job);
      await Promise.all(now.flatMap((one) => one.regions.map((region) => track(runSlot(one, region)))));
    },
    flagsChanged: () => background('permits', reconcileAll),
    stop: async () => {
      shutdown.abort();
      for (const timer of renewals) clearInterval(timer);
      for (const stopTick of stopTicks) stopTick();
      await quiet();
    },
  };
}

/** Lets so many at a time go ahead; the others wait in the order they came. */
class Turns {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  get spare(): boolean {
    return this.free > 0;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.free === 0) await new Promise<void>((go) => this.waiting.push(go));
    else this.free -= 1;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}
