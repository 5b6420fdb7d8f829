import { afterAll } from '@jest/globals';
import type pg from 'pg';
import { listApprovals } from '../../src/access/approvals.js';
import { flagName } from '../../src/flags/definition.js';
import { type FlagState, listFlags, setFlag } from '../../src/flags/flag-store.js';
import { admitVersions } from './admissions.js';
import { type Policy, parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { dropGateBy } from '../../src/containment/drop-gate.js';
import { reconcileGate } from '../../src/gate/permit.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { type AdvancePorts, advanceRollout, type Looked } from '../../src/rollout/advance.js';
import type { RuleVerdict } from '../../src/rollout/evidence.js';
import { announceVersions, withdrawWorker } from '../../src/rollout/announce.js';
import { newestRollout, type Rollout, rolloutsUnderWay } from '../../src/rollout/rollout-store.js';
import { askToSkip, decideSkip } from '../../src/rollout/skip-bake.js';
import { startRollout } from '../../src/rollout/start-rollout.js';
import { stopVersion } from '../../src/rollout/stop-version.js';
import { decideWave } from '../../src/rollout/wave-approval.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from './accounts.js';
import { checkShares } from './check-shares.js';
import type { TestDatabase } from './database.js';
import { DatabaseFlags } from './database-flags.js';
import { OWN } from './trip.js';
import { loadTestJob, testPlatform, type TestPlatform } from './platform.js';
import { person } from './people.js';
import type { Variant } from '../../src/flags/variant.js';

export const ann = person('ann', 'operator');
export const bob = person('bob', 'approver');

const MINUTE_MS = 60_000;

/** A job in two builds, three regions with a hundred organisations each, and a clock that the test turns. */
export interface Rolling {
  readonly job: string;
  readonly stable: LoadedJob;
  readonly candidate: LoadedJob;
  readonly policy: Policy;
  readonly ports: AdvancePorts;
  /** What the bake rules say, by region. */
  readonly verdicts: Map<string, readonly RuleVerdict[]>;
  now(): Date;
  /** Turns the clock on. */
  pass(minutes: number): void;
  /** The workers that have the candidate leave, until they come back. */
  leave(): Promise<void>;
  comeBack(): void;
  start(): Promise<Rollout>;
  /** The control plane looks once, and the workers hear what it has set. */
  look(): Promise<Looked>;
  rollout(): Promise<Rollout>;
  /** All accounts are unmanaged again, so that there is something to claim. */
  release(): Promise<unknown>;
  /** Releases all accounts, and every build runs the next slot in every region, in the order given. */
  slot(builds?: readonly LoadedJob[]): Promise<readonly RunReport[]>;
  /** A bake rule fails in a region: the guard trips on the candidate, and the workers hear of it. */
  trip(region: string): Promise<void>;
  flags(): Promise<ReadonlyMap<string, FlagState>>;
  /** By whatever way: beyond what a version is admitted to, too, where it stays closed. */
  set(region: string, change: { enabled?: boolean; variants?: readonly Variant[] }): Promise<FlagState>;
  /** Throws where the journal shows an organisation with both versions in a slot, or one outside its share. */
  checkJournal(): Promise<{ runs: number; units: number }>;
}

let jobs = 0;

/** One for all tests of a file: its connections are opened once. */
let shared: TestPlatform | undefined;
afterAll(() => shared?.planner.close());

/** To be called once for each test. `rollout` is the policy's, as YAML, for the regions `R-a`, `R-b` and `R-c`. */
export async function rolling(database: TestDatabase, rollout: string): Promise<Rolling> {
  jobs += 1;
  const job = `claims-${jobs}`;
  const regions = ['a', 'b', 'c'].map((letter) => `r${jobs}-${letter}`);
  const { owner } = database;
  const text = `job: ${job}
schedule: '*/5 * * * *'
regions: [${regions.join(', ')}]
${rollout.replaceAll('R-', `r${jobs}-`)}`;
  const file = parsePolicyFile(text, 'test.yaml');
  await applyPolicies(owner, [file], 'test');
  for (const region of regions) await seedAccounts(owner, region, 100, 2);
  const flags = new DatabaseFlags(owner);
  shared ??= testPlatform(database);
  const platform = { ...shared, flags };
  const definition = claimEverything(job);
  const stable = await loadTestJob(platform, { ...definition, version: '1.0.0' }, '11111111');
  const candidate = await loadTestJob(platform, { ...definition, version: '1.1.0' }, '22222222');
  for (const region of regions) await admitVersions(owner, { job, region }, [stable.version]);
  let now = new Date('2026-11-23T10:00:00Z');
  let slots = 0;
  const verdicts = new Map<string, readonly RuleVerdict[]>();
  const ports: AdvancePorts = {
    control: owner,
    regionOf: () => platform.region,
    verdictsOf: (_, __, region) => Promise.resolve(verdicts.get(region) ?? []),
    trip: (fault) => stopVersion({ control: owner, ownerOf: () => owner }, platform.trips, fault),
    now: () => now,
  };
  const reconcile = (region: string) =>
    reconcileGate(platform.region, job, region, () => flags.look(flagName(job, region)), 30_000);
  const dropGate = dropGateBy(() => owner, platform.trips);
  let serving = true;
  /** A worker says that it can run the candidate, as one does again and again: no step is taken without. */
  const announce = async (): Promise<void> => {
    if (serving) await announceVersions(owner, `w-${job}`, [{ job, version: candidate.version, regions }]);
  };
  const rolled: Rolling = {
    job,
    stable,
    candidate,
    policy: file.policy,
    ports,
    verdicts,
    now: () => now,
    pass: (minutes) => {
      now = new Date(now.getTime() + minutes * MINUTE_MS);
    },
    leave: () => {
      serving = false;
      return withdrawWorker(owner, `w-${job}`);
    },
    comeBack: () => {
      serving = true;
    },
    start: async () => {
      await announce();
      return startRollout(owner, { job, version: candidate.version, reason: 'new claims', now }, ann);
    },
    look: async () => {
      await announce();
      const [id = ''] = await rolloutsUnderWay(owner, job);
      const looked = await advanceRollout(ports, id);
      if (!looked) throw new Error('nobody looked');
      await flags.hear();
      return looked;
    },
    rollout: async () => {
      const newest = await newestRollout(owner, job);
      if (!newest) throw new Error('there is no rollout');
      return newest;
    },
    release: () =>
      owner.query(
        `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null
         where home_region = any($1)`,
        [regions],
      ),
    slot: async (builds = [stable, candidate]) => {
      slots += 1;
      const slotTime = new Date(Date.UTC(2026, 0, 1, 0, 5 * slots));
      await rolled.release();
      await flags.hear();
      const reports = [];
      for (const region of regions) {
        await reconcile(region);
        for (const build of builds) {
          const election = await elect(platform.region, {
            job,
            version: build.version,
            region,
            slot: slotTime,
            trigger: 'schedule',
            worker: platform.worker,
            leaseMs: 20_000,
          });
          if (!election.elected) throw new Error(`${build.version} was not elected: ${election.why}`);
          const signal = new AbortController().signal;
          const report = await executeRun(platform, build, file.policy, election.run, 'planning', { signal });
          if (report) reports.push(report);
        }
      }
      // The rollout's clock is the test's: so must the runs' be.
      await owner.query(
        `update portcullis_region.run set finished_at = $2
         where job = $1 and slot = $3 and finished_at is not null`,
        [job, now, slotTime],
      );
      return reports;
    },
    trip: async (region) => {
      const { version } = candidate;
      const failed = {
        rule: 'logins',
        verdict: 'fail',
        reason: 'logins: 9 of 10 fail',
        figures: {},
      } as const;
      await dropGate({ job, region, version, failed: [failed], restore: 'propose', closing: OWN });
      await flags.hear();
      for (const each of regions) await reconcile(each);
    },
    flags: async () => new Map((await listFlags(owner, job)).map((flag) => [flag.region, flag])),
    set: (region, change) =>
      setFlag(owner, { job, region, ...change, reason: 'by hand', changedBy: 'eve', beyond: 'close' }),
    checkJournal: () => checkShares(owner, job),
  };
  return rolled;
}

/** A canary, and then the rest behind a second person. */
export const WAVES = `
guard: { rules: [{ kind: outcome, name: logins, event: login-failed }] }
rollout:
  waves:
    - { name: canary, regions: [R-a], steps: [10%, 100%], bake: { runs: 2, changes: 10, time: 10m } }
    - { name: rest, regions: [R-b, R-c], steps: [50%, 100%], bake: { runs: 1, changes: 10, time: 5m }, approvals: 1 }
`;

/** A rollout by {@link WAVES} of which every region has the stable version, and whose first step was taken. */
export async function begunOn(
  database: TestDatabase,
): Promise<Rolling & { readonly regions: readonly string[] }> {
  const roll = await rolling(database, WAVES);
  const { regions } = roll.policy;
  for (const region of regions) {
    await roll.set(region, { enabled: true, variants: [{ version: roll.stable.version, permille: 1000 }] });
  }
  await roll.start();
  await roll.look();
  return { ...roll, regions };
}

/** What each region's flag gives to whom. */
export async function shares(roll: Rolling): Promise<Record<string, string>> {
  const flags = await roll.flags();
  return Object.fromEntries(
    [...flags.values()].map(({ region, enabled, variants }) => [
      region.slice(-1),
      `${enabled ? '' : 'off '}${variants.map(({ version, permille }) => `${version.slice(0, 5)} ${permille}`).join(', ')}`,
    ]),
  );
}

/** Runs slots and looks, minute by minute, until something else than waiting comes of it. */
export async function bake(roll: Rolling, minutes = 30): Promise<string> {
  for (let minute = 0; minute < minutes; minute += 1) {
    if (minute % 5 === 0) await roll.slot();
    roll.pass(1);
    const { decision } = await roll.look();
    if (decision.action !== 'wait') return decision.reason;
  }
  throw new Error('it waits for ever');
}

/** Somebody else agrees to what the rollout has asked for. */
export async function approveWave(owner: pg.Pool, roll: Rolling): Promise<void> {
  const { items } = await listApprovals(owner, { state: 'pending' }, { limit: 10 });
  const asked = items.find(({ subject }) => subject.startsWith(`${roll.job} `));
  if (!asked) throw new Error('nothing was asked');
  await decideWave(owner, asked.id, bob, 'approve');
}

/** Ann asks for the bakes under way to be skipped, and Bob agrees. */
export async function skipBake(roll: Rolling, reason: string): Promise<void> {
  const { id } = await askToSkip(roll.ports, { job: roll.job, reason, now: roll.now() }, ann);
  await decideSkip(roll.ports.control, id, bob, 'approve');
}
