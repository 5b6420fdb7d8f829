import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { faultPoint } from '../kernel/fault-point.js';
import type { Resource } from '../journal/change.js';
import {
  planRestore,
  restoredResource,
  reversedSteps,
  type RestorePlanned,
} from '../journal/restore-plan.js';
import { readShape, type Shape } from '../journal/shape.js';
import type { Run } from '../runs/election.js';
import { attemptName } from '../runs/lease.js';
import { inTransaction } from '../postgres/pool.js';
import type { StoredStep } from './apply-phase.js';
import { beginLanes } from './begin-applying.js';

/** What a run of a job has changed, as its row tells it. */
export interface RestoredRun {
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly steps: readonly StoredStep[];
}

/** The resources and steps of a run, checked against the tables as they are now. Throws JOB_INVALID. */
export async function readRestored(pool: pg.Pool, run: string): Promise<RestoredRun> {
  const { rows } = await pool.query<{ resources: Record<string, Resource>; steps: StoredStep[] }>(
    'select resources, steps from portcullis_region.run where id = $1',
    [run],
  );
  const { resources, steps } = rows[0] ?? { resources: {}, steps: [] };
  const changed = new Set(steps.map(({ resource }) => resource));
  const shapes = new Map<string, Shape>();
  for (const [name, resource] of Object.entries(resources)) {
    if (changed.has(name)) shapes.set(name, await readShape(pool, name, resource));
  }
  return { shapes, steps };
}

/**
 * Plans a restore and stores the plan, in one transaction; where there is something to restore, the restore
 * goes on to `applying` in the same one. Throws LEASE_LOST when another worker has it by then, RESTORE_INEXACT
 * where it could not be exact.
 */
export async function planRestoreRun(
  pool: pg.Pool,
  restore: Run & { readonly restores: string },
): Promise<RestorePlanned> {
  const { shapes, steps } = await readRestored(pool, restore.restores);
  return inTransaction(pool, async (client) => {
    await client.query(`select set_config('application_name', $1, true)`, [attemptName(restore)]);
    await faultPoint('plan.started');
    const planned = await planRestore(client, restore.id, restore.restores, shapes.values());
    await faultPoint('plan.copied');
    const goesOn = planned.lanes.length > 0;
    const { rowCount } = await client.query(
      `update portcullis_region.run
       set status = case when $3 then 'applying' else status end,
           reason_code = 'planned', reason = 'planned', planned = $4, planned_at = clock_timestamp(),
           resources = $5, steps = $6, lanes = $7
       where id = $1 and attempt = $2 and status = 'planning'`,
      [
        restore.id,
        restore.attempt,
        goesOn,
        JSON.stringify(planned.counts),
        JSON.stringify(
          Object.fromEntries([...shapes].map(([name, shape]) => [name, restoredResource(shape)])),
        ),
        JSON.stringify(goesOn ? reversedSteps(steps, shapes) : []),
        planned.lanes.length,
      ],
    );
    if (rowCount !== 1) {
      throw new PortcullisError(
        'LEASE_LOST',
        `restore ${restore.id}: another worker took it over while it was planned`,
      );
    }
    await beginLanes(client, restore, planned.lanes);
    await faultPoint('plan.before-commit');
    return planned;
  });
}
