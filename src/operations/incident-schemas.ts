import { z } from 'zod';
import { CAUSES } from '../incidents/incident.js';
import { STEP_ACTS } from '../incidents/runbook.js';
import { INCIDENT_STATES, type IncidentState } from '../incidents/incident-states.js';
import { SEVERITIES } from '../incidents/severity.js';
import { Impact, RestoreBegun } from './restore-schemas.js';
import { count, named, pageSchema, reason, text, isoTime, UnitLabel, word } from '../kernel/schema.js';
import { runStatuses } from '../runs/browse-runs.js';
import { BreakGlass } from '../flags/break-glass.js';

const states = Object.keys(INCIDENT_STATES) as [IncidentState, ...IncidentState[]];
const state = z.enum(states);
const durationMs = z.int().min(0).nullable().describe('milliseconds; null for what has not come');

const IncidentShape = {
  id: z.string(),
  job: z.string(),
  version: z.string().nullable().describe('null where it is not known which is to blame'),
  cause: z.enum(CAUSES),
  state: state,
  severity: z
    .enum(SEVERITIES.map(({ severity }) => severity))
    .nullable()
    .describe('null before the first look at its impact'),
  title: z.string(),
  drill: z.boolean().describe('a kill for practice'),
  regions: z
    .array(
      z.strictObject({
        region: z.string(),
        firstRun: z.guid().nullable().describe('the first bad run, where it is known'),
        since: z.string().describe('runs elected before this do not belong to it'),
        containedAt: z.string().nullable().describe('from when on nothing of it could commit any more'),
        damaged: z
          .boolean()
          .describe('whether a rule or a person has named damage here; until then no run belongs to it'),
      }),
    )
    .readonly(),
  evidence: z
    .array(
      z.strictObject({
        at: z.string(),
        by: z.string(),
        cause: z.enum(CAUSES),
        title: z.string(),
        regions: z.array(z.string()).readonly(),
        facts: z.record(z.string(), z.unknown()).readonly(),
      }),
    )
    .readonly()
    .describe('what opened it, and what has joined it since'),
  openedBy: z.string(),
  openedAt: isoTime,
  containedAt: isoTime.nullable(),
  restoredAt: isoTime.nullable(),
  closedAt: isoTime.nullable(),
  closedBy: z.string().nullable(),
  conclusion: z.string().nullable(),
  falseAlarm: z.boolean(),
};

export const Incident = named('Incident', z.strictObject(IncidentShape));
export const IncidentPage = pageSchema('IncidentPage', Incident);

const RestoreOfRun = z.strictObject({
  id: z.guid(),
  status: z.enum(runStatuses),
  createdAt: isoTime,
  finishedAt: isoTime.nullable(),
  restored: count.describe('rows put back'),
  conflicts: count.describe('rows skipped, because others had changed them'),
});

const figures = {
  ...Impact.omit({ runId: true, unitLabel: true }).shape,
  runs: count.describe('runs that changed anything'),
  restored: count.describe('rows put back so far'),
  restoreConflicts: count.describe('rows that restores skipped'),
};

/** An incident with what its runs have changed, as of now. */
export const IncidentDetails = named(
  'IncidentDetails',
  z.strictObject({
    ...IncidentShape,
    runs: z
      .array(
        z.strictObject({
          id: z.guid(),
          version: z.string(),
          region: z.string(),
          trigger: z.string(),
          status: z.enum(runStatuses),
          reason: z.string(),
          createdAt: isoTime,
          finishedAt: isoTime.nullable(),
          firstAppliedAt: isoTime.nullable(),
          lastAppliedAt: isoTime.nullable(),
          restore: RestoreOfRun.nullable().describe('the last restore of it'),
          restores: z
            .array(RestoreOfRun)
            .readonly()
            .describe('every restore of it, the first first: each puts back what those before it have left'),
        }),
      )
      .readonly()
      .describe('the newest first'),
    unitLabel: UnitLabel,
    impact: z.strictObject({
      ...figures,
      regions: z.array(z.strictObject({ region: z.string(), ...figures })).readonly(),
    }),
    unchecked: z
      .array(
        z.strictObject({
          region: z.string(),
          permille: count,
          by: z.string(),
          approvedBy: z.string().nullable().describe('null: nobody had to agree, in a release before'),
          reason: z.string(),
        }),
      )
      .readonly()
      .describe("steps of the version's rollout whose bake was skipped: nobody checked them"),
    breakGlass: z
      .array(BreakGlass)
      .readonly()
      .describe('the break-glass that the version ever had in its regions'),
    measures: z.strictObject({
      detectMs: durationMs,
      stopMs: durationMs,
      restoreMs: durationMs,
    }),
    silent: z
      .array(z.strictObject({ region: z.string(), reason: z.string() }))
      .readonly()
      .describe('regions whose database could not be asked: the figures are without them'),
  }),
);

export const Timeline = named(
  'Timeline',
  z.strictObject({
    id: z.string(),
    moments: z
      .array(z.strictObject({ at: isoTime, what: z.string(), who: z.string().nullable(), kind: z.string() }))
      .readonly(),
  }),
);

export const Runbook = named(
  'Runbook',
  z.strictObject({
    id: z.string(),
    steps: z
      .array(
        z.strictObject({
          title: z.string(),
          commands: z.array(z.string()).readonly(),
          expect: z.string(),
          done: z.boolean().describe('as far as Portcullis knows'),
          act: z.enum(STEP_ACTS).nullable().describe('what the step does; null: it only looks'),
        }),
      )
      .readonly(),
    page: z
      .string()
      .nullable()
      .describe(
        'what the job says of its changes, in Markdown; null: it brings no page, or is not installed here',
      ),
  }),
);

export const StatusUpdates = named(
  'StatusUpdates',
  z.strictObject({
    id: z.string(),
    updates: z.array(
      z.strictObject({
        phase: z.enum(['investigating', 'identified', 'resolved']),
        at: z.string(),
        text: z.string(),
      }),
    ),
  }),
);

export const IncidentReport = named(
  'IncidentReport',
  z.strictObject({
    job: word,
    version: word.optional().describe('the version to blame, where it is known'),
    regions: z.array(word).min(1).max(100).optional().describe('absent: the region of the run, or all'),
    run: word.optional().describe('the first bad run, or the first 4 or more digits of its id'),
    title: text(z.string().trim().min(1).max(200)).describe('what happened, in one line'),
  }),
);
export const IncidentOpened = named(
  'IncidentOpened',
  z.strictObject({ id: z.string(), joined: z.boolean().describe('whether it was there already') }),
);
export const IncidentInclusion = named(
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
export const IncidentConclusion = named(
  'IncidentConclusion',
  z.strictObject({
    conclusion: reason.describe('what was wrong'),
    falseAlarm: z.boolean().default(false),
  }),
);
export const IncidentRestore = named(
  'IncidentRestore',
  z.strictObject({
    id: z.string(),
    state: state,
    restores: z
      .array(RestoreBegun)
      .readonly()
      .describe('under way now: in each region, the newest run not yet put back'),
    left: count.describe('runs still to be put back behind these: ask again once these have ended'),
  }),
);
export const incidentIdPath = word.describe("an incident's id, in either case");
export const incidentStateQuery = state.optional().describe('only in this state');
