import type pg from 'pg';
import { z } from 'zod';
import { loadPolicy } from '../flags/policy-store.js';
import { gatesOf, regionsOf } from '../containment/gates-of.js';
import { requireComplete } from '../containment/kill.js';
import { askLift, askRearm } from '../containment/rearm-approval.js';
import { killWithIncident, stopWithIncidents } from '../containment/kill-incident.js';
import { requireRegion } from '../kernel/unknown-name.js';
import { announcedVersions, versionToKill } from '../rollout/announce.js';
import type { OperationContext } from './context.js';
import { INSTALLED } from '../kernel/version-named.js';
import { operation, SENT_OR_EVERYWHERE } from './operation.js';
import { namePath } from './schemas.js';
import { askControl, gatesWithoutControl, passingControl, regionsWithoutControl } from './without-control.js';
import { count, named, reason, word } from '../kernel/schema.js';
import { Approval } from '../access/approvals.js';

const decimalMs = z.number().min(0).describe('milliseconds');

const drill = z
  .boolean()
  .default(false)
  .describe('for practice: gates are killed all the same; incident and notices say drill');

const KillOrder = named(
  'KillOrder',
  z.strictObject({
    region: word.optional().describe('only in this region; absent: in all'),
    version: word
      .optional()
      .describe(
        'only this version (the full one, its number, or a unique prefix of its digest): it is quarantined, and the gate stays open for others',
      ),
    reason: reason.describe('for the record, and for whoever re-arms it'),
    drill,
  }),
);

const StopOrder = named('StopOrder', z.strictObject({ reason: reason.describe('for the record'), drill }));

const Killed = named(
  'Killed',
  z.strictObject({
    job: z.string(),
    killed: z
      .array(
        z.strictObject({
          job: z.string(),
          region: z.string(),
          epoch: z.int().describe("the gate's from now on; of a version's kill, the version's"),
          tookMs: decimalMs.describe('until no batch in its scope could commit any more, in milliseconds'),
          inFlight: count.describe('batches that were under way when the kill came'),
          terminated: count.describe('of their connections, those that had to be ended'),
          runsEnded: z.array(z.string()).readonly(),
        }),
      )
      .readonly(),
    failed: z
      .array(
        z.strictObject({
          region: z.string(),
          reason: z.string(),
          wish: z.string().nullable(),
          lapsesBy: z.string().nullable(),
        }),
      )
      .readonly()
      .describe('always empty in an answer: where one is not, the kill is KILL_INCOMPLETE'),
    incident: z.string().nullable().describe('that it opened, or joined; null where it could open none'),
    flagsAt: z
      .string()
      .optional()
      .describe('the server that has the flags, which the kill did not change; absent: they are embedded'),
    unrecorded: z
      .string()
      .optional()
      .describe(
        'why it is not on record yet; the kill holds all the same, and is recorded as soon as it can be',
      ),
  }),
);

const Stopped = named('Stopped', z.strictObject({ jobs: z.array(Killed).readonly() }));

const RearmOrder = named(
  'RearmOrder',
  z
    .strictObject({
      region: word.optional().describe('the region whose gate was killed'),
      regions: z.array(word).min(1).max(1000).optional().describe('or several: one request for all of them'),
      all: z.literal(true).optional().describe('or every region whose gate is killed: one request for all'),
      version: word
        .optional()
        .describe(
          'the version whose quarantine to lift, everywhere: the full one, its number, or a unique prefix of its digest',
        ),
      reason: reason.describe('why it is safe now: the incident or reason that this answers'),
      ifRevision: count
        .optional()
        .describe('refuse if the gate of `region` has another epoch by now: it was killed again since'),
    })
    .refine(
      ({ region, regions, all, version }) =>
        [region, regions, all, version].filter((each) => each !== undefined).length === 1,
      { message: 'give one of region, regions, all and version' },
    )
    .refine(({ region, ifRevision }) => ifRevision === undefined || region !== undefined, {
      message: 'ifRevision is the epoch of one gate: give it with region',
    }),
);

const AskedRearm = named(
  'AskedRearm',
  Approval.extend({
    joined: z.boolean().describe('whether a request that waits asked for it already'),
    regions: z
      .array(z.string())
      .readonly()
      .optional()
      .describe('whose gates it re-arms; absent where it lifts a quarantine'),
    others: z
      .array(z.strictObject({ id: z.string(), regions: z.array(z.string()).readonly() }))
      .readonly()
      .optional()
      .describe('earlier requests that wait, for some of the same gates; this one needs none of them'),
  }),
);

/** Kills, which never need an approval, and requests to re-arm, which always do. */
export const killOperations = {
  killJob: operation({
    at: 'POST /api/v1/jobs/:job/kill',
    example: { job: 'dormant-cleanup', reason: 'deletes rows that are in use' },
    summary: 'Stops a job; answers when no change in its scope can commit any more',
    action: 'kill',
    // Each call kills: an answer of yesterday would say of a gate that was re-armed since that it is killed.
    keyed: 'no',
    withoutControl: true,
    params: z.strictObject({ job: namePath }),
    body: KillOrder,
    reach: SENT_OR_EVERYWHERE,
    result: Killed,
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'VERSION_UNKNOWN', 'NOTHING_REACHED', 'KILL_INCOMPLETE'],
    run: async (context, { job, region, version: meant, reason, drill }, caller) => {
      const { control, flagsAt } = context;
      const known = await askControl(caller, async () => ({
        regions: await regions(context, job, region),
        version: meant === undefined ? undefined : await versionMeant(control, job, meant),
      }));
      const { version, ...where } = known ?? {
        regions: await regionsWithoutControl(context, job, region),
        version: meant === undefined ? undefined : versionToKill(job, meant, installedVersions(context, job)),
      };
      const past = known === undefined;
      const report = await killWithIncident(
        control,
        killing(context),
        {
          ...{ job, ...where, drill, reason: past ? passingControl(reason) : reason },
          ...(version !== undefined && { version }),
        },
        caller,
        { flagsAt, withoutControl: past },
      );
      requireComplete([report], version);
      return report;
    },
  }),
  stopEverything: operation({
    at: 'POST /api/v1/stop',
    example: { reason: 'the database is being moved' },
    summary: 'Stops every job in every region, and restores too',
    action: 'kill',
    keyed: 'no',
    withoutControl: true,
    body: StopOrder,
    result: Stopped,
    errors: ['NOTHING_REACHED', 'KILL_INCOMPLETE'],
    run: async (context, { reason, drill }, caller) => {
      const { control, flagsAt } = context;
      const known = await askControl(caller, () => gatesOf(control));
      const past = known === undefined;
      const jobs = known ?? (await gatesWithoutControl(context));
      const order = { reason: past ? passingControl(reason) : reason, drill };
      const reach = { flagsAt, jobs, withoutControl: past };
      const reports = await stopWithIncidents(control, killing(context), order, caller, reach);
      requireComplete(reports);
      return { jobs: reports };
    },
  }),
  requestRearm: operation({
    at: 'POST /api/v1/jobs/:job/rearm',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', reason: 'fixed in 1.2.1' },
    summary: 'Requests that killed gates are re-armed, in one request; a second person approves it',
    action: 'request-rearm',
    params: z.strictObject({ job: namePath }),
    body: RearmOrder,
    reach: SENT_OR_EVERYWHERE,
    result: AskedRearm,
    errors: [
      'JOB_UNKNOWN',
      'REGION_UNKNOWN',
      'VERSION_UNKNOWN',
      'GATE_NOT_KILLED',
      'REVISION_STALE',
      'VERSION_NOT_QUARANTINED',
    ],
    run: async (context, { job, region, regions: several, version, reason, ifRevision }, caller) => {
      const { control, regionDatabases } = context;
      const named = region === undefined ? several : [region];
      const among = await regions(context, job, undefined);
      for (const each of named ?? []) requireRegion(each, among);
      if (version !== undefined) {
        const everywhere = regionDatabases.all().map(({ worker }) => worker);
        const installed = context.jobs().find(({ name }) => name === job)?.version;
        const meant = version === INSTALLED ? (installed ?? version) : version;
        return askLift(control, everywhere, { job, version: meant, reason }, caller);
      }
      const policy = await loadPolicy(control, job);
      const onRearm = policy.ok ? policy.policy.onRearm : 'skip';
      return askRearm(
        control,
        (each) => regionDatabases.of(each).worker,
        { job, regions: named, among, reason, onRearm, ifRevision },
        caller,
      );
    },
  }),
};

const killing =
  ({ regionDatabases }: OperationContext) =>
  (region: string): pg.Pool =>
    regionDatabases.of(region).kills;

function regions(
  { control, jobs }: OperationContext,
  job: string,
  region: string | undefined,
): Promise<readonly string[]> {
  return regionsOf(
    control,
    jobs().map(({ name }) => name),
    job,
    region,
  );
}

function installedVersions({ jobs }: OperationContext, job: string): string[] {
  return jobs().flatMap(({ name, version }) => (name === job ? [version] : []));
}

async function versionMeant(control: pg.Pool, job: string, meant: string): Promise<string> {
  const announced = await announcedVersions(control, job);
  return versionToKill(
    job,
    meant,
    announced.map(({ version }) => version),
  );
}
