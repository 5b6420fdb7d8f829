import type pg from 'pg';
import { messageOf } from '../base/errors.js';
import type { Principal } from '../access/roles.js';
import {
  killJob,
  stopEverything,
  type KillReach,
  type KillReport,
  type KillRequest,
} from '../gate/kill-switch.js';
import { claimWishes, concludeWish, type KillWish } from '../gate/kill-wish.js';
import { notify } from '../notify/notice.js';
import { inTransaction } from '../store/pool.js';
import type { PoolOf } from './incident-runs.js';
import { killNotice } from './kill-notice.js';
import { openIncident, type RegionHit } from './open-incident.js';

/** A kill, and the incident that it opened or joined; null where that could not be put on record, or told. */
export interface KillWithIncident extends KillReport {
  readonly incident: string | null;
}

/**
 * Pulls the switch as `killJob` does, and opens an incident for it, or joins the one that is not closed yet.
 * People are told. The kill comes first: nothing about the incident delays or undoes it.
 */
export async function killWithIncident(
  control: pg.Pool,
  ownerOf: PoolOf,
  request: KillRequest,
  principal: Principal,
  reach?: KillReach,
): Promise<KillWithIncident> {
  return withIncident(
    control,
    ownerOf,
    await killJob(control, ownerOf, request, principal, reach),
    request,
    principal,
  );
}

/** Stops everything as `stopEverything` does, and then opens each job's incident. */
export async function stopWithIncidents(
  control: pg.Pool,
  ownerOf: PoolOf,
  reason: string,
  principal: Principal,
  reach?: KillReach,
): Promise<readonly KillWithIncident[]> {
  const reports = [];
  for (const report of await stopEverything(control, ownerOf, reason, principal, reach)) {
    const request = { reason, restoresToo: true };
    reports.push(await withIncident(control, ownerOf, report, request, principal));
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
  const { id, job, region, version, restoresToo, reason, by } = wish;
  const request = { job, regions: [region], reason, restoresToo, ...(version !== null && { version }) };
  // Who asked was allowed to, when they asked.
  const principal: Principal = { name: by, role: 'admin', regions: null };
  const report = await killJob(control, ownerOf, request, principal, reach);
  const [failed] = report.failed;
  await concludeWish(control, id, failed?.reason);
  return failed ? { ...report, incident: null } : withIncident(control, ownerOf, report, request, principal);
}

async function withIncident(
  control: pg.Pool,
  ownerOf: PoolOf,
  report: KillReport,
  request: Pick<KillRequest, 'version' | 'reason' | 'restoresToo'>,
  { name: by }: Principal,
): Promise<KillWithIncident> {
  const { job, killed, failed } = report;
  const { version, reason } = request;
  if (killed.length + failed.length === 0) return { ...report, incident: null };
  try {
    const hits = await Promise.all(killed.map(({ region }) => hitIn(ownerOf(region), job, version, region)));
    const alive = failed.map(({ region }) => ({ region, containedAt: null }));
    const incident = await inTransaction(control, async (client) => {
      const { id } = await openIncident(client, {
        job,
        version,
        regions: [...hits, ...alive],
        cause: 'kill',
        title: `${by} killed ${version === undefined ? job : `${job} ${version}`}: ${reason}`,
        evidence: { reason, runsEnded: killed.flatMap(({ runsEnded }) => runsEnded), failed },
        by,
      });
      await notify(client, killNotice(report, request, by, id));
      return id;
    });
    return { ...report, incident };
  } catch (error) {
    const unrecorded = [report.unrecorded, `no incident could be opened: ${messageOf(error)}`];
    return {
      ...report,
      incident: null,
      unrecorded: unrecorded.filter((each) => each !== undefined).join('; '),
    };
  }
}

/**
 * What is known of a region right after a kill. To kill a version is to say that it is bad: all that it ever
 * wrote there belongs to the incident. To kill a job says so only of what it wrote last, in its newest slot;
 * whoever finds an earlier bad run adds it.
 */
async function hitIn(
  pool: pg.Pool,
  job: string,
  version: string | undefined,
  region: string,
): Promise<RegionHit> {
  const { rows } = await pool.query<{ id: string | null; since: string | null; now: string }>(
    `with suspect as (
       select id, slot, created_at from portcullis_region.run r
       where job = $1 and region = $2 and ($3::text is null or version = $3) and not dry_run and restores is null
         and (status = 'killed' or exists (select from portcullis_region.batch where run = r.id))
     ), first as (
       select id, created_at from suspect
       where $3 is not null or slot = (select max(slot) from suspect)
       order by created_at limit 1
     )
     select id, created_at::text as since, clock_timestamp()::text as now
     from (values (1)) always left join first on true`,
    [job, region, version ?? null],
  );
  const { id = null, since = null, now = '' } = rows[0] ?? {};
  return { region, firstRun: id ?? undefined, since: since ?? now, containedAt: now };
}
