import { readFile } from 'node:fs/promises';
import type pg from 'pg';
import { z } from 'zod';
import { requireMay, type Principal } from '../access/roles.js';
import { gatesOf, regionsOf } from '../containment/gates-of.js';
import { examineIncident, seeIncident, tendIncident } from '../incidents/assess-incident.js';
import { findIncident, listIncidents } from '../incidents/browse-incidents.js';
import { includeRun, includeSince } from '../incidents/include-run.js';
import { requireDamage } from '../incidents/incident.js';
import { nothingToRestore, writers } from '../incidents/incident-runs.js';
import { measuresOf } from '../incidents/measures.js';
import { closeIncident, moveIncident } from '../incidents/move-incident.js';
import { openByHand } from '../incidents/open-by-hand.js';
import { postMortemOf } from '../incidents/post-mortem.js';
import { runbookOf } from '../incidents/runbook.js';
import { shorten } from '../kernel/text.js';
import { statusUpdatesOf } from '../incidents/status-updates.js';
import { timelineOf } from '../incidents/timeline.js';
import { findRunOf } from '../regions/browse.js';
import { impactByUnit } from '../journal/impact.js';
import { beginRestore } from './begin-restore.js';
import type { OperationContext } from './context.js';
import {
  Incident,
  IncidentConclusion,
  IncidentDetails,
  IncidentInclusion,
  incidentIdPath,
  IncidentOpened,
  IncidentPage,
  IncidentReport,
  IncidentRestore,
  incidentStateQuery,
  Runbook,
  StatusUpdates,
  Timeline,
} from './incident-schemas.js';
import { operation, stream, type Reach, sentOr } from './operation.js';
import { mostQuery, RestoreOrder, UnitImpact } from './restore-schemas.js';
import { inRegion } from './restores.js';
import { jobQuery, pageQuery } from './schemas.js';

const params = z.strictObject({ id: incidentIdPath });
const errors = ['INCIDENT_UNKNOWN'] as const;
const reading = { action: 'read', params, errors } as const;
const acting = { action: 'manage-incident' } as const;

const MOST_PAGE = 50_000;

/** What a job says of its changes: its file is read when it is asked for, since nobody waits for it at a start. */
async function pageOf({ installed }: OperationContext, job: string): Promise<string | null> {
  const file = installed().find(({ definition }) => definition.name === job)?.definition.runbook;
  if (file === undefined) return null;
  return readFile(file, 'utf8').then(
    (text) => shorten(text, MOST_PAGE),
    // Without the file's path: whoever reads this may be anywhere.
    (error: unknown) =>
      `The runbook that ${job} brings cannot be read: ${String((error as { code?: unknown }).code)}`,
  );
}

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
      state: incidentStateQuery,
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
    result: UnitImpact,
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
      return { id: known, steps: runbookOf(looked), page: await pageOf(context, job) };
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
    result: IncidentOpened,
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
    ...acting,
    action: 'restore',
    at: 'POST /api/v1/incidents/:id/restore',
    example: { id: 'INC-7K2M' },
    reach: regionsOfIncident,
    summary: 'Begins to put back what an incident changed: in each region the newest run, for a worker there',
    params,
    body: RestoreOrder,
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
          await beginRestore(control, await findRunOf(regionDatabases, run.id), principal, reason),
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
): AsyncGenerator<z.output<typeof UnitImpact>> {
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
