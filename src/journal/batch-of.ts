/**
 * In SQL: when the change `c` was applied. The batch that it fell into is the first that reaches it; for a change
 * that no batch has reached there is no row.
 */
export const BATCH_OF_CHANGE = `
  select applied_at from portcullis_region.batch b
  where b.run = c.run and b.lane = c.lane and b.to_seq >= c.seq
  order by b.to_seq
  limit 1`;
