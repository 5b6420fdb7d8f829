import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { RunStatus } from './run-states.js';
import { newestSlot } from './slots.js';

/** The most times of a schedule that are looked at: one a minute, for a week. */
const MOST_SLOTS = 10_080;

/** What of a job's schedule is looked at in a region. */
export interface Scheduled {
  readonly job: string;
  readonly region: string;
  /** Cron, in UTC. */
  readonly schedule: string;
  /** Only times after this one, and up to that one. */
  readonly after: Date;
  readonly until: Date;
}

/** A scheduled time at which nothing ran. */
export interface MissedSlot {
  readonly job: string;
  readonly region: string;
  readonly slot: Date;
  /** The run that was held or skipped; null: none was begun. */
  readonly run: string | null;
  readonly code: string;
  readonly reason: string;
}

/** The run of a scheduled time; of several versions, each has one. */
interface SlotRow {
  readonly id: string;
  readonly slot: Date;
  readonly status: RunStatus;
  readonly code: string;
  readonly reason: string;
}

/**
 * The scheduled times at which no version of a job ran in a region, the oldest first: with why its run was held or
 * skipped, or that none was begun. Throws REQUEST_INVALID where that are too many times to look at.
 */
export async function missedSlots(pool: pg.Pool, scheduled: Scheduled): Promise<MissedSlot[]> {
  const slots = slotsOf(scheduled);
  const { job, region, after, until } = scheduled;
  const { rows } = await pool.query<SlotRow>(
    `select id, slot, status, reason_code as code, reason from portcullis_region.run
     where job = $1 and region = $2 and slot > $3 and slot <= $4
       and trigger in ('schedule', 'catch-up') and not dry_run
     order by slot, version`,
    [job, region, after, until],
  );
  return missedOf(scheduled, slots, rows);
}

/** Pure. */
export function missedOf(
  { job, region }: Pick<Scheduled, 'job' | 'region'>,
  slots: readonly Date[],
  rows: readonly SlotRow[],
): MissedSlot[] {
  const runs = new Map<number, SlotRow[]>();
  for (const row of rows) runs.set(row.slot.getTime(), [...(runs.get(row.slot.getTime()) ?? []), row]);
  return slots.flatMap((slot): MissedSlot[] => {
    const those = runs.get(slot.getTime()) ?? [];
    if (those.some(({ status }) => status !== 'held' && status !== 'skipped')) return [];
    const [first] = those;
    if (first === undefined) {
      const reason = 'no run was begun: no worker of this region was at work, or its database took no writes';
      return [{ job, region, slot, run: null, code: 'no-run', reason }];
    }
    return [{ job, region, slot, run: first.id, code: first.code, reason: first.reason }];
  });
}

/** The oldest first. */
function slotsOf({ job, schedule, after, until }: Scheduled): Date[] {
  const slots: Date[] = [];
  let before = until;
  for (;;) {
    const slot = newestSlot(schedule, after, before);
    if (slot === undefined) return slots.reverse();
    slots.push(slot);
    if (slots.length > MOST_SLOTS) {
      throw new PortcullisError(
        'REQUEST_INVALID',
        `${job} has more than ${MOST_SLOTS} scheduled times since then`,
        {
          hint: 'name a later moment',
          details: { job, since: after.toISOString() },
        },
      );
    }
    before = new Date(slot.getTime() - 1);
  }
}
