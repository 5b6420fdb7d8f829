import type pg from 'pg';

/** How far one lane of a run has got. Times are ISO 8601 in UTC. */
export interface LaneView {
  readonly lane: number;
  /** Its changes, and how many of them the cursor has passed; those in conflict are among the latter. */
  readonly changes: number;
  readonly passed: number;
  readonly conflicts: number;
  readonly batches: number;
  /** When its first and its last batch committed; null where none did. */
  readonly firstAppliedAt: string | null;
  readonly lastAppliedAt: string | null;
}

/** A run's lanes, in order. A run that never began to apply has none. */
export async function listLanes(pool: pg.Pool, run: string): Promise<LaneView[]> {
  const { rows } = await pool.query<
    Omit<LaneView, 'firstAppliedAt' | 'lastAppliedAt'> & { first: Date | null; last: Date | null }
  >(
    `select l.lane, l.last_seq as changes, l.applied_seq as passed,
       (select count(*) from portcullis_region.conflict x where x.run = l.run and x.lane = l.lane) as conflicts,
            count(b.to_seq) as batches, min(b.applied_at) as first, max(b.applied_at) as last
     from portcullis_region.lane l
     left join portcullis_region.batch b on b.run = l.run and b.lane = l.lane
     where l.run = $1
     group by l.run, l.lane
     order by l.lane`,
    [run],
  );
  return rows.map(({ first, last, ...lane }) => ({
    ...lane,
    firstAppliedAt: first?.toISOString() ?? null,
    lastAppliedAt: last?.toISOString() ?? null,
  }));
}
