import type pg from 'pg';
import type { PlanWritten } from '../journal/plan-tally.js';
import type { Run } from '../scheduler/election.js';

/** Makes the cursors of a planned run's lanes, which this attempt of it may move, in the plan's transaction. */
export async function beginLanes(
  client: pg.PoolClient,
  run: Run,
  lanes: PlanWritten['lanes'],
): Promise<void> {
  await client.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq)
     select $1, lane, $2, last_seq from unnest($3::smallint[], $4::integer[]) as l (lane, last_seq)`,
    [run.id, run.attempt, lanes.map(({ lane }) => lane), lanes.map(({ lastSeq }) => lastSeq)],
  );
}
