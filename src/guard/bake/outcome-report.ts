import type pg from 'pg';
import { NAMED_LOCKS } from '../../postgres/locks.js';
import { inTransaction } from '../../postgres/pool.js';

/** Something bad that happened to a unit, as a product reports it. */
export interface OutcomeEvent {
  /** The reporter's own id of the event. */
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly unit: string;
  /** Such as `login-failed`. */
  readonly kind: string;
  /** ISO 8601. One from the future counts as of now: clocks differ. */
  readonly at: string;
}

/** Outcomes are kept for so long: longer than anything bakes. */
export const KEPT_DAYS = 30;

/**
 * Keeps outcomes of one region in its database, each id of a job once. Answers the events that were new;
 * the others were reported before. All of them are kept, or, where this throws, none.
 */
export async function keepOutcomes(
  owner: pg.Pool,
  region: string,
  events: readonly OutcomeEvent[],
): Promise<OutcomeEvent[]> {
  return inTransaction(owner, async (client) => {
    const jobs = [...new Set(events.map(({ job }) => job))].sort();
    for (const job of jobs)
      await client.query('select pg_advisory_xact_lock($1, hashtext($2))', [
        NAMED_LOCKS.outcomes,
        `${job}.${region}`,
      ]);
    const { rows } = await client.query<{ job: string; id: string }>(
      `insert into portcullis_region.outcome (job, id, region, unit, kind, at)
       select job, id, $1, unit, kind, least(at, clock_timestamp())
       from jsonb_to_recordset($2) as event (job text, id text, unit text, kind text, at timestamptz)
       order by job, id
       on conflict (job, id) do nothing
       returning job, id`,
      [region, JSON.stringify(events)],
    );
    const fresh = new Set(rows.map(({ job, id }) => JSON.stringify([job, id])));
    return events.filter(({ job, id }) => fresh.delete(JSON.stringify([job, id])));
  });
}

/** Forgets outcomes, and where units' changes stand, that are older than {@link KEPT_DAYS}. */
export async function forgetOutcomes(owner: pg.Pool): Promise<void> {
  for (const [table, column] of [
    ['outcome', 'received_at'],
    ['unit_change', 'applied_at'],
  ] as const) {
    await owner.query(
      `delete from portcullis_region.${table} where ${column} < clock_timestamp() - make_interval(days => $1)`,
      [KEPT_DAYS],
    );
  }
}
