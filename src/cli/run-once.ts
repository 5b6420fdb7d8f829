import { PortcullisError } from '../kernel/errors.js';
import type { Platform } from '../worker/platform.js';
import { executeRun, type RunOptions, type RunReport } from '../worker/run-loop.js';
import { elect, type Run } from '../runs/election.js';
import type { KnownJob } from './names.js';

export interface RunOnce {
  readonly run: Run;
  /** Absent where the run was given up, or went to another worker. */
  readonly report: RunReport | undefined;
  /** Whether it was given up here, for Ctrl-C. */
  readonly interrupted: boolean;
}

/** An election is lost without a run to blame when that run ended in the same moment. */
const ELECTIONS = 3;

/** Elects a manual run for now, under the id given, and carries it to its end in this process. Throws RUN_ACTIVE. */
export async function runOnce(
  platform: Platform,
  known: KnownJob,
  region: string,
  dryRun: boolean,
  options: RunOptions & { readonly id: string; readonly onElected: (run: Run) => void },
): Promise<RunOnce> {
  const run = await electNow(platform, known, region, dryRun, options.id);
  options.onElected(run);
  const { job, policy } = known;
  const report = await executeRun(platform, job, policy, run, 'planning', options);
  return { run, report, interrupted: options.signal.aborted };
}

async function electNow(
  platform: Platform,
  known: KnownJob,
  region: string,
  dryRun: boolean,
  id: string,
): Promise<Run> {
  const { job, policy } = known;
  for (let attempt = 1; attempt <= ELECTIONS; attempt += 1) {
    const election = await elect(platform.region, {
      id,
      job: policy.job,
      version: job.version,
      region,
      trigger: 'manual',
      dryRun,
      worker: platform.worker,
      leaseMs: policy.leaseMs,
    });
    if (election.elected) return election.run;
    if (election.activeRun !== undefined) throw runActive(policy.job, region, election.activeRun);
  }
  throw runActive(policy.job, region, undefined);
}

function runActive(job: string, region: string, activeRun: string | undefined): PortcullisError {
  const which = activeRun === undefined ? 'another run' : `run ${activeRun.slice(0, 8)}`;
  return new PortcullisError('RUN_ACTIVE', `${which} of ${job} is active in ${region}`, {
    hint:
      activeRun === undefined
        ? 'try again'
        : `wait for it (portcullis run show ${activeRun.slice(0, 8)}); if its worker is gone, ` +
          `portcullis worker --regions ${region} finishes it`,
    details: { job, region, ...(activeRun !== undefined && { activeRun }) },
  });
}
