import { applyPolicies } from '../../flags/policy-store.js';
import { portcullisWorld } from './behind-portcullis.js';
import type { ReplayDatabases } from './databases.js';
import { SLOT_MINUTES, beforeSlot, live } from './life.js';
import { policyWith, type Layer } from './policies.js';
import type { ReplayResult, WorldOutcome, WorldResult } from './result.js';
import { flagWorld, ungatedWorld } from './without-guard.js';
import {
  buildWorld,
  expectFromNow,
  organisationsOf,
  regionsOf,
  takeNightlySnapshot,
  type WorldSize,
} from './world.js';
import type { OpenWorld, Say } from './world-port.js';
import { admitInitially } from '../../flags/admission-store.js';
import { setFlag } from '../../flags/flag-store.js';
import type { Policy } from '../../flags/policy.js';
import { PEOPLE } from './people.js';
import { hearFlags, runSlot } from './run-slot.js';

export interface ReplaySite {
  readonly signal: AbortSignal;
  readonly databases: ReplayDatabases;
  /** Brings a database of the owner's URL to this program's schema and opens all that runs on it, for `work`. */
  withWorld<T>(url: string, work: (world: OpenWorld) => Promise<T>): Promise<T>;
}

type Scene = (world: OpenWorld, shippedAt: Date, say: Say) => Promise<WorldOutcome>;

const behind =
  (layer: Layer): Scene =>
  (world, shippedAt, say) =>
    portcullisWorld(world, layer, shippedAt, say);

const SCENES: ReadonlyMap<string, Scene> = new Map<string, Scene>([
  ['ungated', (world, _, say) => ungatedWorld(world, say)],
  ['a flag', (world, _, say) => flagWorld(world, say)],
  ['Portcullis', behind('as shipped')],
  ['Portcullis, without invariants', behind('without invariants')],
  ['Portcullis, login failures only', behind('login failures only')],
]);

/** The worlds, as they are called, in the order in which they are replayed. */
export const WORLD_NAMES: readonly string[] = [...SCENES.keys()];

/**
 * Replays the incident of February 2021: makes a world and its history once, and then lets the faulty version
 * loose in one copy of it after the other, each with something else between it and the data.
 */
export async function replayIncident(site: ReplaySite, size: WorldSize, say: Say): Promise<ReplayResult> {
  const startedAt = performance.now();
  const { databases } = site;
  const url = await databases.create('before');
  const shippedAt = nextSlot(new Date());
  say('making the world');
  const versions = await site.withWorld(url, async (world) => {
    await buildWorld(world.owner, size);
    world.signal.throwIfAborted();
    await takeNightlySnapshot(world.owner);
    const { policy } = await putInForce(world, size);
    await runHistory(world, policy, shippedAt, say);
    await expectFromNow(world.owner);
    return { stableVersion: world.stable.version, faultyVersion: world.faulty.version };
  });
  const worlds: WorldResult[] = [];
  for (const [name, scene] of SCENES) {
    site.signal.throwIfAborted();
    say(`${name}: copying the world`);
    const copy = await databases.copy('world', 'before');
    const outcome = await site.withWorld(copy, (world) =>
      scene(world, shippedAt, (text) => say(`${name}: ${text}`)),
    );
    worlds.push({ name, ...outcome });
    await databases.drop('world');
  }
  return {
    accounts: size.accounts,
    organisations: organisationsOf(size),
    regions: regionsOf(size),
    seed: size.seed,
    ...versions,
    healthyRuns: HEALTHY_RUNS * size.regions,
    worlds,
    tookMs: performance.now() - startedAt,
  };
}

async function putInForce(world: OpenWorld, size: WorldSize) {
  const file = await policyWith('as shipped', regionsOf(size));
  await applyPolicies(world.owner, [file], 'system:replay');
  return file;
}

/** The first slot after now: the history's slots lie before it. */
function nextSlot(now: Date): Date {
  const slotMs = SLOT_MINUTES * 60_000;
  return new Date(Math.ceil(now.getTime() / slotMs) * slotMs);
}

/** Healthy runs of the stable version in each region, before the faulty one ships. */
const HEALTHY_RUNS = 20;

/**
 * The hours before the incident: the stable version runs in each slot of every region, behind its flag and
 * through the whole platform, while users go on. `shippedAt` is the first slot after them.
 */
async function runHistory(world: OpenWorld, policy: Policy, shippedAt: Date, say: Say): Promise<void> {
  const { owner, size, stable } = world;
  const regions = regionsOf(size);
  const first = { job: policy.job, version: stable.version, regions, reason: 'the first version' };
  await admitInitially(owner, first, { name: PEOPLE.name, role: 'operator', regions: null });
  for (const region of regions) {
    await setFlag(owner, {
      ...{ job: policy.job, region, enabled: true, reason: 'the stable version', changedBy: PEOPLE.name },
      variants: [{ version: stable.version, permille: 1000 }],
    });
  }
  await hearFlags(world, policy.job);
  for (let run = 0; run < HEALTHY_RUNS; run += 1) {
    say(`healthy runs, ${run + 1} of ${HEALTHY_RUNS}`);
    const minute = (run - HEALTHY_RUNS) * SLOT_MINUTES;
    await beforeSlot(owner, size, run, HEALTHY_RUNS);
    const slot = new Date(shippedAt.getTime() + minute * 60_000);
    await Promise.all(
      regions.map(async (region) => {
        const { status, reason } = await runSlot(world, stable, policy, region, slot);
        if (status === 'succeeded') return;
        throw new Error(`a healthy run in ${region} ended as ${status}: ${reason}`);
      }),
    );
    await live(owner, size, { from: minute, until: minute + SLOT_MINUTES }, { expected: false });
  }
}
