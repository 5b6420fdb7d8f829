import type pg from 'pg';
import { boundAuditWait, lockAudit, recordAudits, type AuditNote } from '../audit/record.js';
import { faultPoint } from '../kernel/fault-point.js';
import { inTransaction } from '../postgres/pool.js';
import type { KeptOrder, KillOrder } from './kill-order.js';

/**
 * A kill that holds and is not in the audit log yet, as its own transaction left it in the region's database. It is
 * moved to the log by the process that killed, or by any that reaches both databases.
 */
export interface UnrecordedKill extends KeptOrder {
  readonly epoch: number;
  readonly inFlight: number;
  /** Null where the process that killed did not come that far. */
  readonly terminated: number | null;
  readonly runsEnded: readonly string[] | null;
}

const COLUMNS = `id, at, job, region, version, restores_too as "restoresToo", drill, reason, killed_by as by, epoch,
  in_flight as "inFlight", terminated, runs_ended as "runsEnded"`;

/** Leaves kills to be recorded, in the transaction that kills. One whose order has no record is not left. */
export async function leaveUnrecorded(
  client: pg.PoolClient,
  kills: readonly (KillOrder & { readonly epoch: number; readonly inFlight: number })[],
): Promise<void> {
  const left = kills.flatMap(({ record, version = null, restoresToo = false, drill = false, ...kill }) =>
    record === undefined ? [] : [{ ...kill, id: record, version, restoresToo, drill }],
  );
  if (left.length === 0) return;
  await client.query(
    `insert into portcullis_region.unrecorded_kill
       (id, job, region, version, restores_too, reason, killed_by, epoch, in_flight, drill)
     select id, job, region, version, "restoresToo", reason, by, epoch, "inFlight", drill
     from jsonb_to_recordset($1) as killed (id uuid, job text, region text, version text, "restoresToo" boolean,
       reason text, by text, epoch bigint, "inFlight" integer, drill boolean)
     -- A kill that was given up as lost may come through after all.
     on conflict (id) do nothing`,
    [JSON.stringify(left)],
  );
}

/** What came after a kill's transaction. */
export interface KillEnd {
  readonly record: string;
  readonly terminated: number;
  readonly runsEnded: readonly string[];
}

/** Adds what came after kills' transactions. Answers the kills that were not moved by then. */
export async function completeUnrecorded(
  region: pg.Pool,
  ends: readonly KillEnd[],
): Promise<UnrecordedKill[]> {
  const { rows } = await region.query<UnrecordedKill>(
    `update portcullis_region.unrecorded_kill k
     set terminated = done.terminated, runs_ended = done."runsEnded"
     from jsonb_to_recordset($1) as done (record uuid, terminated integer, "runsEnded" uuid[])
     where k.id = done.record returning ${COLUMNS.replaceAll('terminated', 'k.terminated')}`,
    [JSON.stringify(ends)],
  );
  return rows;
}

/** Kills of a region's database that have waited for so long, the oldest first. */
export async function unrecordedKills(region: pg.Pool, waitedMs: number): Promise<UnrecordedKill[]> {
  const { rows } = await region.query<UnrecordedKill>(
    `select ${COLUMNS} from portcullis_region.unrecorded_kill
     where at <= clock_timestamp() - make_interval(secs => $1::float8 / 1000) order by at, id limit 100`,
    [waitedMs],
  );
  return rows;
}

/** How many kills of a region's database are not in the audit log. 0 on a schema that keeps none. */
export async function countUnrecorded(region: pg.Pool): Promise<number> {
  const { rows } = await region.query<{ there: boolean }>(
    `select to_regclass('portcullis_region.unrecorded_kill') is not null as there`,
  );
  if (rows[0]?.there !== true) return 0;
  const counted = await region.query<{ n: number }>(
    'select count(*) as n from portcullis_region.unrecorded_kill',
  );
  return counted.rows[0]?.n ?? 0;
}

/** A kill, and the database of its region, which has it. */
export interface KeptKill {
  readonly region: pg.Pool;
  readonly kill: UnrecordedKill;
}

/**
 * Moves kills from their regions' databases to the audit log: all or none, and each once, however often and by however
 * many processes this is tried, and wherever one of them dies. `also` is done in the same transaction on the control
 * database, unless all of them were moved by then.
 */
export async function moveKills(
  control: pg.Pool,
  kept: readonly KeptKill[],
  also: (client: pg.PoolClient) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  if (kept.length === 0) return;
  const ids = kept.map(({ kill }) => kill.id);
  await inTransaction(control, async (client) => {
    await boundAuditWait(client);
    // Whoever moves has the log's turn, so that of two the second sees what the first has moved.
    await lockAudit(client);
    const { rows } = await client.query<{ id: string }>(
      'select id from portcullis_control.moved_kill where id = any($1)',
      [ids],
    );
    const left = kept.filter(({ kill }) => !rows.some(({ id }) => id === kill.id));
    if (left.length === 0) return;
    const entries = await recordAudits(
      client,
      left.map(({ kill }) => noteOf(kill)),
    );
    await client.query(
      'insert into portcullis_control.moved_kill (id, seq) select * from unnest($1::uuid[], $2::bigint[])',
      [left.map(({ kill }) => kill.id), entries.map(({ seq }) => seq)],
    );
    await also(client);
  });
  await faultPoint('kill.moved');
  const regions = new Set(kept.map(({ region }) => region));
  await Promise.all(
    [...regions].map((region) =>
      region.query('delete from portcullis_region.unrecorded_kill where id = any($1)', [ids]),
    ),
  );
}

/** What the audit log says of a kill. */
export function noteOf(kill: Omit<UnrecordedKill, 'id'>): AuditNote {
  const { job, region, version, by, at, reason, epoch, inFlight, terminated, runsEnded, restoresToo, drill } =
    kill;
  return {
    principal: by,
    action: version === null ? 'kill' : 'quarantine',
    subject: version === null ? `${job}.${region}` : `${job} ${version} in ${region}`,
    evidence: {
      ...{ reason, epoch, inFlight, terminated, runsEnded, restoresToo },
      killedAt: at.toISOString(),
      ...(drill && { drill }),
    },
  };
}
