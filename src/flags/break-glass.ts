import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { time } from '../kernel/words.js';
import { notify } from '../notify/notice.js';
import { columnsOf } from '../postgres/columns-of.js';

/** How break-glass ended: by itself, by a person, or with the version's admission. */
export type BreakGlassEnd = 'expired' | 'revoked' | 'cleared';

export interface BreakGlassGrant {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  readonly regions: readonly string[];
  readonly permille: number;
  readonly forMs: number;
  readonly reason: string;
  readonly requestedBy: string;
  readonly approvedBy: string;
}

/**
 * Grants break-glass in the transaction that the client is in, from now on by the database's clock; puts it on record and
 * tells every receiver. That two people agreed is the caller's to check.
 */
export async function grantBreakGlass(client: pg.PoolClient, grant: BreakGlassGrant): Promise<void> {
  const { id, job, version, regions, permille, forMs, reason, requestedBy, approvedBy } = grant;
  await lockFlagsOf(client, job);
  const { rows } = await client.query<{ expires: Date }>(
    `insert into portcullis_control.break_glass
       (id, job, region, version, permille, reason, requested_by, approved_by, expires_at)
     select $1, $2, region, $4, $5, $6, $7, $8, clock_timestamp() + $9 * interval '1 millisecond'
     from unnest($3::text[]) as region order by region
     returning expires_at as expires`,
    [id, job, regions, version, permille, reason, requestedBy, approvedBy, forMs],
  );
  const until = new Date(Math.max(...rows.map(({ expires }) => expires.getTime()))).toISOString();
  await recordAudit(client, {
    principal: approvedBy,
    action: 'grant-break-glass',
    subject: id,
    evidence: { job, version, regions, permille, until, reason, requestedBy },
  });
  await notify(client, {
    ...{ kind: 'break-glass', job },
    ...(regions.length === 1 && { region: regions[0] ?? '' }),
    title: `break-glass: ${job} ${version} may act for ${permille / 10}% of ${regions.join(', ')} until ${time(until)}, which no rollout has admitted`,
    lines: [
      `Reason: ${reason}`,
      `Asked for by ${requestedBy}, approved by ${approvedBy}.`,
      `To end it now: portcullis break-glass revoke ${id} --reason "…"`,
    ],
    details: { breakGlass: id, version, regions, permille, until, requestedBy, approvedBy },
  });
}

/** Break-glass that ended. */
interface Ended {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly version: string;
}

/**
 * Ends break-glass that is in force, in the transaction that the client is in, and puts that on record. Whoever asks for
 * an id that is not in force ends nothing. Answers what ended.
 */
export async function endBreakGlass(
  client: pg.PoolClient,
  which: { readonly id: string } | { readonly job: string; readonly version: string },
  how: { readonly ended: 'revoked' | 'cleared'; readonly by: string; readonly reason: string },
): Promise<readonly Ended[]> {
  const byId = 'id' in which;
  const { rows } = await client.query<Ended>(
    `update portcullis_control.break_glass
     set ended_at = clock_timestamp(), ended = $3, ended_by = $4, ended_reason = $5
     where ${byId ? 'id = $1 and $2::text is null' : 'job = $1 and version = $2'}
       and ended_at is null and expires_at > clock_timestamp()
     returning id, job, region, version`,
    [byId ? which.id : which.job, byId ? null : which.version, how.ended, how.by, how.reason],
  );
  for (const [id, of] of byRequest(rows)) {
    await recordAudit(client, {
      principal: how.by,
      action: how.ended === 'revoked' ? 'revoke-break-glass' : 'clear-break-glass',
      subject: id,
      evidence: endedEvidence(of, how.reason),
    });
  }
  return rows;
}

/** A request may be for several regions, and is one line on record. */
function byRequest<T extends Ended>(rows: readonly T[]): Map<string, T[]> {
  const requests = new Map<string, T[]>();
  for (const row of rows) requests.set(row.id, [...(requests.get(row.id) ?? []), row]);
  return requests;
}

function endedEvidence(of: readonly Ended[], reason: string) {
  const [{ job, version } = { job: '', version: '' }] = of;
  return { job, version, regions: of.map(({ region }) => region), reason };
}

/** Whether the schema has break-glass: a kill must also work on an older one. */
export async function hasBreakGlass(client: pg.Pool | pg.PoolClient): Promise<boolean> {
  return (await columnsOf(client, 'portcullis_control.break_glass')).size > 0;
}

/**
 * Notes what has expired by the database's clock, on record, and tells every receiver. It had ended already: nothing
 * waits for this. Answers what was noted.
 */
export async function noteExpired(client: pg.PoolClient, by: string): Promise<readonly Ended[]> {
  const { rows: due } = await client.query<{ job: string }>(
    `select distinct job from portcullis_control.break_glass
     where ended_at is null and expires_at <= clock_timestamp() order by job`,
  );
  if (due.length === 0) return [];
  for (const { job } of due) await lockFlagsOf(client, job);
  const { rows } = await client.query<Ended & { readonly permille: number; readonly at: Date }>(
    `update portcullis_control.break_glass
     set ended_at = expires_at, ended = 'expired', ended_by = $1, ended_reason = 'its time is over'
     where ended_at is null and expires_at <= clock_timestamp() and job = any($2)
     returning id, job, region, version, permille, expires_at as at`,
    [by, due.map(({ job }) => job)],
  );
  for (const [id, of] of byRequest(rows)) {
    const [first] = of;
    if (first === undefined) continue;
    const { job, version, permille, at } = first;
    const regions = of.map(({ region }) => region);
    await recordAudit(client, {
      principal: by,
      action: 'expire-break-glass',
      subject: id,
      evidence: { ...endedEvidence(of, 'its time is over'), permille, at: at.toISOString() },
    });
    await notify(client, {
      ...{ kind: 'break-glass', job },
      ...(regions.length === 1 && { region: regions[0] ?? '' }),
      title: `break-glass of ${job} ${version} in ${regions.join(', ')} expired at ${time(at)}`,
      lines: ['The version has what its rollout has admitted, and no more.'],
      details: { breakGlass: id, version, regions, permille },
    });
  }
  return rows;
}

/** Puts on record that runs were planned under break-glass; a run that is on record already is not put there again. */
export async function noteRuns(
  client: pg.PoolClient,
  runs: readonly { readonly run: string; readonly id: string; readonly region: string }[],
  by: string,
): Promise<void> {
  for (const { run, id, region } of runs) {
    const { rows } = await client.query<{ run: string }>(
      `insert into portcullis_control.break_glass_run (run, id, region)
       select $1, id, region from portcullis_control.break_glass where id = $2 and region = $3
       on conflict do nothing returning run`,
      [run, id, region],
    );
    if (rows.length === 0) continue;
    await recordAudit(client, {
      principal: by,
      action: 'use-break-glass',
      subject: id,
      evidence: { run, region },
    });
  }
}

/** Locks the flags of a job until the transaction ends, in the order in which every writer of flags and admissions does. */
export async function lockFlagsOf(client: pg.PoolClient, job: string): Promise<void> {
  await client.query('select from portcullis_control.flag where job = $1 order by region for update', [job]);
}
