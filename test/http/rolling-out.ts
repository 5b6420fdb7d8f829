import type pg from 'pg';
import { announceVersions } from '../../src/rollout/announce.js';
import { startRollout } from '../../src/rollout/start-rollout.js';
import { askForWave } from '../../src/rollout/wave-approval.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { person } from '../support/people.js';

const NEW_VERSION = '9.9.9_99999999';
const ann = person('ann', 'operator');

/** Puts a rollout of domain-claim into the state in which the operation at that path can be carried out. The policy has these regions, or those that it had. */
export async function rolloutFor(owner: pg.Pool, path: string, regions?: readonly string[]): Promise<void> {
  await owner.query(
    `update portcullis_control.rollout
     set status = 'aborted', ended_at = clock_timestamp(), ended_by = 'test', end_reason = 'test'
     where status in ('running', 'paused')`,
  );
  await owner.query(
    `update portcullis_control.policy
     set policy = policy || jsonb_build_object('regions', coalesce($1::jsonb, policy->'regions')) || jsonb_build_object('rollout', jsonb_build_object('waves', jsonb_build_array(
       jsonb_build_object('name', 'all', 'regions', coalesce($1::jsonb, policy->'regions'), 'steps', '["10%", "100%"]'::jsonb,
         'bake', '{"runs": 1, "changes": 1, "time": "1h"}'::jsonb, 'approvals', 1))))
     where job = 'domain-claim'`,
    [regions === undefined ? null : JSON.stringify(regions)],
  );
  await announceVersions(owner, 'test', [{ job: 'domain-claim', version: NEW_VERSION, regions: [] }]);
  await owner.query(`update portcullis_control.flag set variants = '[]' where job = 'domain-claim'`);
  await owner.query(`delete from portcullis_control.admission where job = 'domain-claim'`);
  if (path.endsWith('/start') || path.endsWith('/initial')) return;
  const order = { job: 'domain-claim', version: NEW_VERSION, reason: 'test' };
  const rollout = await startRollout(owner, order, ann);
  if (path.endsWith('/resume')) {
    await owner.query(`update portcullis_control.rollout set status = 'paused' where id = $1`, [rollout.id]);
  }
  if (path.endsWith('/promote')) {
    await owner.query(
      `update portcullis_control.rollout_part set step = 0, since = clock_timestamp(), flag_revision = 1, base = '[]'
       where rollout = $1`,
      [rollout.id],
    );
  }
  if (path.endsWith('/approve')) {
    const evidence = { rollout: rollout.id, version: NEW_VERSION, wave: 'all', regions: [] };
    await inTransaction(owner, (client) => askForWave(client, rollout, evidence));
  }
}
