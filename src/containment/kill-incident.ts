import type pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { boundAuditWait } from '../audit/record.js';
import type { Principal } from '../access/roles.js';
import { clearAdmission } from '../flags/admission-store.js';
import {
  killJob,
  stopEverything,
  type KillReach,
  type KillReport,
  type KillRequest,
  type StopRequest,
  unreachedText,
} from './kill.js';
import { orderOf } from './kill-order.js';
import { claimWishes, concludeWish, type KillWish } from './pending-kill.js';
import { moveKills, unrecordedKills, type UnrecordedKill } from './unrecorded-kill.js';
import { notify, type Notice } from '../notify/notice.js';
import { inTransaction } from '../postgres/pool.js';
import type { PoolOf } from '../incidents/incident-runs.js';
import { openIncident, type RegionHit } from '../incidents/open-incident.js';
import { unchangedElsewhere } from '../flags/flags-elsewhere.js';

/** A kill, and the incident that it opened or joined; null where that could not be put on record, or told. */
export interface KillWithIncident extends KillReport {
  readonly incident: string | null;
  /** The server that has the flags, which the kill did not change. Absent: they are embedded. */
  readonly flagsAt?: string;
}

/**
 * Pulls the switch as `killJob` does, and opens an incident for it, or joins the one that is not closed yet. It
 * presumes no damage: that is for a rule or a person to name. People are told. The kill comes first: nothing about the incident delays or undoes it.
 */
export async function killWithIncident(
  control: pg.Pool,
  ownerOf: PoolOf,
  request: KillRequest,
  principal: Principal,
  reach?: KillReach,
): Promise<KillWithIncident> {
  // So that the gate, its runs and the record say it too.
  const order = request.drill === true ? { ...request, reason: `drill: ${request.reason}` } : request;
  const report = await killJob(control, ownerOf, order, principal, reach);
  return withIncident(control, ownerOf, report, order, principal, reach);
}

/** Stops everything as `stopEverything` does, and then opens each job's incident. */
export async function stopWithIncidents(
  control: pg.Pool,
  ownerOf: PoolOf,
  { reason, drill = false }: StopRequest,
  principal: Principal,
  reach?: KillReach,
): Promise<readonly KillWithIncident[]> {
  const reports = [];
  const request = { reason: drill ? `drill: ${reason}` : reason, drill, restoresToo: true };
  for (const report of await stopEverything(control, ownerOf, request, principal, reach)) {
    reports.push(await withIncident(control, ownerOf, report, request, principal, reach));
  }
  return reports;
}

/** While one process tries a kill, for so long no other does; longer than a try takes. */
const CLAIM_MS = 30_000;

/**
 * Tries the kills that could not reach their gates: of those, the ones of these ids, or all that nobody else is
 * trying. Each that gets through is put on record under the name of who asked for it. To be done again and again
 * by every process. Answers what has been killed.
 */
export async function carryOutWishes(
  control: pg.Pool,
  ownerOf: PoolOf,
  ids: readonly string[] | null = null,
  reach: KillReach = {},
): Promise<KillWithIncident[]> {
  const wishes = await claimWishes(control, CLAIM_MS, ids);
  const done = await Promise.all(wishes.map((wish) => carryOutWish(control, ownerOf, wish, reach)));
  return done.filter((report) => report.killed.length > 0);
}

async function carryOutWish(
  control: pg.Pool,
  ownerOf: PoolOf,
  wish: KillWish,
  reach: KillReach,
): Promise<KillWithIncident> {
  const { region, by, ...order } = orderOf(wish);
  const request = { ...order, regions: [region] };
  // Who asked was allowed to, when they asked.
  const principal: Principal = { name: by, role: 'admin', regions: null };
  const report = await killJob(control, ownerOf, request, principal, reach);
  const [failed] = report.failed;
  await concludeWish(control, wish.id, failed?.reason);
  return failed
    ? { ...report, incident: null }
    : withIncident(control, ownerOf, report, request, principal, reach);
}

async function withIncident(
  control: pg.Pool,
  ownerOf: PoolOf,
  report: KillReport,
  request: Pick<KillRequest, 'version' | 'reason' | 'restoresToo' | 'drill'>,
  { name: by }: Principal,
  { flagsAt, withoutControl = false }: KillReach = {},
): Promise<KillWithIncident> {
  const { killed, failed } = report;
  const elsewhere = flagsAt !== undefined && { flagsAt };
  if (killed.length + failed.length === 0 || withoutControl)
    return { ...report, ...elsewhere, incident: null };
  try {
    const hits = await hitsIn(ownerOf, killed);
    const alive = failed.map(({ region }) => ({ region, containedAt: null }));
    await clearKilled(control, { ...request, job: report.job, by });
    const incident = await inTransaction(control, async (client) => {
      await boundAuditWait(client);
      return openKillIncident(client, { ...report, ...elsewhere }, request, by, [...hits, ...alive]);
    });
    return { ...report, ...elsewhere, incident };
  } catch (error) {
    const unrecorded = [report.unrecorded, `no incident is open yet: ${messageOf(error)}`];
    return {
      ...report,
      ...elsewhere,
      incident: null,
      unrecorded: unrecorded.filter((each) => each !== undefined).join('; '),
    };
  }
}

/** Opens a kill's incident and has people told, in the transaction that the client is in. Answers the incident. */
async function openKillIncident(
  client: pg.PoolClient,
  report: Parameters<typeof killNotice>[0],
  request: Pick<KillRequest, 'version' | 'reason' | 'restoresToo' | 'drill'>,
  by: string,
  regions: readonly RegionHit[],
): Promise<string> {
  const { job, killed, failed, flagsAt } = report;
  const { version, reason, drill = false } = request;
  const { id } = await openIncident(client, {
    ...{ job, version, regions, drill, by },
    cause: 'kill',
    title: `${drill ? 'Drill: ' : ''}${by} killed ${version === undefined ? job : `${job} ${version}`}`,
    evidence: {
      ...{ reason, closed: version === undefined ? 'region' : 'version' },
      ...{ runsEnded: killed.flatMap(({ runsEnded }) => runsEnded), failed },
      ...(flagsAt !== undefined && { flagsAt }),
    },
  });
  await notify(client, killNotice(report, request, by, id));
  return id;
}

/**
 * A version that was killed is admitted nowhere any more: once its quarantine is lifted, a rollout admits it again.
 * A drill takes nothing away. In a transaction of its own, since flags are locked before the audit log.
 */
async function clearKilled(
  control: pg.Pool,
  {
    job,
    version,
    reason,
    drill = false,
    by,
  }: Pick<KillRequest, 'job' | 'version' | 'reason' | 'drill'> & {
    readonly by: string;
  },
): Promise<void> {
  if (version === undefined || drill) return;
  await inTransaction(control, async (client) => {
    await boundAuditWait(client);
    await clearAdmission(client, { job, version, reason, by });
  });
}

/** So long a kill is left to the process that killed, which records it at once. */
const OWN_MS = 5_000;

/**
 * Does the rest of the kills in a region's database that their own processes could not put on record, because they died
 * or could not reach the audit log: records them, opens their incidents and tells people. To be done again and again by
 * every process. Answers what it has recorded.
 */
export async function recordLateKills(control: pg.Pool, region: pg.Pool): Promise<UnrecordedKill[]> {
  const late = await unrecordedKills(region, OWN_MS);
  for (const kill of late) await recordLateKill(control, region, kill);
  return late;
}

async function recordLateKill(control: pg.Pool, owner: pg.Pool, kill: UnrecordedKill): Promise<void> {
  const { job, region, by, ...request } = orderOf(kill);
  const { epoch, inFlight } = kill;
  const runsEnded = kill.runsEnded ?? [];
  const killed = { job, region, epoch, inFlight, tookMs: 0, terminated: kill.terminated ?? 0, runsEnded };
  const at = kill.at.toISOString();
  await clearKilled(control, { ...request, job, by });
  const hit = { region, since: at, containedAt: at };
  await moveKills(control, [{ region: owner, kill }], async (client) => {
    await openKillIncident(client, { job, killed: [killed], failed: [] }, request, by, [hit]);
  });
}

/** When kills took hold, by their databases' clocks. Which runs were bad, if any, a kill does not say. */
async function hitsIn(ownerOf: PoolOf, killed: KillReport['killed']): Promise<RegionHit[]> {
  const owners = [...new Set(killed.map(({ region }) => ownerOf(region)))];
  const clocks = await Promise.all(
    owners.map((owner) => owner.query<{ now: string }>('select clock_timestamp()::text as now')),
  );
  return killed.map(({ region }) => {
    const now = clocks[owners.indexOf(ownerOf(region))]?.rows[0]?.now ?? null;
    return { region, since: now ?? undefined, containedAt: now };
  });
}

/** What people are told of a kill, complete or not. */
export function killNotice(
  {
    job,
    killed,
    failed,
    flagsAt,
  }: Pick<KillReport, 'job' | 'killed' | 'failed'> & { readonly flagsAt?: string },
  {
    version,
    reason,
    restoresToo = false,
    drill = false,
  }: Pick<KillRequest, 'version' | 'reason' | 'restoresToo' | 'drill'>,
  by: string,
  incident: string,
): Notice {
  const what = version === undefined ? job : `${job} ${version}`;
  const regions = [...killed, ...failed].map(({ region }) => region).sort();
  const stopped = killed.map(({ region }) => region).sort();
  const [only] = regions;
  return {
    kind: 'kill',
    job,
    ...(only !== undefined && regions.length === 1 && { region: only }),
    title: `${drill ? 'Drill: ' : ''}${
      stopped.length === 0
        ? `${by} wants ${what} killed in ${regions.join(', ')}`
        : `${by} killed ${what} in ${stopped.join(', ')}`
    }`,
    lines: [
      reason,
      ...(stopped.length === 0
        ? []
        : [`No change of it commits there any more${restoresToo ? ', and no restore' : ''}.`]),
      ...failed.map((each) => `${unreachedText(job, each, version)}.`),
      ...(flagsAt === undefined ? [] : [unchangedElsewhere(flagsAt, job, regions)]),
      `More: portcullis incident show ${incident}`,
    ],
    details: {
      ...{ incident, version: version ?? null, reason, by, restoresToo, drill, killed: stopped },
      failed: failed.map(({ region, reason: why, lapsesBy }) => ({ region, reason: why, lapsesBy })),
    },
  };
}
