import type pg from 'pg';
import { z } from 'zod';
import { requireMay, type Principal } from '../../access/roles.js';
import { regionsOf } from '../../containment/gates-of.js';
import { examineIncident, seeIncident, tendIncident } from '../../incidents/assess-incident.js';
import { findIncident, listIncidents } from '../../incidents/browse-incidents.js';
import { includeRun, includeSince } from '../../incidents/include-run.js';
import { requireDamage } from '../../incidents/incident.js';
import { nothingToRestore, writers } from '../../incidents/incident-runs.js';
import { measuresOf } from '../../incidents/measures.js';
import { closeIncident, moveIncident } from '../../incidents/move-incident.js';
import { openByHand } from '../../incidents/open-by-hand.js';
import { postMortemOf } from '../../incidents/post-mortem.js';
import { runbookOf } from '../../incidents/runbook.js';
import { statusUpdatesOf } from '../../incidents/status-updates.js';
import { timelineOf } from '../../incidents/timeline.js';
import { findRunOf } from '../../regions/browse.js';
import { beginRestore } from '../begin-restore.js';
import type { HttpDeps } from '../deps.js';
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
} from '../incident-schemas.js';
import { callerOf, route, type Route } from '../route.js';
import { jobQuery, pageQuery } from '../schemas.js';

/** What went wrong, and the way out of it. */
export function incidentRoutes(deps: HttpDeps): Route[] {
  return [...readingRoutes(deps), ...actingRoutes(deps)];
}

const params = z.strictObject({ id: incidentIdPath });
const errors = ['INCIDENT_UNKNOWN'] as const;
const path = '/api/v1/incidents';

function readingRoutes({ control, planes }: HttpDeps): Route[] {
  const poolOf = (region: string): pg.Pool => planes.of(region).worker;
  const reading = { method: 'get', action: 'read', params, errors } as const;
  return [
    route({
      method: 'get',
      path,
      operationId: 'listIncidents',
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
      handle: ({ query }) => listIncidents(control, query, query),
    }),
    route({
      ...reading,
      path: `${path}/:id`,
      operationId: 'getIncident',
      summary: 'An incident with its runs, impact and figures as of now',
      result: IncidentDetails,
      handle: async ({ params: { id } }) => {
        const { incident, runs, impact, silent, unchecked } = await examineIncident(control, poolOf, id);
        return {
          ...incident,
          runs,
          impact,
          silent,
          unchecked,
          measures: measuresOf(incident, impact.firstAppliedAt),
        };
      },
    }),
    route({
      ...reading,
      path: `${path}/:id/timeline`,
      operationId: 'getIncidentTimeline',
      summary: 'What happened, in order',
      result: Timeline,
      handle: async ({ params: { id } }) => {
        const looked = await seeIncident(control, poolOf, id);
        return { id: looked.incident.id, moments: await timelineOf(control, looked) };
      },
    }),
    route({
      ...reading,
      path: `${path}/:id/runbook`,
      operationId: 'getIncidentRunbook',
      summary: 'What to do now: every command with its ids, in order, and what to expect of it',
      result: Runbook,
      handle: async ({ params: { id } }) => {
        const looked = await examineIncident(control, poolOf, id);
        return { id: looked.incident.id, steps: runbookOf(looked) };
      },
    }),
    route({
      ...reading,
      path: `${path}/:id/post-mortem`,
      operationId: 'getIncidentPostMortem',
      summary: 'A draft of the post-mortem, in Markdown',
      result: z.string(),
      contentType: 'text/markdown; charset=utf-8',
      handle: async ({ params: { id } }) => {
        const looked = await examineIncident(control, poolOf, id);
        return postMortemOf(looked, await timelineOf(control, looked));
      },
    }),
    route({
      ...reading,
      path: `${path}/:id/status-updates`,
      operationId: 'getIncidentStatusUpdates',
      summary: 'Short updates for a status page, as far as it has come',
      result: StatusUpdates,
      handle: async ({ params: { id } }) => {
        const looked = await examineIncident(control, poolOf, id);
        return { id: looked.incident.id, updates: statusUpdatesOf(looked) };
      },
    }),
  ];
}

function actingRoutes({ jobs, control, planes }: HttpDeps): Route[] {
  const poolOf = (region: string): pg.Pool => planes.of(region).worker;
  const acting = { method: 'post', action: 'manage-incident', regionOf: 'handler' } as const;
  const reach = async ({ id }: z.output<typeof params>): Promise<string[]> =>
    (await findIncident(control, id)).regions.map(({ region }) => region);
  const requireManage = async (principal: Principal, id: string): Promise<void> => {
    const { regions } = await findIncident(control, id);
    for (const { region } of regions) requireMay(principal, 'manage-incident', region);
  };
  return [
    route({
      ...acting,
      path,
      operationId: 'openIncident',
      summary: 'Opens an incident for what a person has noticed, or joins the one there is; stops nothing',
      body: IncidentReport,
      result: IncidentOpened,
      errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
      handle: async ({ body: { job, version, regions, run: runId, title }, caller }) => {
        const principal = callerOf(caller);
        const run = runId === undefined ? undefined : (await findRunOf(planes, runId)).run;
        const installed = jobs().map(({ name }) => name);
        const named = regions ?? (run ? [run.region] : undefined);
        const where = new Set<string>();
        for (const region of named ?? [undefined]) {
          for (const each of await regionsOf(control, installed, job, region)) where.add(each);
        }
        for (const region of where) requireMay(principal, 'manage-incident', region);
        return openByHand(control, poolOf, { job, version, regions: [...where], run, title }, principal.name);
      },
    }),
    route({
      ...acting,
      path: `${path}/:id/include`,
      operationId: 'includeRun',
      reach,
      summary: 'Names damage: a bad run and those after it in its region, or every run since a time',
      params,
      body: IncidentInclusion,
      result: Incident,
      errors: [...errors, 'INCIDENT_STATE', 'RUN_UNKNOWN', 'RUN_AMBIGUOUS', 'NOTHING_REACHED'],
      handle: async ({ params: { id }, body, caller }) => {
        const principal = callerOf(caller);
        const { reason, since } = body;
        if (body.run !== undefined) {
          const { run } = await findRunOf(planes, body.run);
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
    route({
      ...acting,
      path: `${path}/:id/close`,
      operationId: 'closeIncident',
      reach,
      summary: 'Closes an incident for good, with what came out',
      params,
      body: IncidentConclusion,
      result: Incident,
      errors: [...errors, 'INCIDENT_STATE'],
      handle: async ({ params: { id }, body, caller }) => {
        const { name: by } = callerOf(caller);
        await requireManage(callerOf(caller), id);
        return closeIncident(control, id, { ...body, by });
      },
    }),
    route({
      ...acting,
      action: 'restore',
      path: `${path}/:id/restore`,
      operationId: 'restoreIncident',
      reach,
      summary:
        'Begins to put back what an incident changed: in each region the newest run, for a worker there',
      params,
      result: IncidentRestore,
      statuses: [202],
      statusOf: () => 202,
      errors: [...errors, 'INCIDENT_STATE', 'RUN_ACTIVE', 'RUN_UNKNOWN', 'NOTHING_REACHED'],
      handle: async ({ params: { id }, caller }) => {
        const principal = callerOf(caller);
        const { incident, runs, silent } = await seeIncident(control, poolOf, id);
        for (const { region } of incident.regions) requireMay(principal, 'restore', region);
        requireDamage(incident);
        const due = writers(runs).filter(({ restore }) => restore?.status !== 'succeeded');
        const next = due.filter((run) => due.find(({ region }) => region === run.region) === run);
        const move = { by: principal.name, reason: 'a restore was asked for' };
        if (next.length > 0) await moveIncident(control, id, 'restoring', move);
        const restores = [];
        for (const run of next) {
          restores.push(await beginRestore(control, await findRunOf(planes, run.id), principal));
        }
        const now = await tendIncident(control, poolOf, id, principal.name);
        if (next.length === 0) throw nothingToRestore(incident.id, silent);
        return {
          id: incident.id,
          state: now.incident.state,
          restores,
          left: due.length - next.length,
        };
      },
    }),
  ];
}
