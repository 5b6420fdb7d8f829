import type pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { faultPoint } from '../kernel/fault-point.js';
import { cascadedFaults } from '../journal/cascades.js';
import type { KeptResource, Operation } from '../journal/change.js';
import {
  imageLeft,
  imageRestored,
  planRestore,
  restoredResource,
  reversedSteps,
  type RestorePart,
  type RestorePlanned,
} from '../journal/restore-plan.js';
import type { RestoredResources } from '../journal/restore-preview.js';
import { readTables, shapeOf, type Shape } from '../journal/shape.js';
import { hasStored } from '../journal/stored-rows.js';
import type { Run } from '../runs/election.js';
import { attemptName } from '../runs/lease.js';
import { inTransaction } from '../postgres/pool.js';
import type { StoredStep } from './apply-phase.js';
import { beginLanes } from './begin-applying.js';
import { keepTakenElsewhere, reserveIn, type Reservations } from './reservations.js';

/** What a run of a job has changed, as its row tells it. */
export interface RestoredRun extends RestoredResources {
  readonly steps: readonly StoredStep[];
}

/** The resources and steps of a run, with the tables as they are now. */
export async function readRestored(pool: pg.Pool, run: string): Promise<RestoredRun> {
  const { rows } = await pool.query<{ resources: Record<string, KeptResource>; steps: StoredStep[] }>(
    'select resources, steps from portcullis_region.run where id = $1',
    [run],
  );
  const { resources, steps } = rows[0] ?? { resources: {}, steps: [] };
  const changed = new Set(steps.map(({ resource }) => resource));
  const shapes = new Map<string, Shape>();
  const refused = new Map<string, string>();
  const restored = Object.entries(resources).filter(([name]) => changed.has(name));
  const tables = await readTables(
    pool,
    restored.map(([, resource]) => resource),
  );
  for (const [name, resource] of restored) {
    try {
      const shape = shapeOf(name, resource, tables);
      if (shape.compared.some(({ was }) => was !== undefined)) await readInTypesOfNow(pool, run, shape);
      await requireRestorable(pool, run, shape, steps);
      shapes.set(name, shape);
    } catch (error) {
      if (!(error instanceof PortcullisError) || error.code !== 'JOB_INVALID') throw error;
      refused.set(name, error.message);
    }
  }
  return { shapes, steps, refused };
}

/** Throws JOB_INVALID where rows of other tables would go with those that a restore deletes, or did and cannot be put back. */
async function requireRestorable(
  pool: pg.Pool,
  run: string,
  shape: Shape,
  steps: readonly StoredStep[],
): Promise<void> {
  const { name, resource } = shape;
  const does = (operation: Operation): boolean =>
    steps.some((step) => step.resource === name && step.operation === operation);
  const faults = [
    ...(does('insert') ? shape.faults : []),
    ...(does('delete') ? await cascadedFaults(pool, run, shape) : []),
  ];
  if (faults.length > 0)
    throw new PortcullisError('JOB_INVALID', `resource ${name} (${resource.table}): ${faults.join('; ')}`);
}

/** SQLSTATEs of a value that is none of a type's, or of a type that is not there any more, or that nothing casts to. */
const UNREADABLE = /^(22|42704|42846|42804)/;

/** Throws JOB_INVALID where columns have other types than when the run journaled them, and its values are none of those. */
async function readInTypesOfNow(pool: pg.Pool, run: string, shape: Shape): Promise<void> {
  const stored = await hasStored(pool, run);
  try {
    await pool.query(
      `select count(${imageLeft(shape)}), count(${imageRestored(shape)})
       from (select c.before, c.after, ${stored ? 's.image' : 'null::jsonb'} as stored
             from portcullis_region.change c
             ${stored ? 'left join portcullis_region.stored s on (s.run, s.lane, s.seq) = (c.run, c.lane, c.seq)' : ''}
             where c.run = $1 and c.resource = $2) c`,
      [run, shape.name],
    );
  } catch (error) {
    if (!UNREADABLE.test(String((error as { code?: unknown }).code))) throw error;
    const retyped = shape.compared.flatMap(({ name, was, fitted, cast }) =>
      was === undefined ? [] : [`${name} (${was}, now ${fitted ?? cast})`],
    );
    throw new PortcullisError(
      'JOB_INVALID',
      `resource ${shape.name} (${shape.resource.table}): the types of ${retyped.join(', ')} have changed since the run, and what it journaled cannot be read in them: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Plans a restore and stores the plan, in one transaction; where there is something to restore, the restore
 * goes on to `applying` in the same one. Throws LEASE_LOST when another worker has it by then, RESTORE_INEXACT where
 * no resource of the run can be restored any more.
 */
export async function planRestoreRun(
  pool: pg.Pool,
  restore: Run & { readonly restores: string },
  reservations?: Reservations,
): Promise<RestorePlanned> {
  const part = await partOfRestore(pool, restore.id);
  const { shapes, steps, refused: all } = await readRestored(pool, restore.restores);
  const refused = new Map(
    [...all].filter(([name]) => part?.resources === undefined || part.resources.includes(name)),
  );
  return inTransaction(pool, async (client) => {
    await client.query(`select set_config('application_name', $1, true)`, [attemptName(restore)]);
    await faultPoint('plan.started');
    const planned = await planRestore(client, restore.id, restore.restores, shapes.values(), part);
    await faultPoint('plan.copied');
    const goesOn = planned.lanes.length > 0;
    if (!goesOn && refused.size > 0) throw inexact(refused);
    const taking = [...shapes].map(([name, shape]) => [name, restoredResource(shape)] as const);
    const taken = await reserveIn(reservations, client, restore, taking);
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
    await keepTakenElsewhere(client, restore.id, taken);
    await faultPoint('plan.before-commit');
    return planned;
  });
}

/** What a restore is to restore; undefined: everything. An older schema knows no parts. */
export async function partOfRestore(pool: pg.Pool, restore: string): Promise<RestorePart | undefined> {
  const { rows } = await pool.query<{ part: RestorePart | null }>(
    `select to_jsonb(r) -> 'part' as part from portcullis_region.run r where id = $1`,
    [restore],
  );
  return rows[0]?.part ?? undefined;
}

function inexact(refused: ReadonlyMap<string, string>): PortcullisError {
  return new PortcullisError('RESTORE_INEXACT', [...refused.values()].join('; '), {
    hint: 'undo the migration, or take the rows back by hand: portcullis run show RUN --changes has every value; nothing was restored',
    details: { resources: [...refused.keys()] },
  });
}
