import type pg from 'pg';
import { faultPoint } from '../kernel/fault-point.js';
import { passGate, type Passage } from '../gate/fence.js';
import { lockGate } from '../gate/lock.js';
import type { PlanWritten } from '../journal/plan-tally.js';
import type { Run } from '../runs/election.js';
import { takePlan } from '../runs/finish.js';
import type { Epochs } from './apply-phase.js';
import { keepTakenElsewhere, type TakenElsewhere } from './reservations.js';
import { attemptName } from '../runs/lease.js';
import { inTransaction } from '../postgres/pool.js';

/**
 * Moves a run whose plan is judged to `applying`, if it is still this attempt's and the gate stands as the run was
 * admitted; whoever closes or narrows the gate has done so before, or finds the run applying. Changes that `taken` names are conflicts from then on. Answers why not.
 */
export async function beginApplying(
  region: pg.Pool,
  run: Run,
  admitted: Epochs,
  taken: readonly TakenElsewhere[] = [],
): Promise<Passage> {
  const work = async (client: pg.PoolClient): Promise<Passage> => {
    await lockGate(client, run.job, run.region, 'shared');
    const { job, region: at, version, attempt } = run;
    const { gate: epoch, version: versionEpoch, until } = admitted;
    const leave = { job, region: at, version, attempt, epoch, versionEpoch, until };
    const passage = await passGate(client, leave, run.id);
    if (!passage.passed) return passage;
    await client.query(
      `with begun as (
         update portcullis_region.run r
         set status = 'applying', reason_code = 'planned', reason = 'the plan is judged',
             lanes = jsonb_array_length(p.lanes), ${takePlan()}
         from portcullis_region.plan p
         where p.run = r.id and r.id = $1 and r.attempt = $2 and r.status = 'planning'
         returning r.id, p.lanes as ends
       )
       insert into portcullis_region.lane (run, lane, attempt, last_seq)
       select id, lane, $2, "lastSeq" from begun, jsonb_to_recordset(ends) as l (lane smallint, "lastSeq" integer)`,
      [run.id, run.attempt],
    );
    await keepTakenElsewhere(client, run.id, taken);
    await faultPoint('plan.before-begin');
    return passage;
  };
  return inTransaction(region, work, { name: attemptName(run) });
}

/** Makes the cursors of a planned restore's lanes, which this attempt of it may move, in the plan's transaction. */
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
