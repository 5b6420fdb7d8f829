import type pg from 'pg';
import { z } from 'zod';
import { keyOfCursor, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { BATCH_OF_CHANGE } from './batch-of.js';
import type { Image } from './change.js';
import { hasStored } from './stored-rows.js';

/**
 * What became of a change: `planned` while its run goes on, and for good in a dry run; `not-applied` where
 * the run ended without getting to it.
 */
export const CHANGE_STATES = ['planned', 'applied', 'conflict', 'not-applied'] as const;
export type ChangeState = (typeof CHANGE_STATES)[number];

/** One journaled change as people and programs read it. */
export interface ChangeView {
  readonly lane: number;
  /** The order within the lane. Lanes go side by side and have no order among them. */
  readonly seq: number;
  readonly resource: string;
  readonly key: string;
  readonly kind: string;
  readonly unit: string;
  /** Null where the change inserts the row. */
  readonly before: Image | null;
  /** Null where the change deletes the row. Once it is applied, as the database stored it. */
  readonly after: Image | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly state: ChangeState;
  readonly appliedAt: string | null;
  /** For a conflict, the row as it was found; null where there was none, and for every other state. */
  readonly found: Image | null;
  /** For a conflict, what a constraint said where one refused the change. */
  readonly refusal: string | null;
}

export interface ChangeFilter {
  readonly kind?: string | undefined;
  readonly state?: ChangeState | undefined;
  /** Where a list without a cursor begins. Absent: with the first change. */
  readonly from?: { readonly lane: number; readonly seq: number } | undefined;
}

interface ChangeRow extends Omit<ChangeView, 'appliedAt'> {
  readonly applied_at: Date | null;
}

/** What their columns can hold. */
export const MOST_LANE = 32_767;
export const MOST_SEQ = 2_147_483_647;

const ChangeKey = z.tuple([z.int().min(0).max(MOST_LANE), z.int().min(0).max(MOST_SEQ)]);

/** What a change set, as the row was stored. */
const AFTER_STORED = `case when s.image is null then c.after else (
  select jsonb_object_agg(name, coalesce(s.image -> name, value)) from jsonb_each(c.after) as given (name, value)) end as after`;

/**
 * A run's changes, lane by lane in the order of application. A run that is not there has none. Throws
 * REQUEST_INVALID for a cursor that is not of this list.
 */
export async function listChanges(
  pool: pg.Pool,
  run: string,
  filter: ChangeFilter,
  page: PageRequest,
): Promise<Page<ChangeView>> {
  const stored = await hasStored(pool, run);
  const { from } = filter;
  const first = from === undefined ? ([-1, 0] as const) : ([from.lane, from.seq - 1] as const);
  const [lane, seq] = keyOfCursor(page.cursor, ChangeKey) ?? first;
  const { rows } = await pool.query<ChangeRow>(
    `select c.lane, c.seq, c.resource, ${stored ? 'coalesce(s.key, c.key) as key' : 'c.key'}, c.kind, c.unit, c.before,
            ${stored ? AFTER_STORED : 'c.after'}, c.evidence,
            became.state, batch.applied_at, conflict.found, conflict.refusal
     from portcullis_region.change c
     join portcullis_region.run on run.id = c.run
     ${stored ? 'left join portcullis_region.stored s on (s.run, s.lane, s.seq) = (c.run, c.lane, c.seq)' : ''}
     left join portcullis_region.lane on lane.run = c.run and lane.lane = c.lane
     left join portcullis_region.conflict
       on conflict.run = c.run and conflict.lane = c.lane and conflict.seq = c.seq
     cross join lateral (
       select case
         when conflict.run is not null then 'conflict'
         when lane.applied_seq >= c.seq then 'applied'
         when run.status in ('planning', 'applying', 'planned') then 'planned'
         else 'not-applied'
       end as state
     ) became
     left join lateral (${BATCH_OF_CHANGE}) batch on became.state = 'applied'
     where c.run = $1
       and (c.lane, c.seq) > ($2::smallint, $3::integer)
       and ($4::text is null or c.kind = $4)
       and ($5::text is null or became.state = $5)
     order by c.lane, c.seq
     limit $6`,
    [run, lane, seq, filter.kind, filter.state, page.limit + 1],
  );
  return pageOf(rows, page.limit, changeView, (row) => [row.lane, row.seq]);
}

function changeView({ applied_at, ...row }: ChangeRow): ChangeView {
  return { ...row, appliedAt: applied_at?.toISOString() ?? null };
}
