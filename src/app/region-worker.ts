import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../kernel/errors.js';
import type { PlacedJob, Worker } from '../worker/worker.js';
import type { RegionDatabase } from '../regions/region-database.js';
import type { Log } from '../telemetry/log.js';

const TRY_AGAIN_MS = 1_000;

export interface RegionWorkerOptions {
  readonly regionDatabase: RegionDatabase;
  /** Starts a worker on the region database, which is open by then. */
  readonly start: (served: readonly PlacedJob[]) => Promise<Worker>;
  readonly log: Log;
}

/**
 * The worker of one region database, and its replacement when a policy changes: the new one takes the old one's
 * runs over. Each database has its own, so that one which is away or hangs holds up no other's jobs; the worker of
 * one that is away is started as soon as it is there.
 */
export class RegionWorker {
  #worker: Worker | undefined;
  #changing: Promise<void> = Promise.resolve();
  #given = new AbortController();

  constructor(private readonly options: RegionWorkerOptions) {}

  get worker(): Worker | undefined {
    return this.#worker;
  }

  /** Serves these jobs from now on. Resolves when their worker runs, or when other jobs are given. */
  serve(served: readonly PlacedJob[]): Promise<void> {
    this.#given.abort();
    const given = new AbortController();
    this.#given = given;
    this.#changing = this.#changing.then(async () => {
      const former = this.#worker;
      this.#worker = undefined;
      await former?.stop();
      if (served.length > 0) await this.#start(served, given.signal);
    });
    return this.#changing;
  }

  stop(): Promise<void> {
    return this.serve([]);
  }

  async #start(served: readonly PlacedJob[], signal: AbortSignal): Promise<void> {
    const { regionDatabase, start, log } = this.options;
    while (!signal.aborted) {
      try {
        const open = await Promise.race([regionDatabase.prepare().then(() => true), aborted(signal)]);
        if (open) this.#worker = await start(served);
        return;
      } catch (error) {
        log.error({ code: 'worker-unstarted', database: regionDatabase.name, err: error }, messageOf(error));
        await setTimeout(TRY_AGAIN_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

function aborted(signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    else signal.addEventListener('abort', () => resolve(false), { once: true });
  });
}
