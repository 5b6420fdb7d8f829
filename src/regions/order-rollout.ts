import type pg from 'pg';
import type { Approval } from '../access/approvals.js';
import type { Principal } from '../access/roles.js';
import { admitInitially } from '../flags/admission-store.js';
import { rolloutElsewhere } from '../flags/flags-elsewhere.js';
import type { KnownJob } from '../worker/registry.js';
import { askBreakGlass } from '../rollout/break-glass.js';
import { requireVersion } from '../rollout/announce.js';
import type { Rollout } from '../rollout/rollout-store.js';
import { quarantinedVersion, startRollout } from '../rollout/start-rollout.js';
import { quarantineOf } from '../rollout/stop-version.js';
import { INSTALLED } from '../kernel/version-named.js';
import type { RegionDatabases } from './region-database.js';
import { rolloutSources } from './rollout-sources.js';

export interface RolloutWish {
  readonly job: string;
  /** A name that `versionsNamed` knows, or `installed` for the version that this program has. */
  readonly version: string;
  readonly reason: string;
  /** Where flags are, if elsewhere, where a rollout can't set them. */
  readonly flagsAt?: string | undefined;
}

/**
 * Starts the rollout that a person means. Throws VERSION_UNKNOWN, FLAGS_ELSEWHERE where flags come from elsewhere,
 * ROLLOUT_REFUSED where the version is quarantined in any region, and what `startRollout` throws.
 */
export async function orderRollout(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  jobs: readonly KnownJob[],
  { job, version: meant, reason, flagsAt }: RolloutWish,
  principal: Principal,
): Promise<Rollout> {
  if (flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
  const { version, quarantined } = await versionMeant(control, regionDatabases, jobs, job, meant);
  return startRollout(control, { job, version, reason, quarantined }, principal);
}

export interface InitialWish extends Omit<RolloutWish, 'flagsAt'> {
  /** Only these; absent: every region of the policy in which no version was ever admitted. */
  readonly regions?: readonly string[] | undefined;
}

/** Which version was admitted as the first one of a job, and where. */
export interface InitialAdmission {
  readonly job: string;
  readonly version: string;
  readonly regions: readonly string[];
}

/**
 * Admits the first version of a job, wherever its flags are. Throws VERSION_UNKNOWN, ROLLOUT_REFUSED where the version
 * is quarantined in any region, and what `admitInitially` throws.
 */
export async function orderInitial(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  jobs: readonly KnownJob[],
  { job, version: meant, regions, reason }: InitialWish,
  principal: Principal,
): Promise<InitialAdmission> {
  const { version, quarantined } = await versionMeant(control, regionDatabases, jobs, job, meant);
  if (quarantined !== undefined) throw quarantinedVersion(job, version, quarantined);
  const admitted = await admitInitially(control, { job, version, regions, reason }, principal);
  return { job, version, regions: admitted };
}

export interface BreakGlassWish extends Omit<RolloutWish, 'flagsAt'> {
  readonly regions: readonly string[];
  readonly permille: number;
  readonly forMs?: number | undefined;
}

/**
 * Asks for break-glass of the version that a person means. Throws VERSION_UNKNOWN, and what `askBreakGlass` throws.
 */
export async function orderBreakGlass(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  jobs: readonly KnownJob[],
  { version: meant, ...wish }: BreakGlassWish,
  principal: Principal,
): Promise<Approval> {
  const version = await versionNamed(control, jobs, wish.job, meant);
  return askBreakGlass(rolloutSources(control, regionDatabases, jobs), { ...wish, version }, principal);
}

async function versionNamed(
  control: pg.Pool,
  jobs: readonly KnownJob[],
  job: string,
  meant: string,
): Promise<string> {
  const installed = jobs.find(({ definition }) => definition.name === job)?.version;
  return installed !== undefined && (meant === INSTALLED || meant === installed)
    ? installed
    : requireVersion(control, job, meant);
}

/** The version that a person means, in full, and why it is quarantined, where it is. */
async function versionMeant(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  jobs: readonly KnownJob[],
  job: string,
  meant: string,
): Promise<{ version: string; quarantined: string | undefined }> {
  const version = await versionNamed(control, jobs, job, meant);
  const reasons = await Promise.all(
    regionDatabases.all().map(({ owner }) => quarantineOf(owner, job, version)),
  );
  return { version, quarantined: reasons.find((each) => each !== undefined) };
}
