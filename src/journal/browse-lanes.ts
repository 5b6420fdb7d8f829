import type pg from 'pg';
import { z } from 'zod';
import { count, isoTime } from '../kernel/schema.js';
import { viewColumns, viewOf } from '../postgres/view.js';

/** How far one lane of a run has got. */
export const LaneView = z.strictObject({
  lane: count,
  changes: count,
  passed: count.describe('those that its cursor has passed; conflicts are among them'),
  conflicts: count,
  batches: count,
  firstAppliedAt: isoTime.nullable().describe('when its first batch committed; null where none did'),
  lastAppliedAt: isoTime.nullable(),
});
export type LaneView = z.infer<typeof LaneView>;

const COLUMNS = viewColumns(LaneView, {
  lane: 'l.lane',
  changes: 'l.last_seq',
  passed: 'l.applied_seq',
  conflicts: '(select count(*) from portcullis_region.conflict x where x.run = l.run and x.lane = l.lane)',
  batches: 'count(b.to_seq)',
  firstAppliedAt: 'min(b.applied_at)',
  lastAppliedAt: 'max(b.applied_at)',
});

/** A run's lanes, in order. A run that never began to apply has none. */
export async function listLanes(pool: pg.Pool, run: string): Promise<LaneView[]> {
  const { rows } = await pool.query<object>(
    `select ${COLUMNS}
     from portcullis_region.lane l
     left join portcullis_region.batch b on b.run = l.run and b.lane = l.lane
     where l.run = $1
     group by l.run, l.lane
     order by l.lane`,
    [run],
  );
  return rows.map((row) => viewOf(LaneView, row));
}
