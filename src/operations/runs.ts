import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { flagName } from '../flags/definition.js';
import { requirePolicy, unitLabelOf } from '../flags/policy-store.js';
import { PortcullisError } from '../kernel/errors.js';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';
import { regionsServed } from '../rollout/announce.js';
import { electManual } from '../runs/election.js';
import { recordPersonalRead, recordPersonalReadOnce } from '../access/personal-data.js';
import { verdictsOf, VerdictView } from '../guard/verdict-rows.js';
import { listLanes, LaneView } from '../journal/browse-lanes.js';
import {
  CHANGE_STATES,
  listChanges,
  MOST_LANE,
  MOST_SEQ,
  type ChangeFilter,
  ChangeView,
} from '../journal/browse-changes.js';
import { countHeldOf, findRunOf, listRunsOf } from '../regions/browse.js';
import { listUnitRunsOf, UnitRunView } from '../regions/unit-runs.js';
import { operation, stream, SENT_OR_EVERYWHERE } from './operation.js';
import {
  named,
  word,
  count,
  pageSchema,
  regionsPageSchema,
  regionsPageShape,
  text,
  UnitLabel,
} from '../kernel/schema.js';
import {
  jobQuery,
  namePath,
  pageQuery,
  regionQuery,
  withoutReasons,
  kindQuery,
  runIdPath,
} from './schemas.js';
import { UNITS } from '../kernel/words.js';
import { askControl } from './without-control.js';
import { RunView, MOST_HELD, runStatuses } from '../runs/browse-runs.js';

const RunOrder = named(
  'RunOrder',
  z.strictObject({
    region: word.describe('where to run it'),
    dryRun: z.boolean().default(false).describe('plan and judge, and write nothing'),
  }),
);

const RunStarted = named(
  'RunStarted',
  z.strictObject({
    runId: z.guid().describe('its progress is at /api/v1/runs/{id}'),
    job: z.string(),
    version: z.string(),
    region: z.string(),
    dryRun: z.boolean(),
  }),
);

const RunPage = named(
  'RunPage',
  z.strictObject({
    ...regionsPageShape(RunView),
    hidden: count.describe(
      `held runs that hideHeld left out, of those that are as new as the oldest run here; at most ${MOST_HELD} are counted in a database`,
    ),
  }),
);
/** A run alone. In a list, the job's label would be the same in every row. */
export const RunDetail = named('RunDetail', z.strictObject({ ...RunView.shape, unitLabel: UnitLabel }));
export type RunDetail = z.infer<typeof RunDetail>;
const UnitRunPage = regionsPageSchema('UnitRunPage', UnitRunView);
const ChangePage = pageSchema('ChangePage', ChangeView);
const RunLanes = named('RunLanes', z.strictObject({ lanes: z.array(LaneView).readonly() }));
const RunVerdicts = named('RunVerdicts', z.strictObject({ verdicts: z.array(VerdictView).readonly() }));

const statusQuery = z.enum(runStatuses).optional().describe('only in this status');
const stateQuery = z.enum(CHANGE_STATES).optional().describe('only in this state');

const changePlace = z
  .string()
  .regex(/^\d{1,5}\.\d{1,10}$/, 'give lane and seq, such as 3.1200')
  .transform((text) => {
    const [lane = 0, seq = 0] = text.split('.').map(Number);
    return { lane, seq };
  })
  .refine(({ lane, seq }) => lane <= MOST_LANE && seq <= MOST_SEQ, 'there can be no such change');

const EXPORT_PAGE = 500;

/** Runs: what is under way, what came of each, and one more by hand. */
export const runOperations = {
  startRun: operation({
    at: 'POST /api/v1/jobs/:job/runs',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', dryRun: true },
    summary: 'Starts a run now, for a worker of the region to carry out behind its flag',
    action: 'run',
    params: z.strictObject({ job: namePath }),
    body: RunOrder,
    reach: SENT_OR_EVERYWHERE,
    result: RunStarted,
    statuses: [202],
    statusOf: () => 202,
    errors: [
      'JOB_UNKNOWN',
      'REGION_UNKNOWN',
      'POLICY_MISSING',
      'POLICY_INVALID',
      'RUN_ACTIVE',
      'WORKER_MISSING',
    ],
    run: async ({ control, regionDatabases, installed }, { job, region, dryRun }, caller) => {
      const jobs = installed();
      const loaded = jobs.find(({ definition }) => definition.name === job);
      if (!loaded) {
        const names = jobs.map(({ definition }) => definition.name);
        throw unknownName('JOB_UNKNOWN', 'job', job, names);
      }
      const { regions } = await requirePolicy(control, job);
      requireRegion(region, regions);
      const { version } = loaded;
      // It would stay in planning, and nobody would say so.
      if (!(await regionsServed(control, { job, version })).includes(region)) {
        throw new PortcullisError('WORKER_MISSING', `no worker runs ${job} ${version} in ${region}`, {
          hint: `start one: portcullis worker --regions ${region}`,
          details: { job, version, region },
        });
      }
      const id = randomUUID();
      await recordAudit(control, {
        principal: caller.name,
        action: 'run',
        subject: flagName(job, region),
        evidence: { run: id, version, dryRun },
      });
      const claim = { id, job, version, region, dryRun, worker: 'http', leaseMs: 0 };
      const run = await electManual(regionDatabases.of(region).worker, claim);
      return { runId: run.id, job, version, region, dryRun };
    },
  }),
  listRuns: operation({
    at: 'GET /api/v1/runs',
    example: { job: 'dormant-cleanup', limit: 20 },
    summary: 'Runs, newest first',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      ...{ job: jobQuery, region: regionQuery, status: statusQuery },
      hideHeld: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .default(false)
        .describe('leave held runs out, and count them; without effect beside status'),
      restores: z.guid().optional().describe('only restores of this run'),
    }),
    result: RunPage,
    run: async ({ regionDatabases }, { hideHeld, ...query }) => {
      const filter = { ...query, notHeld: hideHeld && query.status === undefined };
      const page = withoutReasons(await listRunsOf(regionDatabases, filter, query));
      // Of those that the list could have shown: since the oldest run in it, where there may be older ones.
      const since = page.items.length < query.limit ? undefined : page.items.at(-1)?.createdAt;
      return { ...page, hidden: filter.notHeld ? await countHeldOf(regionDatabases, filter, since) : 0 };
    },
  }),
  listUnitRuns: operation({
    at: 'GET /api/v1/units/:unit/runs',
    example: { unit: 'org-17', limit: 20 },
    summary: 'Runs that planned a change for a unit, newest first, with what became of its changes',
    action: 'read',
    params: z.strictObject({ unit: text(z.string().min(1).max(1000)) }),
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
    result: UnitRunPage,
    run: async ({ regionDatabases }, query) =>
      withoutReasons(await listUnitRunsOf(regionDatabases, query, query)),
  }),
  getRun: operation({
    at: 'GET /api/v1/runs/:id',
    example: { id: '5eed0000' },
    summary: 'One run',
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    result: RunDetail,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ control, regionDatabases }, params, caller) => {
      const { run } = await findRunOf(regionDatabases, params.id);
      const unitLabel = await askControl(caller, () => unitLabelOf(control, run.job));
      return { ...run, unitLabel: unitLabel ?? UNITS };
    },
  }),
  listRunVerdicts: operation({
    at: 'GET /api/v1/runs/:id/verdicts',
    example: { id: '5eed0000' },
    summary: 'What the rules of the guard said of a run',
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    result: RunVerdicts,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ regionDatabases }, params) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, params.id);
      return { verdicts: await verdictsOf(regionDatabase.worker, run.runId) };
    },
  }),
  listRunLanes: operation({
    at: 'GET /api/v1/runs/:id/lanes',
    example: { id: '5eed0000' },
    summary: 'How far each lane of a run has got',
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    result: RunLanes,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ regionDatabases }, params) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, params.id);
      return { lanes: await listLanes(regionDatabase.worker, run.runId) };
    },
  }),
  listRunChanges: operation({
    at: 'GET /api/v1/runs/:id/changes',
    example: { id: '5eed0000', limit: 200 },
    summary: "A run's changes and what became of each, lane by lane in the order of application",
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    query: z.strictObject({
      ...pageQuery,
      kind: kindQuery,
      state: stateQuery,
      from: changePlace
        .optional()
        .describe('begin with this change, `lane.seq` such as 3.1200; without effect beside cursor'),
    }),
    result: ChangePage,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ control, regionDatabases }, { id, ...query }, caller) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, id);
      await recordPersonalReadOnce(control, caller, `run ${run.runId}`, {
        kind: query.kind ?? null,
        state: query.state ?? null,
      });
      return listChanges(regionDatabase.worker, run.runId, query, query);
    },
  }),
  exportRunChanges: stream({
    at: 'GET /api/v1/runs/:id/changes/export',
    example: { id: '5eed0000' },
    summary: "Every one of a run's changes, in the order of listRunChanges",
    action: 'read',
    params: z.strictObject({ id: runIdPath }),
    query: z.strictObject({ kind: kindQuery, state: stateQuery }),
    result: ChangeView,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'],
    run: async ({ control, regionDatabases }, { id, kind, state }, caller) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, id);
      const evidence = { all: true, kind: kind ?? null, state: state ?? null };
      await recordPersonalRead(control, caller, `run ${run.runId}`, evidence);
      return changesOf(regionDatabase.worker, run.runId, { kind, state });
    },
  }),
};

/** Page by page: no connection is held for as long as somebody reads. */
async function* changesOf(pool: pg.Pool, run: string, filter: ChangeFilter): AsyncGenerator<ChangeView> {
  let cursor: string | undefined;
  do {
    const page = await listChanges(pool, run, filter, { limit: EXPORT_PAGE, cursor });
    yield* page.items;
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
}
