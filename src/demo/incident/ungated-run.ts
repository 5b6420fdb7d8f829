import type pg from 'pg';
import type { Change, PlannerDatabase } from '../../sdk/contract.js';
import type { LoadedJob } from '../../worker/registry.js';
import type { Shape } from '../../journal/shape.js';
import { rowsOf } from '../../sdk/rows.js';
import { unitsQuery } from '../../worker/units.js';

const BATCH = 500;

export interface UngatedRun {
  readonly owner: pg.Pool;
  readonly planner: PlannerDatabase;
  readonly clients: object;
  readonly job: LoadedJob;
  readonly region: string;
  /** When it runs, by the world's clock. */
  readonly at: Date;
  readonly signal: AbortSignal;
}

/**
 * Runs a job the way jobs are run without a gate: what it finds, it writes, for everybody, in batches. Row by
 * row it is as careful as Portcullis: a row whose columns are no longer what the job read is left alone.
 */
export async function runUngated({
  owner,
  planner,
  clients,
  job,
  region,
  at,
  signal,
}: UngatedRun): Promise<void> {
  const { unit } = job.definition;
  const units = new Set<string>();
  const all = planner.rows(unitsQuery(unit), [region]);
  for await (const row of all) units.add(String(row['unit']));
  const changes = job.definition.plan({
    region,
    units,
    rows: rowsOf(planner),
    clients,
    clock: { now: () => at },
    signal,
    heldElsewhere: () => Promise.resolve(undefined),
    progressed: () => undefined,
  });
  const waiting = new Map<string, Change[]>();
  const write = async (resource: string): Promise<void> => {
    const shape = job.shapes.get(resource);
    const batch = waiting.get(resource) ?? [];
    waiting.delete(resource);
    if (shape !== undefined) await writeBatch(owner, shape, batch);
  };
  for await (const change of changes) {
    signal.throwIfAborted();
    const batch = waiting.get(change.resource) ?? [];
    batch.push(change);
    waiting.set(change.resource, batch);
    if (batch.length >= BATCH) await write(change.resource);
  }
  for (const resource of [...waiting.keys()]) await write(resource);
}

/** The job only ever updates; what it sets and what it has read go along as JSON. */
async function writeBatch(owner: pg.Pool, shape: Shape, batch: readonly Change[]): Promise<void> {
  const set = shape.changes.map(({ quoted }) => quoted).join(', ');
  const read = [...shape.changes, ...shape.compared].filter(({ generated }) => !generated);
  const same = [...new Set(read.map(({ quoted }) => quoted))]
    .map((column) => `t.${column} is not distinct from (before).${column}`)
    .join(' and ');
  await owner.query(
    `with change as (
       select key, jsonb_populate_record(null::${shape.table}, before) as before,
         jsonb_populate_record(null::${shape.table}, after) as after
       from jsonb_to_recordset($1) as c (key text, before jsonb, after jsonb)
     )
     update ${shape.table} t
     set (${set}) = row(${shape.changes.map(({ quoted }) => `(after).${quoted}`).join(', ')})
     from change where t.${shape.key[0].quoted}::text = key and ${same}`,
    [JSON.stringify(batch.map(({ key, before, after }) => ({ key, before, after })))],
  );
}
