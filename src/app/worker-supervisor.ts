import { setTimeout } from 'node:timers/promises';
import { recordAudit } from '../audit/record.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import type { Installation, ServeOptions } from '../cli/app-port.js';
import type { Config } from '../config.js';
import type { Policy } from '../flags/policy.js';
import { loadPolicies } from '../flags/policy-store.js';
import type { RunReport } from '../worker/run-loop.js';
import { startWorker, type PlacedJob, type ServedJob, type Worker } from '../worker/worker.js';
import type { RegionDatabase } from '../regions/region-database.js';
import { createReservations } from '../worker/reservations.js';
import type { WiredPlatform } from './platform.js';
import { RegionWorker } from './region-worker.js';

const POLICY_POLL_MS = 2_000;
/** How long a start waits for the workers of databases that may be away. */
const START_MS = 5_000;

/**
 * The workers, one for each region database, as the policies in force want them. A policy that is malformed is
 * not served, so its permits expire and its gates close.
 */
export class WorkerSupervisor {
  served: readonly PlacedJob[] = [];
  private readonly regionWorkers = new Map<RegionDatabase, RegionWorker>();
  private inForce = '';
  /** Entries of the record that are on their way. */
  private readonly recording = new Set<Promise<unknown>>();
  private refreshing: Poller | undefined;
  private unsubscribe: () => void = () => undefined;

  constructor(
    private readonly config: Config,
    private readonly installation: Installation,
    private readonly wired: WiredPlatform,
    private readonly options: ServeOptions,
  ) {}

  async start(): Promise<void> {
    const limit = new AbortController();
    await Promise.race([
      Promise.all(await this.refresh()),
      setTimeout(START_MS, undefined, { signal: limit.signal }).catch(() => undefined),
    ]);
    limit.abort();
    this.unsubscribe = this.wired.source.onChange(() => {
      for (const { worker } of this.regionWorkers.values()) worker?.flagsChanged();
    });
    const { log } = this.wired.workerContext;
    this.refreshing = startPoller(
      POLICY_POLL_MS,
      () => this.refresh(),
      (error) => log.error({ code: 'policy-unread', err: error }, `policies: ${messageOf(error)}`),
      { restFirst: true },
    );
  }

  async runAllNow(): Promise<void> {
    const jobs = new Set(this.served.map(({ policy }) => policy.job));
    const workers = [...this.regionWorkers.values()].flatMap(({ worker }) => (worker ? [worker] : []));
    await Promise.all(workers.flatMap((worker) => [...jobs].map((job) => worker.runNow(job))));
  }

  async stop(): Promise<void> {
    this.unsubscribe();
    await this.refreshing?.stop();
    await Promise.all([...this.regionWorkers.values()].map((regionWorker) => regionWorker.stop()));
    await Promise.all(this.recording);
  }

  /** Answers when each region worker that has something new to serve does so. */
  private async refresh(): Promise<readonly Promise<void>[]> {
    const { control, regionDatabases } = this.installation;
    const loaded = await loadPolicies(control);
    const now = JSON.stringify(loaded.map((each) => (each.ok ? each.policy : each.reason)));
    if (now === this.inForce) return [];
    for (const each of loaded) {
      if (!each.ok) this.wired.workerContext.log.error({ code: each.code, job: each.job }, each.reason);
    }
    const policies = loaded.flatMap((each) => (each.ok ? [each.policy] : []));
    this.installation.place(policies);
    const served = this.jobsOf(policies);
    this.served = served;
    this.inForce = now;
    for (const regionDatabase of regionDatabases.all()) this.regionWorkerOf(regionDatabase);
    return [...this.regionWorkers].map(([regionDatabase, regionWorker]) =>
      regionWorker.serve(
        served.flatMap((one) => {
          const regions = one.regions.filter((region) => regionDatabases.of(region) === regionDatabase);
          return regions.length === 0 ? [] : [{ ...one, regions }];
        }),
      ),
    );
  }

  private regionWorkerOf(regionDatabase: RegionDatabase): RegionWorker {
    const { log } = this.wired.workerContext;
    const start = (served: readonly PlacedJob[]) => this.startOn(regionDatabase, served);
    const regionWorker =
      this.regionWorkers.get(regionDatabase) ?? new RegionWorker({ regionDatabase, start, log });
    this.regionWorkers.set(regionDatabase, regionWorker);
    return regionWorker;
  }

  private async startOn(regionDatabase: RegionDatabase, served: readonly PlacedJob[]): Promise<Worker> {
    const platform = {
      ...this.wired.workerContext,
      region: regionDatabase.worker,
      planner: regionDatabase.planner,
      reservations: createReservations(this.installation.control, regionDatabase.name),
    };
    return startWorker(platform, await this.loaded(regionDatabase, served), {
      concurrentRuns: this.config.concurrentRuns,
      onRun: (report) => {
        this.options.onRun(report);
        this.recordRestore(report);
      },
      onProgress: this.options.onProgress,
    });
  }

  /** The jobs checked against the database. One that does not fit it keeps none of the others from being served. */
  private async loaded(regionDatabase: RegionDatabase, served: readonly PlacedJob[]): Promise<ServedJob[]> {
    const jobs = await Promise.all(
      served.map(async ({ policy, regions }) => {
        try {
          return [{ job: await regionDatabase.job(policy.job), policy, regions }];
        } catch (error) {
          if (!(error instanceof PortcullisError) || error.code !== 'JOB_INVALID') throw error;
          this.wired.workerContext.log.error(
            { code: 'job-invalid', job: policy.job, database: regionDatabase.name, err: error },
            `${error.message}; it is not served until it is corrected, the database migrated, and the process restarted`,
          );
          return [];
        }
      }),
    );
    return jobs.flat();
  }

  /** That a restore was asked for stands on the record already; here, what became of it. */
  private recordRestore({ run, status, applied, conflicts }: RunReport): void {
    if (run.restores === null) return;
    const recorded = recordAudit(this.installation.control, {
      principal: `worker:${this.config.worker}`,
      action: 'restore-ended',
      subject: run.restores,
      evidence: { restore: run.id, status, applied, conflicts },
    }).catch((error: unknown) => {
      this.wired.workerContext.log.error(
        { code: 'audit-unwritten', err: error },
        `audit: ${messageOf(error)}`,
      );
    });
    this.recording.add(recorded);
    void recorded.then(() => this.recording.delete(recorded));
  }

  private jobsOf(policies: readonly Policy[]): PlacedJob[] {
    const wanted = this.options.regions ?? this.config.regions;
    return policies.flatMap((policy) => {
      const job = this.installation.jobs.find(({ definition }) => definition.name === policy.job);
      if (!job) {
        this.wired.workerContext.log.warn(
          { code: 'job-missing', job: policy.job },
          'there is a policy for a job that this program does not have',
        );
        return [];
      }
      const regions = policy.regions.filter((region) => wanted?.includes(region) ?? true);
      return [{ job, policy, regions }];
    });
  }
}
