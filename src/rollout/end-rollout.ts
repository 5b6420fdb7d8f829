import type pg from 'pg';
import type { Rollout } from './rollout-store.js';
import { tellOfEnd } from './tell-rollout.js';

/** How a rollout ends. */
export interface RolloutEnd {
  readonly status: 'completed' | 'aborted';
  readonly at: Date;
  readonly by: string;
  readonly reason: string;
}

/** Ends a rollout, and tells people. The caller has its lock. */
export async function endRollout(client: pg.PoolClient, rollout: Rollout, end: RolloutEnd): Promise<void> {
  await client.query(
    `update portcullis_control.rollout set status = $2, ended_at = $3, ended_by = $4, end_reason = $5 where id = $1`,
    [rollout.id, end.status, end.at, end.by, end.reason],
  );
  await tellOfEnd(client, rollout, end);
}
