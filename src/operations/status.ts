import { z } from 'zod';
import type { TokenHolder } from '../access/tokens.js';
import { FlagView, SourceView } from '../flags/flag-desk.js';
import { policiesInForce } from '../flags/policy-store.js';
import { openWishes, type KillWish } from '../containment/pending-kill.js';
import { GateView } from '../gate/browse-gates.js';
import type { UnreachableDatabase } from '../regions/query-regions.js';
import { listDatabases, DatabaseView } from '../regions/databases.js';
import { listGatesOf } from '../regions/browse.js';
import { announcedVersions } from '../rollout/announce.js';
import { lastRuns, RunView, type LastRuns } from '../runs/browse-runs.js';
import { nthSlot } from '../runs/slots.js';
import { databaseTime } from '../postgres/database-clock.js';
import type { RegionDatabase, RegionDatabases } from '../regions/region-database.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { standingOf, versionStandings } from './standing.js';
import { count, named, isoTime } from '../kernel/schema.js';
import { readControl, policiesWithoutControl, regionsAlone, timeWithoutControl } from './without-control.js';

const standing = {
  why: z.string().describe('empty where it is open'),
  since: isoTime.nullable().describe('null where that is not known'),
};
const state = ['open', 'held', 'killed', 'expired', 'unreachable'] as const;

const VersionStatus = z.strictObject({
  version: z.string(),
  permille: count.describe('thousandths that are in force'),
  beyond: z.string().nullable().describe('why that is less than the flag asks for; null where it is not'),
  state: z.enum([...state, 'quarantined', 'unserved', 'not-admitted']),
  ...standing,
  lastRun: RunView.nullable(),
});

const PendingKill = z.strictObject({
  id: z.string(),
  job: z.string(),
  region: z.string(),
  version: z.string().nullable(),
  restoresToo: z.boolean(),
  drill: z.boolean(),
  reason: z.string(),
  by: z.string(),
  at: isoTime,
  lapsesBy: isoTime.nullable().describe('by when the last permit will have expired; null: unknown'),
  tries: count,
  trouble: z.string().describe('why it has not been carried out'),
});

const RegionStatus = z.strictObject({
  region: z.string(),
  state: z.enum(state),
  ...standing,
  flag: FlagView.nullable().describe('null: there is none, or its source was not heard'),
  gate: GateView.nullable().describe('null: no worker has ever looked at it'),
  versions: z.array(VersionStatus).readonly().describe('each version with a share, candidate first'),
  lastRun: RunView.nullable().describe('of any version; dry runs and restores are none'),
  unreachable: z.string().nullable().describe('why the database could not be asked; null: it answered'),
  killWish: PendingKill.nullable().describe('a kill that has not reached the gate yet'),
});

/** What is said of a job, wherever its regions are shown. */
export const ofJob = {
  job: z.string(),
  version: z.string().nullable().describe('that is installed; null: the job is not'),
  schedule: z.string().nullable().describe('cron, in UTC; null: no policy schedules the job'),
  nextSlot: isoTime.nullable(),
};

/** Every job, and where its flags come from. */
export const Status = named(
  'Status',
  z.strictObject({
    regionsAlone,
    flagSource: SourceView,
    databases: z.array(DatabaseView).readonly().describe('the region databases that could be asked'),
    jobs: z
      .array(
        z.strictObject({
          ...ofJob,
          regions: z.array(RegionStatus).readonly(),
        }),
      )
      .readonly(),
  }),
);
export type Status = z.infer<typeof Status>;
/** Where a job stands. */
export type JobStatus = Status['jobs'][number];
/** The state of a region now, why, and since when. */
export type RegionStatus = JobStatus['regions'][number];
/** A kill that has not reached its gate. */
export type PendingKill = z.infer<typeof PendingKill>;
export type VersionStatus = z.infer<typeof VersionStatus>;

/** The most gates that are read at a time. */
const PAGE = 2_000;

/** Every job that has a policy, a flag or a gate, or is installed, with every region of each. */
async function readStatus(context: OperationContext, caller: TokenHolder): Promise<Status> {
  const { control, regionDatabases, flags: desk, jobs, showsReasons } = context;
  const installed = jobs();
  const [decided, { gates, unreachable }] = await Promise.all([
    readControl(caller, async () => {
      const [policies, now, flags, wishes, { databases }] = await Promise.all([
        policiesInForce(control),
        databaseTime(control),
        desk.list(),
        openWishes(control),
        listDatabases(control, regionDatabases),
      ]);
      return { policies, now, flags, wishes, databases };
    }),
    allGates(regionDatabases),
  ]);
  const { flags = [], wishes = [], databases = [] } = decided ?? {};
  const policies = decided?.policies ?? policiesWithoutControl(context);
  const now = decided?.now ?? (await timeWithoutControl(context));
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
  const standings: Placed[] = [];
  for (const job of [...names].sort()) {
    const policy = policies.find((each) => each.job === job);
    const of = [...flags, ...gates].filter((each) => each.job === job);
    const regions = new Set([...(policy?.regions ?? []), ...of.map(({ region }) => region)]);
    const announced =
      decided === undefined ? undefined : await readControl(caller, () => announcedVersions(control, job));
    for (const region of regions) {
      const here = (each: { job: string; region: string }): boolean =>
        each.job === job && each.region === region;
      const database = regionDatabases.of(region);
      const unreachable = away.get(database.name) ?? null;
      const flag = flags.find(here) ?? null;
      const gate = gates.find(here) ?? null;
      const standing = standingOf(gate, unreachable);
      // Where nobody can tell who serves a version, its gate's permit says whether any worker does.
      const isServed = (version: string): boolean =>
        announced?.some((each) => each.version === version && each.regions.includes(region)) ?? true;
      const versions = versionStandings(standing, gate, flag, isServed);
      const killWish = pendingOf(wishes.find(here));
      standings.push({
        job,
        database,
        versions,
        status: { ...standing, region, flag, gate, unreachable, killWish },
      });
    }
  }
  const runs = await lastRunsIn(regionDatabases, standings);
  return {
    regionsAlone: decided === undefined,
    flagSource: desk.source(),
    databases,
    jobs: [...names].sort().map((job): JobStatus => {
      const policy = policies.find((each) => each.job === job);
      return {
        job,
        version: installed.find(({ name }) => name === job)?.version ?? null,
        schedule: policy?.schedule ?? null,
        nextSlot:
          policy === undefined || policy.schedule === null
            ? null
            : (nthSlot(policy.schedule, 1, now)?.toISOString() ?? null),
        regions: standings
          .filter((each) => each.job === job)
          .map((each): RegionStatus => {
            const last = runs.get(each);
            return {
              ...each.status,
              versions: each.versions.map((version) => ({
                ...version,
                lastRun: last?.byVersion.get(version.version) ?? null,
              })),
              lastRun: last?.newest ?? null,
            };
          }),
      };
    }),
  };
}

/** A job in a region, without its runs. */
interface Placed {
  readonly job: string;
  readonly database: RegionDatabase;
  readonly versions: ReturnType<typeof versionStandings>;
  readonly status: Omit<RegionStatus, 'versions' | 'lastRun'>;
}

/** The last runs in every place whose database answers: one question for each database, however many gates it has. */
async function lastRunsIn(
  regionDatabases: RegionDatabases,
  standings: readonly Placed[],
): Promise<ReadonlyMap<Placed, LastRuns>> {
  const found = new Map<Placed, LastRuns>();
  await Promise.all(
    regionDatabases.all().map(async (database) => {
      const here = standings.filter((each) => each.database === database && each.status.unreachable === null);
      // One that cannot be reached has no login to ask by.
      if (here.length === 0) return;
      const runs = await lastRuns(
        database.worker,
        here.map(({ job, versions, status: { region } }) => ({
          ...{ job, region },
          versions: versions.map(({ version }) => version),
        })),
      );
      for (const [at, place] of here.entries()) {
        const last = runs[at];
        if (last !== undefined) found.set(place, last);
      }
    }),
  );
  return found;
}

function pendingOf(wish: KillWish | undefined): PendingKill | null {
  if (wish === undefined) return null;
  return { ...wish, at: wish.at.toISOString(), lapsesBy: wish.lapsesBy?.toISOString() ?? null };
}

/** Every gate of every job, or of one, and the databases that could not be asked. */
export async function allGates(
  regionDatabases: RegionDatabases,
  jobs?: readonly string[],
): Promise<{ gates: GateView[]; unreachable: readonly UnreachableDatabase[] }> {
  const gates: GateView[] = [];
  const away = new Map<string, UnreachableDatabase>();
  let cursor: string | undefined;
  do {
    const page = await listGatesOf(regionDatabases, { jobs }, { limit: PAGE, cursor });
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
    compressed: true,
    example: {},
    summary: 'Every job and region: flag, versions, state and why, last run',
    action: 'read',
    result: Status,
    run: (context, _input, caller) => readStatus(context, caller),
  }),
};
