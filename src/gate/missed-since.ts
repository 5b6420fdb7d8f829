import type pg from 'pg';
import { lastSlotDone } from '../runs/election.js';

/**
 * Since when slots of a version count as missed in a region and are to be caught up; undefined where nothing
 * is. A version that has never run there has missed nothing. Slots from before a re-arm that skips them are
 * forgotten, and a re-arm that asks for it has them caught up once, whatever the policy says otherwise.
 */
export async function missedSince(
  pool: pg.Pool,
  of: { readonly job: string; readonly version: string; readonly region: string },
  missedSlots: 'skip' | 'once',
): Promise<Date | undefined> {
  const { rows } = await pool.query<{ forget: Date | null; once: boolean }>(
    `select nullif(forget_slots_before, '-infinity') as forget, catch_up_once as once
     from portcullis_region.gate where job = $1 and region = $2 and state = 'open'`,
    [of.job, of.region],
  );
  const [gate] = rows;
  if (!gate || (missedSlots === 'skip' && !gate.once)) return undefined;
  const done = await lastSlotDone(pool, of.job, of.version, of.region);
  if (!done) return undefined;
  return gate.forget && gate.forget > done ? gate.forget : done;
}

/** The one run that a re-arm asked for has been elected. */
export async function caughtUp(pool: pg.Pool, job: string, region: string): Promise<void> {
  await pool.query(
    'update portcullis_region.gate set catch_up_once = false where job = $1 and region = $2 and catch_up_once',
    [job, region],
  );
}
