import type pg from 'pg';
import type { Policy } from '../flags/policy.js';
import { applyPlan, type Applied, type ApplyPlan, type Lane } from '../gate/write-path.js';
import { hasRates, judgeBatch } from '../guard/judge-batch.js';
import type { Operation, Resource } from '../journal/change.js';
import { readShape, type Shape } from '../journal/shape.js';
import type { BatchWritten, Step } from '../journal/write-batch.js';
import type { Run } from '../scheduler/election.js';

/**
 * Applies what a run has planned, from where its lanes stand. Everything that is needed stands in the
 * journal, so it needs no job code: any worker can finish any run.
 */
export async function applyRun(
  pool: pg.Pool,
  policy: Policy,
  run: Run,
  signal: AbortSignal,
  onBatch?: (written: BatchWritten) => void,
): Promise<Applied> {
  const { restore } = policy.guard.onTrip;
  return applyPlan(pool, {
    ...(await readApplyPlan(pool, run)),
    ...((await hasRates(pool, run.id)) && {
      judge: (client, stretch, written) => judgeBatch(client, run, stretch, written, restore),
    }),
    batch: policy.apply.batch,
    firstBatches: policy.apply.firstBatches,
    signal,
    ...(onBatch && { onBatch }),
  });
}

/** What is to be applied for a run, and from where its lanes stand. */
export async function readApplyPlan(
  pool: pg.Pool,
  run: Run,
): Promise<Pick<ApplyPlan, 'run' | 'leave' | 'lanes' | 'steps'>> {
  const { rows } = await pool.query<{
    epoch: number | null;
    resources: Record<string, Resource>;
    steps: StoredStep[];
    lanes: Lane[];
  }>(
    `select gate_epoch as epoch, resources, steps,
       (select coalesce(jsonb_agg(jsonb_build_object('lane', lane, 'appliedSeq', applied_seq, 'lastSeq', last_seq)
                                  order by lane), '[]')
        from portcullis_region.lane where run = $1) as lanes
     from portcullis_region.run where id = $1`,
    [run.id],
  );
  const plan = rows[0];
  if (!plan) throw new Error(`run ${run.id} is not there`);
  // Without an epoch the fence takes a run for a restore.
  if ((plan.epoch === null) !== (run.restores !== null)) throw new Error(`run ${run.id} was not admitted`);
  return {
    run: run.id,
    leave: { job: run.job, region: run.region, attempt: run.attempt, epoch: plan.epoch },
    lanes: plan.lanes,
    steps: await stepsOf(pool, plan.steps, plan.resources),
  };
}

/** The epoch of the gate under which a run was admitted. */
export async function admittedEpoch(pool: pg.Pool, run: Run): Promise<number> {
  const { rows } = await pool.query<{ epoch: number }>(
    'select gate_epoch as epoch from portcullis_region.run where id = $1',
    [run.id],
  );
  const epoch = rows[0]?.epoch;
  if (epoch === undefined) throw new Error(`run ${run.id} is not there`);
  return epoch;
}

export async function conflictsOf(pool: pg.Pool, run: Run): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    'select count(*) as n from portcullis_region.conflict where run = $1',
    [run.id],
  );
  return rows[0]?.n ?? 0;
}

/** A step as the run's row keeps it. */
export interface StoredStep {
  readonly resource: string;
  readonly operation: Operation;
  readonly requires: readonly string[];
}

async function stepsOf(
  pool: pg.Pool,
  steps: readonly StoredStep[],
  resources: Readonly<Record<string, Resource>>,
): Promise<Step[]> {
  const shapes = new Map<string, Shape>();
  for (const [name, resource] of Object.entries(resources))
    shapes.set(name, await readShape(pool, name, resource));
  const shapeOf = (name: string): Shape => {
    const shape = shapes.get(name);
    if (!shape) throw new Error(`the run's steps name resource ${name}, which it did not declare`);
    return shape;
  };
  return steps.map(({ resource, operation, requires }) => ({
    shape: shapeOf(resource),
    operation,
    requires: requires.map(shapeOf),
  }));
}
