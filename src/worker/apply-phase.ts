import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { Policy } from '../flags/policy.js';
import { applyPlan, type Applied, type ApplyPlan, type Lane } from '../gate/write-path.js';
import { hasRates, judgeBatch } from '../guard/judge-batch.js';
import type { Operation, Resource } from '../journal/change.js';
import { readShapes, type Shape } from '../journal/shape.js';
import type { BatchWritten, Step } from '../journal/write-batch.js';
import type { Run } from '../runs/election.js';
import { isUnreachable } from '../postgres/pool.js';

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
  const { onTrip } = policy.guard;
  return throughInterruptions(pool, signal, async () =>
    applyPlan(pool, {
      ...(await readApplyPlan(pool, run)),
      ...((await hasRates(pool, run.id)) && {
        judge: (client, stretch, written) => judgeBatch(client, run, stretch, written, onTrip),
      }),
      rehearse: true,
      batch: policy.apply.batch,
      firstBatches: policy.apply.firstBatches,
      signal,
      ...(onBatch && { onBatch }),
    }),
  );
}

/** So often in a row. */
const INTERRUPTIONS = 10;

/**
 * Applies again from where the lanes stand when a connection was lost and the database answers all the same: a kill
 * ends whatever holds the gate's lock when its grace is over, also the batches of a restore or of another version, which
 * it does not stop. What it does stop meets the fence. A batch that is cancelled is tried again by the write path.
 */
export async function throughInterruptions(
  pool: pg.Pool,
  signal: AbortSignal,
  apply: () => Promise<Applied>,
): Promise<Applied> {
  for (let times = 1; ; times += 1) {
    try {
      return await apply();
    } catch (error) {
      if (!isUnreachable(error) || signal.aborted || times === INTERRUPTIONS) throw error;
      await pool.query('select 1').catch(() => {
        throw error;
      });
    }
  }
}

/** What is to be applied for a run, and from where its lanes stand. */
export async function readApplyPlan(
  pool: pg.Pool,
  run: Run,
): Promise<Pick<ApplyPlan, 'run' | 'leave' | 'lanes' | 'steps'>> {
  const { rows } = await pool.query<{
    epoch: number | null;
    versionEpoch: number;
    until: Date | null;
    resources: Record<string, Resource>;
    steps: StoredStep[];
    lanes: Lane[];
  }>(
    `select gate_epoch as epoch, version_epoch as "versionEpoch", break_glass_until as until, resources, steps,
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
    leave: {
      ...{ job: run.job, region: run.region, version: run.version, attempt: run.attempt },
      ...{ epoch: plan.epoch, versionEpoch: plan.versionEpoch, until: plan.until },
    },
    lanes: plan.lanes,
    steps: await stepsOf(pool, plan.steps, plan.resources),
  };
}

/** The steps of a plan that stands in the database, and is not begun. */
export async function plannedSteps(pool: pg.Pool, run: string): Promise<{ readonly steps: Step[] }> {
  const { rows } = await pool.query<{ resources: Record<string, Resource>; steps: StoredStep[] }>(
    'select resources, steps from portcullis_region.plan where run = $1',
    [run],
  );
  const { resources, steps } = rows[0] ?? { resources: {}, steps: [] };
  return { steps: await stepsOf(pool, steps, resources) };
}

/** What a run was admitted under: the epochs of a gate, and of a version there. */
export interface Epochs {
  readonly gate: number;
  readonly version: number;
  /** The break-glass that the run rests on, and until when; null: none. */
  readonly breakGlass: string | null;
  readonly until: Date | null;
}

/** The columns of a plan or a run that say so. */
export const EPOCHS =
  'gate_epoch as gate, version_epoch as version, break_glass as "breakGlass", break_glass_until as until';

/** The epochs under which a run was admitted. */
export async function admittedUnder(pool: pg.Pool, run: Run): Promise<Epochs> {
  const { rows } = await pool.query<Epochs>(`select ${EPOCHS} from portcullis_region.run where id = $1`, [
    run.id,
  ]);
  const [epochs] = rows;
  if (epochs === undefined) throw new Error(`run ${run.id} is not there`);
  return epochs;
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
  const shapes = await readShapes(pool, resources);
  const named = (name: string): Shape => {
    const shape = shapes.get(name);
    if (!shape) throw new Error(`the run's steps name resource ${name}, which it did not declare`);
    return shape;
  };
  for (const { resource, operation } of steps) {
    const { faults } = named(resource);
    if (operation !== 'delete' || faults.length === 0) continue;
    throw new PortcullisError(
      'TABLE_UNWRITABLE',
      `rows of ${resource} cannot be deleted: ${faults.join('; ')}; the table has changed since the job was loaded`,
    );
  }
  return steps.map(({ resource, operation, requires }) => ({
    shape: named(resource),
    operation,
    requires: requires.map(named),
  }));
}
