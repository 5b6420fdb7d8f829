import { setTimeout } from 'node:timers/promises';
import type { Policy } from '../../flags/policy.js';
import { listFlags } from '../../flags/flag-store.js';
import { executeRun, type RunReport } from '../../worker/run-loop.js';
import type { LoadedJob } from '../../worker/registry.js';
import { elect } from '../../runs/election.js';
import type { OpenWorld } from './world-port.js';

/** Runs a slot of the world's clock through the platform, as a worker does. */
export async function runSlot(
  { platform, signal }: OpenWorld,
  job: LoadedJob,
  policy: Policy,
  region: string,
  slot: Date,
): Promise<RunReport> {
  const election = await elect(platform.region, {
    job: policy.job,
    version: job.version,
    region,
    slot,
    trigger: 'schedule',
    simulated: true,
    worker: platform.worker,
    leaseMs: policy.leaseMs,
  });
  if (!election.elected) throw new Error(`slot ${slot.toISOString()} of ${region} was not to be had`);
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  signal.throwIfAborted();
  if (report === undefined) throw new Error(`the run in ${region} went to another worker`);
  return report;
}

const LOOK_MS = 5;

/** Waits until the worker has heard of every flag of a job as it is now. */
export async function hearFlags({ owner, platform, signal }: OpenWorld, job: string): Promise<void> {
  for (const { name, revision } of await listFlags(owner, job)) {
    for (;;) {
      const answer = platform.flags.look(name);
      const heard = answer.open ? answer.definition.revision : (answer.revision ?? 0);
      if (heard >= revision) break;
      await setTimeout(LOOK_MS, undefined, { signal });
    }
  }
}
