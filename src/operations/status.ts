import type { FlagView, SourceView } from '../flags/flag-desk.js';
import { policiesInForce } from '../flags/policy-store.js';
import { openWishes, type KillWish } from '../containment/pending-kill.js';
import type { GateView } from '../gate/browse-gates.js';
import type { UnreachableDatabase } from '../regions/query-regions.js';
import { listDatabases, type DatabaseView } from '../regions/databases.js';
import { listGatesOf } from '../regions/browse.js';
import { announcedVersions } from '../rollout/announce.js';
import { lastRuns, type RunView } from '../runs/browse-runs.js';
import { nthSlot } from '../runs/slots.js';
import { databaseTime } from '../postgres/database-clock.js';
import type { RegionDatabases } from '../regions/region-database.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { standingOf, versionStandings, type Standing, type VersionStanding } from './standing.js';
import { StatusSchema } from './status-schemas.js';

/** Every job, and where its flags come from. Times are ISO 8601 in UTC. */
export interface Status {
  readonly flagSource: SourceView;
  /** The region databases that could be asked: which they are, and what of them is not on record yet. */
  readonly databases: readonly DatabaseView[];
  readonly jobs: readonly JobStatus[];
}

/** Where a job stands. */
export interface JobStatus {
  readonly job: string;
  /** The version that is installed here; null for a job that is not. */
  readonly version: string | null;
  /** Cron in UTC; null where no policy schedules the job. */
  readonly schedule: string | null;
  readonly nextSlot: string | null;
  readonly regions: readonly RegionStatus[];
}

/** The state of a region now, why, and since when. */
export interface RegionStatus extends Standing {
  readonly region: string;
  /** As its source has it. Null where there is none, which is closed; or where the source was not heard. */
  readonly flag: FlagView | null;
  /** Null where no worker has ever looked at it, which is held. */
  readonly gate: GateView | null;
  /** Each version with a share, candidate first. */
  readonly versions: readonly VersionStatus[];
  /** The newest run of any version; dry runs and restores are none. */
  readonly lastRun: RunView | null;
  /** Why the region's database could not be asked; then gate and last run are unknown. Null where it answered. */
  readonly unreachable: string | null;
  /** A kill that has not reached the gate yet. */
  readonly killWish: PendingKill | null;
}

/** A kill that has not reached its gate. Times are ISO 8601 in UTC. */
export interface PendingKill extends Omit<KillWish, 'at' | 'lapsesBy'> {
  readonly at: string;
  readonly lapsesBy: string | null;
}

export interface VersionStatus extends VersionStanding {
  readonly lastRun: RunView | null;
}

/** The most gates that are read at a time. */
const PAGE = 2_000;

/** Every job that has a policy, a flag or a gate, or is installed, with every region of each. */
async function readStatus({
  control,
  regionDatabases,
  flags: desk,
  jobs,
  showsReasons,
}: OperationContext): Promise<Status> {
  const installed = jobs();
  const [policies, now, flags, wishes, { databases }, { gates, unreachable }] = await Promise.all([
    policiesInForce(control),
    databaseTime(control),
    desk.list(),
    openWishes(control),
    listDatabases(control, regionDatabases),
    allGates(regionDatabases),
  ]);
  const away = new Map(
    unreachable.map(({ database, reason }) => [
      database,
      showsReasons === true ? reason : 'the server cannot reach its database',
    ]),
  );
  const names = new Set([
    ...installed.map(({ name }) => name),
    ...[...policies, ...flags, ...gates].map(({ job }) => job),
  ]);
  const regionStatus = async (
    job: string,
    region: string,
    served: (version: string) => boolean,
  ): Promise<RegionStatus> => {
    const here = (each: { job: string; region: string }): boolean =>
      each.job === job && each.region === region;
    const regionDatabase = regionDatabases.of(region);
    const unreached = away.get(regionDatabase.name) ?? null;
    const flag = flags.find(here) ?? null;
    const gate = gates.find(here) ?? null;
    const standing = standingOf(gate, unreached);
    const versions = versionStandings(standing, gate, flag, served);
    const found =
      unreached === null
        ? await lastRuns(
            regionDatabase.worker,
            job,
            region,
            versions.map(({ version }) => version),
          )
        : { newest: null, byVersion: new Map<string, RunView>() };
    return {
      ...standing,
      region,
      flag,
      gate,
      versions: versions.map((each) => ({ ...each, lastRun: found.byVersion.get(each.version) ?? null })),
      lastRun: found.newest,
      unreachable: unreached,
      killWish: pendingOf(wishes.find(here)),
    };
  };
  const jobStatus = async (job: string): Promise<JobStatus> => {
    const policy = policies.find((each) => each.job === job);
    const of = [...flags, ...gates].filter((each) => each.job === job);
    const regions = new Set([...(policy?.regions ?? []), ...of.map(({ region }) => region)]);
    const announced = await announcedVersions(control, job);
    const servedIn = (region: string) => (version: string) =>
      announced.some((each) => each.version === version && each.regions.includes(region));
    return {
      job,
      version: installed.find(({ name }) => name === job)?.version ?? null,
      schedule: policy?.schedule ?? null,
      nextSlot: (policy && nthSlot(policy.schedule, 1, now)?.toISOString()) ?? null,
      regions: await Promise.all([...regions].map((region) => regionStatus(job, region, servedIn(region)))),
    };
  };
  return { flagSource: desk.source(), databases, jobs: await Promise.all([...names].sort().map(jobStatus)) };
}

function pendingOf(wish: KillWish | undefined): PendingKill | null {
  if (wish === undefined) return null;
  return { ...wish, at: wish.at.toISOString(), lapsesBy: wish.lapsesBy?.toISOString() ?? null };
}

/** Every gate of every job, or of one, and the databases that could not be asked. */
export async function allGates(
  regionDatabases: RegionDatabases,
  job?: string,
): Promise<{ gates: GateView[]; unreachable: readonly UnreachableDatabase[] }> {
  const gates: GateView[] = [];
  const away = new Map<string, UnreachableDatabase>();
  let cursor: string | undefined;
  do {
    const page = await listGatesOf(regionDatabases, { job }, { limit: PAGE, cursor });
    gates.push(...page.items);
    for (const regionDatabase of page.unreachable) away.set(regionDatabase.database, regionDatabase);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return { gates, unreachable: [...away.values()] };
}

/** The state of everything at one look. */
export const statusOperations = {
  getStatus: operation({
    at: 'GET /api/v1/status',
    example: {},
    summary: 'Every job and region: flag, versions, state and why, last run',
    action: 'read',
    result: StatusSchema,
    run: readStatus,
  }),
};
