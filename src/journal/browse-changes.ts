import type pg from 'pg';
import { z } from 'zod';
import { count, Evidence, Image, named, isoTime } from '../kernel/schema.js';
import { keyOfCursor, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import { BATCH_OF_CHANGE } from './batch-of.js';
import { hasStored } from './stored-rows.js';

/**
 * What became of a change: `planned` while its run goes on, and for good in a dry run; `not-applied` where
 * the run ended without getting to it.
 */
export const CHANGE_STATES = ['planned', 'applied', 'conflict', 'not-applied'] as const;
export type ChangeState = (typeof CHANGE_STATES)[number];

/** One journaled change as people and programs read it. */
export const ChangeView = named(
  'Change',
  z.strictObject({
    lane: count.describe('lanes go side by side and have no order among them'),
    seq: count.describe('the order within the lane'),
    resource: z.string(),
    key: z.string(),
    kind: z.string(),
    unit: z.string(),
    before: Image.nullable().describe('null: the change inserts the row'),
    after: Image.nullable().describe(
      'null: the change deletes the row; once it is applied, as the database stored it',
    ),
    evidence: Evidence,
    state: z.enum(CHANGE_STATES),
    appliedAt: isoTime.nullable(),
    found: Image.nullable().describe('for a conflict, the row as it was found'),
    refusal: z.string().nullable().describe('for a conflict with a constraint, what it said'),
  }),
);
export type ChangeView = z.infer<typeof ChangeView>;

export interface ChangeFilter {
  readonly kind?: string | undefined;
  readonly state?: ChangeState | undefined;
  /** Where a list without a cursor begins. Absent: with the first change. */
  readonly from?: { readonly lane: number; readonly seq: number } | undefined;
}

/** What their columns can hold. */
export const MOST_LANE = 32_767;
export const MOST_SEQ = 2_147_483_647;

const ChangeKey = z.tuple([z.int().min(0).max(MOST_LANE), z.int().min(0).max(MOST_SEQ)]);

/** What the columns of a change are: of `stored`, where the run has rows that were stored otherwise than planned. */
const columns = (stored: boolean): string =>
  viewColumns(ChangeView, {
    lane: 'c.lane',
    seq: 'c.seq',
    key: stored ? 'coalesce(s.key, c.key)' : 'c.key',
    after: stored
      ? `case when s.image is null then c.after else (
           select jsonb_object_agg(name, coalesce(s.image -> name, value))
           from jsonb_each(c.after) as given (name, value)) end`
      : 'c.after',
  });

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
  const { rows } = await pool.query<ChangeView>(
    `select ${columns(stored)}
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
  return pageOf(
    rows,
    page.limit,
    (row) => viewOf(ChangeView, row),
    (row) => [row.lane, row.seq],
  );
}
