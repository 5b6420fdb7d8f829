import { setTimeout } from 'node:timers/promises';
import type { Policy } from '../../flags/policy.js';
import { flagName } from '../../flags/definition.js';
import { setFlag, type FlagChange } from '../../flags/flag-store.js';
import { executeRun, type RunReport } from '../../jobs/run-loop.js';
import type { LoadedJob } from '../../jobs/registry.js';
import { elect } from '../../scheduler/election.js';
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

/** Sets flags as a person does, and waits until the worker has heard of it. */
export async function setFlags(
  { owner, platform, signal }: OpenWorld,
  changes: readonly Omit<FlagChange, 'changedBy'>[],
): Promise<void> {
  for (const change of changes) {
    const { revision } = await setFlag(owner, { ...change, changedBy: 'system:replay' });
    const flag = flagName(change.job, change.region);
    for (;;) {
      const answer = platform.flags.look(flag);
      const heard = answer.open ? answer.definition.revision : (answer.revision ?? 0);
      if (heard >= revision) break;
      await setTimeout(LOOK_MS, undefined, { signal });
    }
  }
}
