import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import type { Installation, OpenPlatform } from '../../cli/app-port.js';
import type { Invoke } from '../../cli/invoke.js';
import { flagName } from '../../flags/definition.js';
import { PortcullisError } from '../../kernel/errors.js';
import type { Policy } from '../../flags/policy.js';
import { electManual } from '../../runs/election.js';
import { checkJob, type LoadedJob, type KnownJob } from '../../worker/registry.js';
import { executeRun, type RunReport } from '../../worker/run-loop.js';
import { JOB } from './script.js';

/** What the acts are played on. */
export interface Stage {
  readonly installation: Installation;
  readonly platform: OpenPlatform;
  /** Operations, as the person who plays the tour. */
  readonly first: Invoke;
  /** The same as the second person, who is named `demo`. */
  readonly second: Invoke;
  /** Who plays it, on record. */
  readonly by: string;
  readonly signal: AbortSignal;
}

const LOOK_MS = 100;
const LIMIT_MS = 60_000;

/** Waits for what others do: the control plane, a worker. Throws TIME_LIMIT with what did not come. */
export async function waitFor<T>(
  { signal }: Pick<Stage, 'signal'>,
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  limitMs = LIMIT_MS,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() - startedAt > limitMs) {
      throw new PortcullisError('TIME_LIMIT', `the tour waited ${limitMs / 1_000} s in vain: ${what}`, {
        hint: 'portcullis status and the log of portcullis start say what goes on; then start the tour again',
      });
    }
    await setTimeout(LOOK_MS, undefined, { signal });
  }
}

export const ownerOf = ({ installation }: Stage, region: string): pg.Pool =>
  installation.regionDatabases.of(region).owner;

/** A job's version, checked against a region's tables. */
export async function loaded(stage: Stage, known: KnownJob, region: string): Promise<LoadedJob> {
  const database = stage.installation.regionDatabases.of(region);
  await database.prepare();
  return checkJob(database.owner, known);
}

/** Waits until this process has heard that a version has a share in a region, or that it has none. */
export async function heard(stage: Stage, region: string, version: string): Promise<void> {
  const { flags } = stage.platform.workerContext;
  await waitFor(stage, `the flag of ${region} gives ${version} a share`, () => {
    const answer = flags.look(flagName(JOB, region));
    const has = answer.open && answer.definition.variants.some((each) => each.version === version);
    return has || undefined;
  });
}

/** Runs a version in a region now, through the whole platform, as a worker does. */
export async function runIn(stage: Stage, job: KnownJob, policy: Policy, region: string): Promise<RunReport> {
  const platform = stage.platform.platformOf(region);
  const run = await electManual(platform.region, {
    ...{ job: JOB, version: job.version, region, worker: platform.worker, leaseMs: policy.leaseMs },
  });
  const report = await executeRun(platform, await loaded(stage, job, region), policy, run, 'planning', {
    signal: stage.signal,
  });
  if (report !== undefined) return report;
  throw new PortcullisError('LEASE_LOST', `another worker took the run in ${region}`, {
    hint: 'start the tour again',
  });
}

export const applied = ({ applied: counts }: RunReport): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
