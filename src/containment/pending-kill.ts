import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { boundAuditWait } from '../audit/record.js';
import { switchOff, withdrawVersion } from '../flags/withdraw-version.js';
import { columnsOf } from '../postgres/columns-of.js';
import { inTransaction } from '../postgres/pool.js';
import type { KeptOrder, KillOrder } from './kill-order.js';

/** A kill that could not reach its gate, and that whoever can reach it is to carry out. */
export interface KillWish extends KeptOrder {
  /** By when the last permit will have expired; null where nobody can say. */
  readonly lapsesBy: Date | null;
  readonly tries: number;
  /** Why it has not been carried out. */
  readonly trouble: string;
}

const WISH_COLUMNS = `id, job, region, version, restores_too as "restoresToo", reason, wished_by as by, wished_at as at,
  lapses_by as "lapsesBy", tries, trouble,
  -- An older schema knows no drills.
  coalesce((to_jsonb(kill_wish) ->> 'drill')::boolean, false) as drill`;

/** How far a kill has come on the control plane, where it could not reach its gate. */
export interface Wished {
  readonly wish: string;
  readonly lapsesBy: Date | null;
}

/**
 * Does for a kill whose gate could not be reached what can be done from the control plane, all or nothing. The
 * flag is revoked: a worker that hears it closes the gate at once, and one that does not renews
 * no permit once the flag is older than the policy allows. And a pending kill is recorded, for any process that
 * can reach the gate. `flagsElsewhere`: flags come from another source, which is not changed from here.
 */
export async function wishKill(
  control: pg.Pool,
  order: KillOrder,
  trouble: string,
  flagsElsewhere: boolean,
): Promise<Wished> {
  return inTransaction(control, async (client) => {
    await boundAuditWait(client);
    if (flagsElsewhere) {
      // The embedded flags are not in force.
    } else if (order.version === undefined) await switchOff(client, order);
    else await withdrawVersion(client, { ...order, version: order.version });
    const lapsesBy = flagsElsewhere ? null : await lastPermit(client, order);
    const drills = (await columnsOf(client, 'portcullis_control.kill_wish')).has('drill');
    const { rows } = await client.query<{ id: string }>(
      `insert into portcullis_control.kill_wish
         (id, job, region, version, restores_too, reason, wished_by, trouble, lapses_by${drills ? ', drill' : ''})
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9${drills ? ', $10' : ''})
       on conflict (job, region, coalesce(version, ''), restores_too) where held_at is null
       do update set trouble = excluded.trouble${drills ? ', drill = kill_wish.drill and excluded.drill' : ''}
       returning id`,
      [
        ...[randomUUID(), order.job, order.region, order.version ?? null, order.restoresToo ?? false],
        ...[order.reason, order.by, trouble, lapsesBy, ...(drills ? [order.drill ?? false] : [])],
      ],
    );
    return { wish: rows[0]?.id ?? '', lapsesBy };
  });
}

/**
 * By when the last permit will have expired, now that the flag allows nothing any more. Whoever last heard it do
 * so heard it before its last change, renewed for as long as the policy takes an old flag for good, and each
 * renewal was for the length of a permit. Null where no policy says how long these are.
 */
async function lastPermit(
  client: pg.PoolClient,
  { job, region }: Pick<KillOrder, 'job' | 'region'>,
): Promise<Date | null> {
  // A kill that reaches its gate loads no policy.
  const { loadPolicy } = await import('../flags/policy-store.js');
  const loaded = await loadPolicy(client, job);
  if (!loaded.ok) return null;
  const { flag, permitMs } = loaded.policy;
  const { rows } = await client.query<{ by: Date }>(
    `select changed_at + make_interval(secs => $3::float8 / 1000) as by
     from portcullis_control.flag where job = $1 and region = $2`,
    [job, region, flag.maxAgeMs + permitMs],
  );
  return rows[0]?.by ?? null;
}

/** Kills that have not reached their gates yet, the oldest first. */
export async function openWishes(control: pg.Pool): Promise<KillWish[]> {
  const { rows } = await control.query<KillWish>(
    `select ${WISH_COLUMNS} from portcullis_control.kill_wish where held_at is null order by wished_at, id`,
  );
  return rows;
}

/** Takes pending kills on, for so long, that nobody else is trying: those of these ids, or all. */
export async function claimWishes(
  control: pg.Pool,
  forMs: number,
  ids: readonly string[] | null = null,
): Promise<KillWish[]> {
  const { rows } = await control.query<KillWish>(
    `update portcullis_control.kill_wish
     set claimed_until = clock_timestamp() + make_interval(secs => $1::float8 / 1000), tries = tries + 1
     where held_at is null and claimed_until < clock_timestamp() and ($2::uuid[] is null or id = any($2))
     returning ${WISH_COLUMNS}`,
    [forMs, ids],
  );
  return rows;
}

/** Notes what came of a try. `trouble` absent: the kill holds. */
export async function concludeWish(control: pg.Pool, id: string, trouble?: string): Promise<void> {
  await control.query(
    `update portcullis_control.kill_wish
     set claimed_until = '-infinity', trouble = coalesce($2, trouble),
         held_at = case when $2::text is null then clock_timestamp() end
     where id = $1 and held_at is null`,
    [id, trouble ?? null],
  );
}

/** Which of these pending kills have been carried out. */
export async function heldWishes(control: pg.Pool, ids: readonly string[]): Promise<string[]> {
  const { rows } = await control.query<{ id: string }>(
    'select id from portcullis_control.kill_wish where id = any($1) and held_at is not null',
    [ids],
  );
  return rows.map(({ id }) => id);
}
