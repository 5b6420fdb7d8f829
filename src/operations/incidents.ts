import type pg from 'pg';
import { z } from 'zod';
import { requireMay, type Principal } from '../access/roles.js';
import { gatesOf, regionsOf } from '../containment/gates-of.js';
import { examineIncident, seeIncident, tendIncident } from '../incidents/assess-incident.js';
import { findIncident, listIncidents } from '../incidents/browse-incidents.js';
import { includeRun, includeSince } from '../incidents/include-run.js';
import { requireDamage, Incident } from '../incidents/incident.js';
import { nothingToRestore, writers, IncidentRun, SilentRegion } from '../incidents/incident-runs.js';
import { measuresOf, Measures } from '../incidents/measures.js';
import { closeIncident, moveIncident } from '../incidents/move-incident.js';
import { openByHand } from '../incidents/open-by-hand.js';
import { postMortemOf } from '../incidents/post-mortem.js';
import { runbookOf, runbookPage, Step } from '../incidents/runbook.js';
import { statusUpdatesOf, StatusUpdate } from '../incidents/status-updates.js';
import { timelineOf, Moment } from '../incidents/timeline.js';
import { findRunOf } from '../regions/browse.js';
import { impactByUnit } from '../journal/impact.js';
import { beginRestore } from './begin-restore.js';
import type { OperationContext } from './context.js';
import { operation, stream, type Reach, sentOr } from './operation.js';
import { mostQuery, RegionUnitImpact, RestoreOrder } from './restores.js';
import { RestoreBegun } from './begin-restore.js';
import { Impact } from '../journal/impact.js';
import { inRegion } from './restores.js';
import { jobQuery, pageQuery } from './schemas.js';
import { count, named, pageSchema, reason, text, UnitLabel, word } from '../kernel/schema.js';
import { UncheckedStep } from '../incidents/unchecked-steps.js';
import { BreakGlass } from '../flags/browse-break-glass.js';

const IncidentPage = pageSchema('IncidentPage', Incident);

const figures = {
  ...Impact.shape,
  runs: count.describe('runs that changed anything'),
  restored: count.describe('rows put back so far'),
  restoreConflicts: count.describe('rows that restores skipped'),
};

/** An incident with what its runs have changed, as of now. */
const IncidentDetails = named(
  'IncidentDetails',
  z.strictObject({
    ...Incident.shape,
    runs: z.array(IncidentRun).readonly().describe('the newest first'),
    unitLabel: UnitLabel,
    impact: z.strictObject({
      ...figures,
      regions: z.array(z.strictObject({ region: z.string(), ...figures })).readonly(),
    }),
    unchecked: z
      .array(UncheckedStep)
      .readonly()
      .describe("steps of the version's rollout whose bake was skipped: nobody checked them"),
    breakGlass: z
      .array(BreakGlass)
      .readonly()
      .describe('the break-glass that the version ever had in its regions'),
    measures: Measures,
    silent: z
      .array(SilentRegion)
      .readonly()
      .describe('regions whose database could not be asked: the figures are without them'),
  }),
);

const Timeline = named(
  'Timeline',
  z.strictObject({
    id: z.string(),
    moments: z.array(Moment).readonly(),
  }),
);

const Runbook = named(
  'Runbook',
  z.strictObject({
    id: z.string(),
    steps: z.array(Step).readonly(),
    page: z
      .string()
      .nullable()
      .describe(
        'what the job says of its changes, in Markdown; null: it brings no page, or is not installed here',
      ),
  }),
);

const StatusUpdates = named(
  'StatusUpdates',
  z.strictObject({
    id: z.string(),
    updates: z.array(StatusUpdate).readonly(),
  }),
);

const IncidentReport = named(
  'IncidentReport',
  z.strictObject({
    job: word,
    version: word.optional().describe('the version to blame, where it is known'),
    regions: z.array(word).min(1).max(100).optional().describe('absent: the region of the run, or all'),
    run: word.optional().describe('the first bad run, or the first 4 or more digits of its id'),
    title: text(z.string().trim().min(1).max(200)).describe('what happened, in one line'),
  }),
);
const IncidentInclusion = named(
  'IncidentInclusion',
  z
    .strictObject({
      run: word.optional().describe('a bad run: it and those after it in its region'),
      since: z.iso
        .datetime({ offset: true })
        .optional()
        .describe('or every run elected at that time or later, up to the containment'),
      regions: z.array(word).min(1).max(100).optional().describe('with since: only in these of its regions'),
      reason: reason.optional().describe('for the record'),
    })
    .refine(({ run, since }) => (run === undefined) !== (since === undefined), {
      message: 'give either run or since',
    }),
);
const IncidentConclusion = named(
  'IncidentConclusion',
  z.strictObject({
    conclusion: reason.describe('what was wrong'),
    falseAlarm: z.boolean().default(false),
  }),
);
const IncidentRestore = named(
  'IncidentRestore',
  z.strictObject({
    id: z.string(),
    state: Incident.shape.state,
    restores: z
      .array(RestoreBegun)
      .readonly()
      .describe('under way now: in each region, the newest run not yet put back'),
    left: count.describe('runs still to be put back behind these: ask again once these have ended'),
  }),
);
const params = z.strictObject({ id: word.describe("an incident's id, in either case") });
const errors = ['INCIDENT_UNKNOWN'] as const;
const reading = { action: 'read', params, errors } as const;
const acting = { action: 'manage-incident', oneCommit: true } as const;

/** What went wrong, and the way out of it. */
export const incidentOperations = {
  listIncidents: operation({
    at: 'GET /api/v1/incidents',
    example: { unclosed: 'true' },
    summary: 'Incidents, newest first',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      job: jobQuery,
      state: Incident.shape.state.optional().describe('only in this state'),
      unclosed: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .optional()
        .describe('only those that are not closed'),
    }),
    result: IncidentPage,
    run: ({ control }, query) => listIncidents(control, query, query),
  }),
  getIncident: operation({
    ...reading,
    at: 'GET /api/v1/incidents/:id',
    example: { id: 'INC-7K2M' },
    summary: 'An incident with its runs, impact and figures as of now',
    result: IncidentDetails,
    run: async (context, { id }) => {
      const { incident, runs, unitLabel, impact, silent, unchecked, breakGlass } = await examineIncident(
        context.control,
        poolOf(context),
        id,
      );
      return {
        ...incident,
        runs,
        unitLabel,
        impact,
        silent,
        unchecked,
        breakGlass,
        measures: measuresOf(incident, impact.firstAppliedAt),
      };
    },
  }),
  exportIncidentUnits: stream({
    ...reading,
    at: 'GET /api/v1/incidents/:id/impact/units',
    example: { id: 'INC-7K2M' },
    summary:
      'Every unit on whose behalf its runs changed rows, region by region, the most rows first in each',
    query: mostQuery,
    result: RegionUnitImpact,
    run: async (context, { id, most }) => {
      const of = poolOf(context);
      const { runs } = await seeIncident(context.control, of, id);
      const wrote = writers(runs);
      return unitsOf(
        [...new Set(wrote.map(({ region }) => region))].map((region) => ({
          region,
          pool: of(region),
          runs: wrote.filter((run) => run.region === region).map((run) => run.id),
        })),
        most,
      );
    },
  }),
  getIncidentTimeline: operation({
    ...reading,
    at: 'GET /api/v1/incidents/:id/timeline',
    example: { id: 'INC-7K2M' },
    summary: 'What happened, in order',
    result: Timeline,
    run: async (context, { id }) => {
      const looked = await seeIncident(context.control, poolOf(context), id);
      return { id: looked.incident.id, moments: await timelineOf(context.control, looked) };
    },
  }),
  getIncidentRunbook: operation({
    ...reading,
    at: 'GET /api/v1/incidents/:id/runbook',
    example: { id: 'INC-7K2M' },
    summary: 'What to do now: every command with its ids, in order, and what to expect of it',
    result: Runbook,
    run: async (context, { id }) => {
      const looked = await examineIncident(context.control, poolOf(context), id);
      const { id: known, job } = looked.incident;
      return { id: known, steps: runbookOf(looked), page: await runbookPage(job, context.installed()) };
    },
  }),
  getIncidentPostMortem: operation({
    ...reading,
    at: 'GET /api/v1/incidents/:id/post-mortem',
    example: { id: 'INC-7K2M' },
    summary: 'A draft of the post-mortem, in Markdown',
    result: z.string(),
    contentType: 'text/markdown; charset=utf-8',
    run: async (context, { id }) => {
      const looked = await examineIncident(context.control, poolOf(context), id);
      return postMortemOf(looked, await timelineOf(context.control, looked));
    },
  }),
  getIncidentStatusUpdates: operation({
    ...reading,
    at: 'GET /api/v1/incidents/:id/status-updates',
    example: { id: 'INC-7K2M' },
    summary: 'Short updates for a status page, as far as it has come',
    result: StatusUpdates,
    run: async (context, { id }) => {
      const looked = await examineIncident(context.control, poolOf(context), id);
      return { id: looked.incident.id, updates: statusUpdatesOf(looked) };
    },
  }),
  openIncident: operation({
    ...acting,
    at: 'POST /api/v1/incidents',
    example: { job: 'dormant-cleanup', title: 'customers report missing accounts' },
    reach: sentOr((context, _params, { body }) =>
      regionsOfRun(context, body, () => regionsOfJob(context, body)),
    ),
    summary: 'Opens an incident for what a person has noticed, or joins the one there is; stops nothing',
    body: IncidentReport,
    result: named(
      'IncidentOpened',
      z.strictObject({ id: z.string(), joined: z.boolean().describe('whether it was there already') }),
    ),
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async (
      { control, regionDatabases, jobs },
      { job, version, regions, run: runId, title },
      principal,
    ) => {
      const run = runId === undefined ? undefined : (await findRunOf(regionDatabases, runId)).run;
      const installed = jobs().map(({ name }) => name);
      const named = regions ?? (run ? [run.region] : undefined);
      const where = new Set<string>();
      for (const region of named ?? [undefined]) {
        for (const each of await regionsOf(control, installed, job, region)) where.add(each);
      }
      for (const region of where) requireMay(principal, 'manage-incident', region);
      return openByHand(
        control,
        poolOf({ regionDatabases }),
        { job, version, regions: [...where], run, title },
        principal.name,
      );
    },
  }),
  includeRun: operation({
    ...acting,
    at: 'POST /api/v1/incidents/:id/include',
    example: { id: 'INC-7K2M', run: '5eed0000' },
    reach: sentOr((context, given: z.output<typeof params>, { body }) =>
      regionsOfRun(context, body, () => regionsOfIncident(context, given)),
    ),
    summary: 'Names damage: a bad run and those after it in its region, or every run since a time',
    params,
    body: IncidentInclusion,
    result: Incident,
    errors: [...errors, 'INCIDENT_STATE', 'RUN_UNKNOWN', 'RUN_AMBIGUOUS', 'NOTHING_REACHED'],
    run: async ({ control, regionDatabases }, { id, ...body }, principal) => {
      const { reason, since } = body;
      if (body.run !== undefined) {
        const { run } = await findRunOf(regionDatabases, body.run);
        requireMay(principal, 'manage-incident', run.region);
        return includeRun(control, id, run, principal.name, reason);
      }
      const { regions } = await findIncident(control, id);
      const where = body.regions ?? regions.map(({ region }) => region);
      for (const region of where) requireMay(principal, 'manage-incident', region);
      return includeSince(
        control,
        id,
        { since: new Date(since ?? ''), regions: where, reason },
        principal.name,
      );
    },
  }),
  closeIncident: operation({
    ...acting,
    at: 'POST /api/v1/incidents/:id/close',
    example: { id: 'INC-7K2M', conclusion: 'a filter was missing' },
    reach: regionsOfIncident,
    summary: 'Closes an incident for good, with what came out',
    params,
    body: IncidentConclusion,
    result: Incident,
    errors: [...errors, 'INCIDENT_STATE'],
    run: async ({ control }, { id, ...body }, caller) => {
      await requireManage(control, caller, id);
      return closeIncident(control, id, { ...body, by: caller.name });
    },
  }),
  restoreIncident: operation({
    action: 'restore',
    at: 'POST /api/v1/incidents/:id/restore',
    example: { id: 'INC-7K2M' },
    reach: regionsOfIncident,
    summary: 'Begins to put back what an incident changed: in each region the newest run, for a worker there',
    params,
    // A part is of one run: its restore takes it.
    body: RestoreOrder.pick({ reason: true }),
    result: IncidentRestore,
    statuses: [202],
    statusOf: () => 202,
    errors: [...errors, 'INCIDENT_STATE', 'RUN_ACTIVE', 'RUN_UNKNOWN', 'NOTHING_REACHED'],
    run: async (context, { id, reason }, principal) => {
      const { control, regionDatabases } = context;
      const { incident, runs, silent } = await seeIncident(control, poolOf(context), id);
      for (const { region } of incident.regions) requireMay(principal, 'restore', region);
      requireDamage(incident);
      const due = writers(runs).filter(({ restore }) => restore?.status !== 'succeeded');
      const next = due.filter((run) => due.find(({ region }) => region === run.region) === run);
      const move = { by: principal.name, reason: reason ?? 'a restore was asked for' };
      if (next.length > 0) await moveIncident(control, id, 'restoring', move);
      const restores = [];
      for (const run of next) {
        restores.push(
          await beginRestore(control, await findRunOf(regionDatabases, run.id), principal, { reason }),
        );
      }
      const now = await tendIncident(control, poolOf(context), id, principal.name);
      if (next.length === 0) throw nothingToRestore(incident.id, silent);
      return {
        id: incident.id,
        state: now.incident.state,
        restores,
        left: due.length - next.length,
      };
    },
  }),
};

async function* unitsOf(
  regions: readonly { readonly region: string; readonly pool: pg.Pool; readonly runs: readonly string[] }[],
  most: number | undefined,
): AsyncGenerator<z.output<typeof RegionUnitImpact>> {
  for (const { region, pool, runs } of regions) yield* inRegion(region, impactByUnit(pool, ...runs), most);
}

const poolOf =
  ({ regionDatabases }: Pick<OperationContext, 'regionDatabases'>) =>
  (region: string): pg.Pool =>
    regionDatabases.of(region).worker;

/** Of the run that a body names; of one that cannot be found, the operation tells. */
async function regionsOfRun(
  { regionDatabases }: OperationContext,
  body: unknown,
  otherwise: () => Promise<Reach>,
): Promise<Reach> {
  const { run } = (body ?? {}) as { readonly run?: unknown };
  if (typeof run !== 'string') return otherwise();
  return findRunOf(regionDatabases, run).then((found) => [found.run.region], otherwise);
}

async function regionsOfJob({ control }: OperationContext, body: unknown): Promise<Reach> {
  const { job } = (body ?? {}) as { readonly job?: unknown };
  const regions = typeof job === 'string' ? (await gatesOf(control)).get(job) : undefined;
  return regions ?? [null];
}

async function regionsOfIncident(
  { control }: OperationContext,
  { id }: z.output<typeof params>,
): Promise<string[]> {
  return (await findIncident(control, id)).regions.map(({ region }) => region);
}

async function requireManage(control: pg.Pool, principal: Principal, id: string): Promise<void> {
  const { regions } = await findIncident(control, id);
  for (const { region } of regions) requireMay(principal, 'manage-incident', region);
}
