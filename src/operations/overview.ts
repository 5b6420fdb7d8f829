import { z } from 'zod';
import type { TokenHolder } from '../access/tokens.js';
import { versionsNow } from '../rollout/announce.js';
import { openWishes } from '../containment/pending-kill.js';
import { policiesInForce } from '../flags/policy-store.js';
import type { GateView } from '../gate/browse-gates.js';
import { cursorOf, keyOfCursor } from '../postgres/page.js';
import { databaseTime } from '../postgres/database-clock.js';
import { queryRegions } from '../regions/query-regions.js';
import { permilleOf } from '../rollout/read-evidence.js';
import { jobsRollingOut, newestRollout } from '../rollout/rollout-store.js';
import { type RecentRun, recentRuns } from '../runs/recent-runs.js';
import { nthSlot } from '../runs/slots.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { count, durationMs, named, isoTime } from '../kernel/schema.js';
import { jobQuery } from './schemas.js';
import { standingOf, versionStandings, type Standing } from './standing.js';
import { allGates, ofJob } from './status.js';
import { runStatuses } from '../runs/browse-runs.js';
import { SourceView } from '../flags/flag-desk.js';
import { readControl, policiesWithoutControl, regionsAlone, timeWithoutControl } from './without-control.js';

/** How a gate looks from afar: what it does now, or that nobody hears from it. */
export const OVERVIEW_STATES = ['open', 'rolling-out', 'held', 'killed', 'silent'] as const;
export type OverviewState = (typeof OVERVIEW_STATES)[number];

const MOST_RUNS = 12;

const Row = named(
  'OverviewGate',
  z.strictObject({
    region: z.string(),
    state: z
      .enum(OVERVIEW_STATES)
      .describe('`silent`: no worker renews its permit, none serves it, or its database does not answer'),
    why: z.string().describe('empty where there is nothing to explain'),
    since: isoTime.nullable(),
    stopped: z.boolean().describe('whether restores are stopped too'),
    permitRemainingMs: durationMs.nullable().describe('when this was read; null: there is no gate'),
    versions: z
      .array(
        z.strictObject({
          version: z.string(),
          permille: count.describe('thousandths that are in force'),
          state: z.string().describe('open, or what keeps the version from acting'),
        }),
      )
      .readonly()
      .describe('candidate first'),
    rollout: z
      .strictObject({
        version: z.string(),
        permille: count,
        step: count.describe('from 1; 0: not begun here'),
        steps: count,
      })
      .nullable()
      .describe('of the rollout under way, where this region has not finished it'),
    killPending: z.string().nullable().describe('the reason of a kill that has not reached the gate yet'),
    runs: z
      .array(
        z.strictObject({
          runId: z.guid(),
          status: z.enum(runStatuses),
          at: isoTime,
          planned: count,
          applied: count,
          expected: z
            .strictObject({
              rule: z.string(),
              observed: count.describe('what the rule counted: changes of one kind, or units that have any'),
              low: z.number().min(0),
              high: z.number().min(0).describe('19 of 20 healthy runs are from `low` to here'),
            })
            .nullable()
            .describe(
              'what a count rule expected when it judged the plan; of several rules, the one to which the run was the least likely. null: no rule had a band for it, as with too few runs to compare with',
            ),
        }),
      )
      .readonly()
      .describe(`the last ${MOST_RUNS}, newest first; dry runs and restores are none`),
  }),
);

const Overview = named(
  'Overview',
  z.strictObject({
    at: isoTime.describe('when this was read, by the control database’s clock'),
    regionsAlone,
    flagSource: SourceView,
    unreachable: z.array(z.string()).readonly().describe('region databases that did not answer'),
    jobs: z
      .array(
        z.strictObject({
          ...ofJob,
          gates: z.array(Row).readonly(),
        }),
      )
      .readonly(),
    next: z.string().nullable().describe('the cursor of the jobs after these; null: there are none'),
  }),
);
type Overview = z.output<typeof Overview>;
type OverviewGate = z.output<typeof Row>;
type PartUnderWay = OverviewGate['rollout'];

/** Every gate in few words. A few queries answer it, however many gates there are. */
async function readOverview(
  context: OperationContext,
  { only, next }: { readonly only: readonly string[] | undefined; readonly next: string | null },
  caller: TokenHolder,
): Promise<Overview> {
  const { control, regionDatabases, flags: desk, jobs } = context;
  const asked = only && new Set(only);
  const isAsked = (job: string): boolean => asked?.has(job) ?? true;
  const [decided, { gates, unreachable }] = await Promise.all([
    readControl(caller, async () => {
      const [policies, now, flags, wishes, versions, parts] = await Promise.all([
        policiesInForce(control),
        databaseTime(control),
        flagsOf(desk, only),
        openWishes(control),
        versionsNow(control, undefined),
        partsUnderWay(context, isAsked),
      ]);
      return { policies, now, flags, wishes, versions, parts };
    }),
    allGates(regionDatabases, only),
  ]);
  const { flags = [], wishes = [], versions, parts } = decided ?? {};
  const policies = decided?.policies ?? policiesWithoutControl(context);
  const now = decided?.now ?? (await timeWithoutControl(context));
  const installed = jobs().filter(({ name }) => isAsked(name));
  const ruled = policies.filter(({ job }) => isAsked(job));
  const byPlace = new Map(gates.map((gate) => [placeOf(gate), gate]));
  const flagByPlace = new Map(flags.map((flag) => [placeOf(flag), flag]));
  const wishByPlace = new Map(wishes.map((wish) => [placeOf(wish), wish.reason]));
  const places = new Map<string, Set<string>>(installed.map(({ name }) => [name, new Set<string>()]));
  const add = (job: string, region: string): void => {
    places.set(job, (places.get(job) ?? new Set()).add(region));
  };
  for (const { job, regions } of ruled) for (const region of regions) add(job, region);
  for (const { job, region } of [...flags, ...gates]) add(job, region);
  const away = new Set(unreachable.map(({ database }) => database));
  const runs = await runsIn(context, gates);
  const gateIn = (job: string, region: string): OverviewGate => {
    const place = placeOf({ job, region });
    const gate = byPlace.get(place) ?? null;
    const lost = away.has(regionDatabases.of(region).name) ? 'the server cannot reach its database' : null;
    const standing = standingOf(gate, lost);
    const rollout = parts?.get(place) ?? null;
    // Where nobody can tell who serves a version, its gate's permit says whether any worker does.
    const served = (version: string): boolean =>
      versions === undefined || (versions.get(`${job} ${version}`)?.has(region) ?? false);
    return {
      region,
      state: overviewState(standing, gate, rollout),
      why: standing.why,
      since: standing.since,
      stopped: gate?.stopped ?? false,
      permitRemainingMs: gate?.permitRemainingMs ?? null,
      versions: versionStandings(standing, gate, flagByPlace.get(place) ?? null, served).map(
        ({ version, permille, state }) => ({ version, permille, state }),
      ),
      rollout,
      killPending: wishByPlace.get(place) ?? null,
      runs: runs.get(place) ?? [],
    };
  };
  return {
    at: now.toISOString(),
    regionsAlone: decided === undefined,
    flagSource: desk.source(),
    unreachable: [...away],
    jobs: [...places.keys()].sort().map((job) => {
      const schedule = ruled.find((each) => each.job === job)?.schedule ?? null;
      return {
        job,
        version: installed.find(({ name }) => name === job)?.version ?? null,
        schedule,
        nextSlot: schedule === null ? null : (nthSlot(schedule, 1, now)?.toISOString() ?? null),
        gates: [...(places.get(job) ?? [])].map((region) => gateIn(job, region)),
      };
    }),
    next,
  };
}

const JobKey = z.tuple([z.string()]);

/** The jobs behind that one that have about so many gates together, and the cursor behind the last of them. */
async function jobsFrom(
  context: OperationContext,
  caller: TokenHolder,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<{ only: string[] | undefined; next: string | null }> {
  const { control, regionDatabases, jobs } = context;
  const sql = (table: string): string => `select job, count(*)::integer as gates from ${table} group by job`;
  const [decided, { answers }] = await Promise.all([
    readControl(caller, () =>
      Promise.all([policiesInForce(control), control.query<JobSize>(sql('portcullis_control.flag'))]),
    ),
    queryRegions(regionDatabases, ({ worker }) => worker.query<JobSize>(sql('portcullis_region.gate'))),
  ]);
  // Each part would wait for the control database again.
  if (decided === undefined && after === undefined) return { only: undefined, next: null };
  const [policies, flags] = decided ?? [policiesWithoutControl(context), { rows: [] }];
  const sizes = new Map<string, number>(jobs().map(({ name }) => [name, 0]));
  for (const { job, gates } of [
    ...policies.map(({ job, regions }) => ({ job, gates: regions.length })),
    ...flags.rows,
    ...answers.flatMap(({ answer }) => answer.rows),
  ])
    sizes.set(job, Math.max(sizes.get(job) ?? 0, gates));
  const behind = [...sizes]
    .filter(([job]) => after === undefined || job > after)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  let room = limit;
  const only: string[] = [];
  for (const [job, gates] of behind) {
    if (only.length > 0 && gates > room) break;
    only.push(job);
    // A job without a gate is an answer's line too.
    room -= Math.max(1, gates);
  }
  return { only, next: only.length < behind.length ? cursorOf([only.at(-1)]) : null };
}

interface JobSize {
  readonly job: string;
  readonly gates: number;
}

/** So many jobs' flags are asked for job by job. */
const FEW_JOBS = 10;

async function flagsOf(desk: OperationContext['flags'], only: readonly string[] | undefined) {
  if (only === undefined || only.length > FEW_JOBS) {
    const asked = only && new Set(only);
    return (await desk.list()).filter(({ job }) => asked?.has(job) ?? true);
  }
  return (await Promise.all(only.map((job) => desk.list(job)))).flat();
}

/** Pure. */
export function overviewState(
  { state }: Pick<Standing, 'state'>,
  gate: Pick<GateView, 'job'> | null,
  rollout: PartUnderWay,
): OverviewState {
  if (state === 'killed') return 'killed';
  if (gate === null || state === 'expired' || state === 'unreachable') return 'silent';
  if (state === 'held') return 'held';
  return rollout !== null && rollout.step > 0 ? 'rolling-out' : 'open';
}

const placeOf = ({ job, region }: { readonly job: string; readonly region: string }): string =>
  `${job} ${region}`;

async function runsIn(
  { regionDatabases }: OperationContext,
  gates: readonly GateView[],
): Promise<ReadonlyMap<string, readonly RecentRun[]>> {
  const { answers } = await queryRegions(regionDatabases, (regionDatabase) =>
    recentRuns(
      regionDatabase.worker,
      gates.filter(({ region }) => regionDatabases.of(region) === regionDatabase),
      MOST_RUNS,
    ),
  );
  return new Map(answers.flatMap(({ answer }) => [...answer]));
}

/** By place, where the rollouts that are under way stand in regions that they have not finished. */
async function partsUnderWay(
  { control }: OperationContext,
  isAsked: (job: string) => boolean,
): Promise<ReadonlyMap<string, PartUnderWay>> {
  const found = new Map<string, PartUnderWay>();
  for (const job of await jobsRollingOut(control)) {
    if (!isAsked(job)) continue;
    const rollout = await newestRollout(control, job);
    for (const part of rollout?.parts ?? []) {
      if (rollout === undefined || part.done) continue;
      const wave = rollout.policy.waves.find(({ regions }) => regions.includes(part.region));
      found.set(placeOf({ job: rollout.job, region: part.region }), {
        version: rollout.version,
        permille: permilleOf(rollout.policy, part),
        step: part.step + 1,
        steps: wave?.stepsPermille.length ?? 0,
      });
    }
  }
  return found;
}

export const overviewOperations = {
  getOverview: operation({
    at: 'GET /api/v1/overview',
    compressed: true,
    example: { job: 'dormant-cleanup' },
    summary: 'Every gate in few words: state, versions, permit, rollout, last runs',
    action: 'read',
    query: z.strictObject({
      job: jobQuery,
      limit: z.coerce
        .number()
        .int()
        .min(1)
        .max(10_000)
        .optional()
        .describe('about so many gates at a time, by whole jobs; absent: every gate'),
      cursor: z.string().min(1).max(1000).optional().describe('`next` of the answer before, unchanged'),
    }),
    result: Overview,
    run: async (context, { job, limit, cursor }, caller) =>
      readOverview(
        context,
        job === undefined && limit !== undefined
          ? await jobsFrom(context, caller, { after: keyOfCursor(cursor, JobKey)?.[0], limit })
          : { only: job === undefined ? undefined : [job], next: null },
        caller,
      ),
  }),
};
