import type pg from 'pg';
import { z } from 'zod';
import { loadPolicy } from '../flags/policy-store.js';
import { regionsOf } from '../containment/gates-of.js';
import { requireComplete } from '../containment/kill.js';
import { askLift, askRearm } from '../containment/rearm-approval.js';
import { killWithIncident, stopWithIncidents } from '../containment/kill-incident.js';
import { requireRegion } from '../kernel/unknown-name.js';
import { announcedVersions, versionToKill } from '../rollout/announce.js';
import type { OperationContext } from './context.js';
import { INSTALLED } from '../kernel/version-named.js';
import { operation, SENT_OR_EVERYWHERE } from './operation.js';
import { AskedRearm, Killed, KillOrder, RearmOrder, StopOrder, Stopped } from './kill-schemas.js';
import { namePath } from './schemas.js';

/** Kills, which never need an approval, and requests to re-arm, which always do. */
export const killOperations = {
  killJob: operation({
    at: 'POST /api/v1/jobs/:job/kill',
    example: { job: 'dormant-cleanup', reason: 'deletes rows that are in use' },
    summary: 'Stops a job; answers when no change in its scope can commit any more',
    action: 'kill',
    // Each call kills: an answer of yesterday would say of a gate that was re-armed since that it is killed.
    keyed: 'no',
    params: z.strictObject({ job: namePath }),
    body: KillOrder,
    reach: SENT_OR_EVERYWHERE,
    result: Killed,
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'VERSION_UNKNOWN', 'NOTHING_REACHED', 'KILL_INCOMPLETE'],
    run: async (context, { job, region, version: meant, reason, drill }, caller) => {
      const { control, flagsAt } = context;
      const where = await regions(context, job, region);
      const version = meant === undefined ? undefined : await versionMeant(control, job, meant);
      const scope = { job, regions: where, ...(version !== undefined && { version }) };
      const report = await killWithIncident(control, killing(context), { ...scope, reason, drill }, caller, {
        flagsAt,
      });
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
    body: StopOrder,
    result: Stopped,
    errors: ['NOTHING_REACHED', 'KILL_INCOMPLETE'],
    run: async (context, body, caller) => {
      const { control, flagsAt } = context;
      const reports = await stopWithIncidents(control, killing(context), body, caller, { flagsAt });
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
      const { control, planes } = context;
      const named = region === undefined ? several : [region];
      const among = await regions(context, job, undefined);
      for (const each of named ?? []) requireRegion(each, among);
      if (version !== undefined) {
        const everywhere = planes.all().map(({ worker }) => worker);
        const installed = context.jobs().find(({ name }) => name === job)?.version;
        const meant = version === INSTALLED ? (installed ?? version) : version;
        return askLift(control, everywhere, { job, version: meant, reason }, caller);
      }
      const policy = await loadPolicy(control, job);
      const onRearm = policy.ok ? policy.policy.onRearm : 'skip';
      return askRearm(
        control,
        (each) => planes.of(each).worker,
        { job, regions: named, among, reason, onRearm, ifRevision },
        caller,
      );
    },
  }),
};

const killing =
  ({ planes }: OperationContext) =>
  (region: string): pg.Pool =>
    planes.of(region).kills;

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

async function versionMeant(control: pg.Pool, job: string, meant: string): Promise<string> {
  const announced = await announcedVersions(control, job);
  return versionToKill(
    job,
    meant,
    announced.map(({ version }) => version),
  );
}
