import type pg from 'pg';
import { boundAuditWait, lockAudit, recordAudit, type AuditNote } from '../audit/record.js';
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

/** Leaves a kill to be recorded, in the transaction that kills. Does nothing where its order has no record. */
export async function leaveUnrecorded(
  client: pg.PoolClient,
  { record, job, region, version, restoresToo, drill, reason, by }: KillOrder,
  epoch: number,
  inFlight: number,
): Promise<void> {
  if (record === undefined) return;
  await client.query(
    `insert into portcullis_region.unrecorded_kill
       (id, job, region, version, restores_too, reason, killed_by, epoch, in_flight, drill)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [record, job, region, version ?? null, restoresToo ?? false, reason, by, epoch, inFlight, drill ?? false],
  );
}

/** Adds what came after the kill's transaction. Answers the kill, or undefined where it was moved by then. */
export async function completeUnrecorded(
  region: pg.Pool,
  id: string,
  { terminated, runsEnded }: { readonly terminated: number; readonly runsEnded: readonly string[] },
): Promise<UnrecordedKill | undefined> {
  const { rows } = await region.query<UnrecordedKill>(
    `update portcullis_region.unrecorded_kill set terminated = $2, runs_ended = $3 where id = $1 returning ${COLUMNS}`,
    [id, terminated, runsEnded],
  );
  return rows[0];
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
    for (const { kill } of left) {
      const { seq } = await recordAudit(client, noteOf(kill));
      await client.query('insert into portcullis_control.moved_kill (id, seq) values ($1, $2)', [
        kill.id,
        seq,
      ]);
    }
    if (left.length > 0) await also(client);
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
