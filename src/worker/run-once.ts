import type { Platform } from './platform.js';
import { executeRun, type RunOptions, type RunReport } from './run-loop.js';
import { electManual } from '../runs/election.js';
import type { Run } from '../runs/election.js';
import type { Policy } from '../flags/policy.js';
import type { LoadedJob } from './registry.js';

export interface RunOnce {
  readonly run: Run;
  /** Absent where the run was given up, or went to another worker. */
  readonly report: RunReport | undefined;
  /** Whether it was given up here, for Ctrl-C. */
  readonly interrupted: boolean;
}

/** Elects a manual run for now, under the id given, and carries it to its end in this process. Throws RUN_ACTIVE. */
export async function runOnce(
  platform: Platform,
  { job, policy }: { readonly job: LoadedJob; readonly policy: Policy },
  region: string,
  dryRun: boolean,
  options: RunOptions & { readonly id: string; readonly onElected: (run: Run) => void },
): Promise<RunOnce> {
  const run = await electManual(platform.region, {
    id: options.id,
    job: policy.job,
    version: job.version,
    region,
    dryRun,
    worker: platform.worker,
    leaseMs: policy.leaseMs,
  });
  options.onElected(run);
  const report = await executeRun(platform, job, policy, run, 'planning', options);
  return { run, report, interrupted: options.signal.aborted };
}
