import { z } from 'zod';
import { recordPersonalRead } from '../access/personal-data.js';
import { PortcullisError } from '../kernel/errors.js';
import { readRestored } from '../worker/restore-plan-phase.js';
import { previewRestores } from '../worker/restore-runs.js';
import { parseSubject } from '../worker/subject.js';
import { Impact, impactByUnit, impactOf, UnitImpact } from '../journal/impact.js';
import { partOf, type RestorePart } from '../journal/restore-plan.js';
import { restoreConflicts, RestoreConflict, RestorePreview } from '../journal/restore-preview.js';
import { policiesInForce, unitLabelOf } from '../flags/policy-store.js';
import { asOfIn, findRunOf } from '../regions/browse.js';
import { beginRestore, RestoreBegun } from './begin-restore.js';
import { operation, stream } from './operation.js';
import { UNITS } from '../kernel/words.js';
import { regionQuery, runIdPath } from './schemas.js';
import { FiringTrigger, Trial } from '../runs/run-triggers.js';
import { named, reason, text, UnitLabel, word } from '../kernel/schema.js';
import { AsOf } from '../journal/as-of.js';

export const mostQuery = z.strictObject({
  most: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('no more than so many of each region; absent: all'),
});

const rowKey = text(z.string().min(3).max(1000)).regex(
  /^[^:]+:./s,
  'give resource:key, such as account:a-17',
);
const mostNamed = 1_000;

/** What of a run is restored, in a body. */
const partShape = {
  resources: z.array(word).max(mostNamed).optional().describe('only changes of these resources'),
  units: z
    .array(text(z.string().min(1).max(1000)))
    .max(mostNamed)
    .optional()
    .describe('only changes for these units'),
  keys: z.array(rowKey).max(mostNamed).optional().describe('only these rows, as resource:key'),
};

/** The same in a query, where a name is repeated. */
const repeated = <Of extends z.ZodType<string, string>>(each: Of) =>
  z
    .union([each, z.array(each).max(mostNamed)])
    .transform((given) => (typeof given === 'string' ? [given] : given));

const partQuery = {
  resource: repeated(word).optional().describe('only changes of this resource; may be repeated'),
  unit: repeated(text(z.string().min(1).max(1000)))
    .optional()
    .describe('only changes for this unit; may be repeated'),
  key: repeated(rowKey).optional().describe('only this row, as resource:key; may be repeated'),
};

export const RestoreOrder = named(
  'RestoreOrder',
  z.strictObject({ reason: reason.optional().describe('for the record'), ...partShape }),
);

const subjectPath = text(z.string().min(3).max(1000)).describe(
  'a resource and the key of a row: account:a-17',
);

const RunImpact = named('Impact', z.strictObject({ runId: z.guid(), unitLabel: UnitLabel, ...Impact.shape }));

export const RegionUnitImpact = named(
  'UnitImpact',
  z.strictObject({ region: z.string(), ...UnitImpact.shape }),
);

const Preview = named(
  'RestorePreview',
  z.strictObject({
    runId: z.guid(),
    ...RestorePreview.shape,
    triggers: z.array(FiringTrigger).readonly().describe('that fire on what a restore writes'),
    trial: Trial.nullable().describe(
      'null: no trigger fires, nothing is left to restore, or it was not asked for',
    ),
  }),
);

const Found = named('AsOf', z.strictObject({ subject: z.string(), ...AsOf.shape }));

const params = z.strictObject({ id: runIdPath });
const errors = ['RUN_UNKNOWN', 'RUN_AMBIGUOUS'] as const;

/** What a run has done to the tables, and the way back. */
export const restoreOperations = {
  getRunImpact: operation({
    at: 'GET /api/v1/runs/:id/impact',
    example: { id: '5eed0000' },
    summary: 'What a run has changed, in numbers',
    action: 'read',
    params,
    result: RunImpact,
    errors,
    run: async ({ control, regionDatabases }, { id }) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, id);
      // A run can be looked at while the control database is away.
      const unitLabel = await unitLabelOf(control, run.job).catch(() => UNITS);
      return { runId: run.runId, unitLabel, ...(await impactOf(regionDatabase.worker, run.runId)) };
    },
  }),
  exportRunUnits: stream({
    at: 'GET /api/v1/runs/:id/impact/units',
    example: { id: '5eed0000' },
    summary: 'Every unit on whose behalf a run changed rows, the most rows first',
    action: 'read',
    params,
    query: mostQuery,
    result: RegionUnitImpact,
    errors,
    run: async ({ regionDatabases }, { id, most }) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, id);
      return inRegion(run.region, impactByUnit(regionDatabase.worker, run.runId), most);
    },
  }),
  exportConflicts: stream({
    at: 'GET /api/v1/runs/:id/restore/conflicts',
    example: { id: '5eed0000' },
    summary: 'Every row of a run that a restore skips, because it was changed since',
    action: 'read',
    params,
    query: z.strictObject(partQuery),
    result: RestoreConflict,
    errors,
    run: async ({ control, regionDatabases }, { id, ...query }, caller) => {
      const { run, regionDatabase } = await findRunOf(regionDatabases, id);
      await recordPersonalRead(control, caller, `run ${run.runId}`, { conflicts: true });
      const { worker } = regionDatabase;
      return restoreConflicts(worker, run.runId, await readRestored(worker, run.runId), queriedPart(query));
    },
  }),
  previewRestore: operation({
    at: 'GET /api/v1/runs/:id/restore',
    example: { id: '5eed0000' },
    summary: 'What a restore of a run, or of a part of it, would do now; writes nothing',
    action: 'read',
    params,
    query: z.strictObject({
      ...partQuery,
      trial: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .default(true)
        .describe('where triggers fire, try up to 1,000 changes in a transaction that is rolled back'),
    }),
    result: Preview,
    errors,
    run: async ({ regionDatabases }, { id, trial, ...query }) => {
      const {
        run: { runId },
        regionDatabase,
      } = await findRunOf(regionDatabases, id);
      const [found] = await previewRestores(regionDatabase.worker, [runId], {
        part: queriedPart(query),
        trial,
      });
      if (!found) throw new PortcullisError('RUN_UNKNOWN', `there is no run ${runId}`);
      return { runId, ...found.preview };
    },
  }),
  restoreRun: operation({
    at: 'POST /api/v1/runs/:id/restore',
    example: { id: '5eed0000' },
    summary: 'Begins a restore of a run, or of a part of it, for a worker of its region to carry out',
    action: 'restore',
    reach: async ({ regionDatabases }, { id }) => [(await findRunOf(regionDatabases, id)).run.region],
    params,
    body: RestoreOrder,
    result: RestoreBegun,
    statuses: [202],
    statusOf: () => 202,
    errors: [...errors, 'RUN_ACTIVE', 'NOTHING_REACHED'],
    run: async ({ control, regionDatabases }, { id, reason, ...part }, caller) =>
      beginRestore(control, await findRunOf(regionDatabases, id), caller, { reason, part: partOf(part) }),
  }),
  getAsOf: operation({
    at: 'GET /api/v1/asof/:subject',
    example: { subject: 'account:a-17', at: '2026-03-01T09:30:00Z' },
    summary: 'The values that a row had at a moment, and which run set them',
    action: 'read',
    params: z.strictObject({ subject: subjectPath }),
    query: z.strictObject({
      at: z.iso.datetime({ offset: true }).optional().describe('the moment; absent: now'),
      region: regionQuery,
    }),
    result: Found,
    errors: ['SUBJECT_UNKNOWN'],
    run: async ({ control, regionDatabases, installed }, { subject, at, region }, caller) => {
      const moment = at === undefined ? new Date() : new Date(at);
      const parsed = parseSubject(installed(), subject);
      await recordPersonalRead(control, caller, subject, { at: moment.toISOString() });
      const policies = await policiesInForce(control);
      const regions = policies.find(({ job }) => job === parsed.job)?.regions;
      return { subject, ...(await asOfIn(regionDatabases, parsed, regions, moment, region)) };
    },
  }),
};

function queriedPart({
  resource,
  unit,
  key,
}: {
  readonly resource?: readonly string[] | undefined;
  readonly unit?: readonly string[] | undefined;
  readonly key?: readonly string[] | undefined;
}): RestorePart | undefined {
  return partOf({ resources: resource, units: unit, keys: key });
}

/** What each unit of a region was changed by, with the region; `most`: no more than so many. */
export async function* inRegion(
  region: string,
  units: AsyncIterable<UnitImpact>,
  most = Infinity,
): AsyncGenerator<UnitImpact & { readonly region: string }> {
  let given = 0;
  for await (const each of units) {
    yield { region, ...each };
    given += 1;
    if (given >= most) return;
  }
}
