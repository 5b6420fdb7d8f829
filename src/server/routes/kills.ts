import type pg from 'pg';
import { z } from 'zod';
import { loadPolicy } from '../../flags/policy-store.js';
import { regionsOf } from '../../containment/gates-of.js';
import { requireComplete } from '../../containment/kill.js';
import { askLift, askRearm } from '../../containment/rearm-approval.js';
import { killWithIncident, stopWithIncidents } from '../../containment/kill-incident.js';
import { announcedVersions, versionToKill } from '../../rollout/announce.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import { Killed, KillOrder, RearmOrder, StopOrder, Stopped } from '../kill-schemas.js';
import { AskedApproval } from '../record-schemas.js';
import { namePath } from '../schemas.js';

/** Kills, which never need an approval, and requests to take one back, which always do. */
export function killRoutes({ jobs, control, planes, flagsAt }: HttpDeps): Route[] {
  const reach = { flagsAt };
  const ownerOf = (region: string): pg.Pool => planes.of(region).kills;
  const regions = (job: string, region: string | undefined): Promise<readonly string[]> =>
    regionsOf(
      control,
      jobs().map(({ name }) => name),
      job,
      region,
    );
  const versionMeant = async (job: string, meant: string): Promise<string> => {
    const announced = await announcedVersions(control, job);
    return versionToKill(
      job,
      meant,
      announced.map(({ version }) => version),
    );
  };
  return [
    route({
      method: 'post',
      path: '/api/v1/jobs/:job/kill',
      operationId: 'killJob',
      summary: 'Stops a job; answers when no change in its scope can commit any more',
      action: 'kill',
      params: z.strictObject({ job: namePath }),
      body: KillOrder,
      regionOf: ({ body }) => body.region,
      result: Killed,
      errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'VERSION_UNKNOWN', 'NOTHING_REACHED', 'KILL_INCOMPLETE'],
      handle: async ({ params: { job }, body: { region, version: meant, reason, drill }, caller }) => {
        const where = await regions(job, region);
        const version = meant === undefined ? undefined : await versionMeant(job, meant);
        const scope = { job, regions: where, ...(version !== undefined && { version }) };
        const report = await killWithIncident(
          control,
          ownerOf,
          { ...scope, reason, drill },
          callerOf(caller),
          reach,
        );
        requireComplete([report], version);
        return report;
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/stop',
      operationId: 'stopEverything',
      summary: 'Stops every job in every region, and restores too',
      action: 'kill',
      body: StopOrder,
      result: Stopped,
      errors: ['NOTHING_REACHED', 'KILL_INCOMPLETE'],
      handle: async ({ body, caller }) => {
        const reports = await stopWithIncidents(control, ownerOf, body, callerOf(caller), reach);
        requireComplete(reports);
        return { jobs: reports };
      },
    }),
    route({
      method: 'post',
      path: '/api/v1/jobs/:job/rearm',
      operationId: 'requestRearm',
      summary: 'Requests a re-arm; a second person approves it',
      action: 'request-rearm',
      params: z.strictObject({ job: namePath }),
      body: RearmOrder,
      regionOf: ({ body }) => body.region,
      result: AskedApproval,
      errors: [
        'JOB_UNKNOWN',
        'REGION_UNKNOWN',
        'VERSION_UNKNOWN',
        'GATE_NOT_KILLED',
        'VERSION_NOT_QUARANTINED',
      ],
      handle: async ({ params: { job }, body: { region, version, reason }, caller }) => {
        await regions(job, region);
        if (version !== undefined) {
          const everywhere = planes.all().map(({ worker }) => worker);
          return askLift(control, everywhere, { job, version, reason }, callerOf(caller));
        }
        const policy = await loadPolicy(control, job);
        const onRearm = policy.ok ? policy.policy.onRearm : 'skip';
        return askRearm(
          control,
          planes.of(region ?? '').worker,
          { job, region: region ?? '', reason, onRearm },
          callerOf(caller),
        );
      },
    }),
  ];
}
