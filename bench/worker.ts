import { EmbeddedSource } from '#dist/flags/embedded-source.js';
import { PortcullisProvider } from '#dist/flags/provider.js';
import type { Policy } from '#dist/flags/policy.js';
import { openPlannerDatabase } from '#dist/worker/planner-database.js';
import type { Platform } from '#dist/worker/platform.js';
import { loadJob, type InstalledJob, type LoadedJob } from '#dist/worker/registry.js';
import { executeRun, type RunReport } from '#dist/worker/run-loop.js';
import { elect, type Run } from '#dist/runs/election.js';
import { openPool } from '#dist/postgres/pool.js';
import { createLogger } from '#dist/telemetry/log.js';
import { createMetrics } from '#dist/telemetry/metrics.js';
import type { BenchDatabase } from './server.js';

/** A worker as `app.ts` wires one, of a single job. */
export interface BenchWorker {
  readonly platform: Platform;
  readonly job: LoadedJob;
  /** Elects a run of the job, now. */
  elect(region: string, policy: Policy): Promise<Run>;
  /** Elects a run and carries it to its end. Throws if it did not apply exactly `changes`. */
  run(region: string, policy: Policy, changes: number): Promise<RunReport>;
  close(): Promise<void>;
}

export async function openWorker(
  { workerUrl, plannerUrl }: Pick<BenchDatabase, 'workerUrl' | 'plannerUrl'>,
  installed: InstalledJob,
): Promise<BenchWorker> {
  const region = openPool(workerUrl, { name: 'bench worker', max: 16 });
  const planner = openPlannerDatabase(plannerUrl, 4);
  const provider = new PortcullisProvider(new EmbeddedSource(region));
  await provider.initialize();
  const nowhere = (): Promise<never> => Promise.reject(new Error('the bench trips nothing'));
  const platform: Platform = {
    worker: 'bench',
    region,
    planner,
    flags: provider,
    clients: () => ({}),
    log: createLogger({ level: 'silent' }),
    metrics: createMetrics(),
    trips: { carryOut: nowhere, conclude: nowhere, finishForsaken: nowhere },
  };
  const job = await loadJob(region, installed);
  const electRun = async (at: string, policy: Policy): Promise<Run> => {
    const { name } = job.definition;
    const claim = {
      job: name,
      version: job.version,
      region: at,
      trigger: 'manual',
      worker: 'bench',
    } as const;
    const election = await elect(region, { ...claim, leaseMs: policy.leaseMs });
    if (!election.elected) throw new Error(`no run of ${name} in ${at}: ${election.why}`);
    return election.run;
  };
  return {
    platform,
    job,
    elect: electRun,
    async run(at, policy, changes) {
      const { signal } = new AbortController();
      const report = await executeRun(platform, job, policy, await electRun(at, policy), 'planning', {
        signal,
      });
      if (report?.applied['claim'] !== changes) {
        throw new Error(`the run in ${at} should apply ${changes} claims: ${JSON.stringify(report)}`);
      }
      return report;
    },
    async close() {
      await provider.onClose();
      await Promise.all([region.end(), planner.close()]);
    },
  };
}
