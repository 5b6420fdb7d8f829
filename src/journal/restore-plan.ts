import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { Operation, Resource } from './change.js';
import type { Column, Shape } from './shape.js';

/** What a restore of a run is made of. */
export interface RestorePlanned {
  /** Number of changes by the kind that they restore. */
  readonly counts: Readonly<Record<string, number>>;
  /** The last sequence number of each lane that has changes. */
  readonly lanes: readonly { readonly lane: number; readonly lastSeq: number }[];
}

/** A resource as a restore handles it: what the database computes by itself is neither compared nor written. */
export function restoredResource({ resource, compared }: Shape): Resource {
  const generated = new Set(compared.filter((column) => column.generated).map(({ name }) => name));
  return { ...resource, compares: (resource.compares ?? []).filter((name) => !generated.has(name)) };
}

/** A step as a run's row keeps it. */
interface StepKept {
  readonly resource: string;
  readonly operation: Operation;
}

const REVERSE: Readonly<Record<Operation, Operation>> = {
  insert: 'delete',
  update: 'update',
  delete: 'insert',
};

/**
 * The steps that take a run's steps back, in reverse order. Throws RESTORE_INEXACT where the run made or
 * deleted rows of a resource whose changes are not the whole row, in the tables as they are now.
 */
export function reversedSteps(
  steps: readonly StepKept[],
  shapes: ReadonlyMap<string, Shape>,
): (StepKept & { readonly requires: readonly string[] })[] {
  for (const { resource, operation } of steps) {
    const shape = shapes.get(resource);
    if (operation === 'update' || shape?.whole === true) continue;
    throw new PortcullisError(
      'RESTORE_INEXACT',
      `the run has ${operation === 'insert' ? 'made' : 'deleted'} rows of ${resource}, ` +
        `and what it knew of them is not the whole row of ${shape?.resource.table ?? resource}`,
      {
        hint: 'take those rows back by hand: portcullis run show RUN --changes has every value; nothing was restored',
        details: { resource, operation },
      },
    );
  }
  return steps.toReversed().map(({ resource, operation }) => ({
    resource,
    operation: REVERSE[operation],
    requires: [],
  }));
}

/**
 * The changes of run $1 that were applied and are not restored, as rows `c` of `portcullis_region.change`
 * with their place from their lane's end, from 1.
 * To be put behind `with recursive`.
 *
 * A run that restores a change leaves one of its own for the same row, and restoring that leaves another:
 * an odd number of them, however deep, and the change is restored.
 */
export const CANDIDATES = `
  family as (
    select id from portcullis_region.run where restores = $1
    union all
    select r.id from portcullis_region.run r join family on r.restores = family.id
  ), taken_back as (
    select c.resource, c.key
    from family
    join portcullis_region.lane l on l.run = family.id
    join portcullis_region.change c on c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
    where not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
    group by c.resource, c.key
    having count(*) % 2 = 1
  ), candidate as (
    select c.*
    from portcullis_region.lane l
    -- Lane by lane, so that the order is the key's own, and no row need be sorted.
    cross join lateral (
      select c.*, row_number() over (order by c.seq desc) as from_end
      from portcullis_region.change c
      where c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
        and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
        -- Hashed, where "not exists" becomes a nested loop over what is thought to be few rows.
        and (c.resource, c.key) not in (select resource, key from taken_back)
    ) c
    where l.run = $1
  )`;

/**
 * SQL for the image that a change `c` left behind: what it set, as the columns' types keep it, and what it
 * was compared on. Null where it deleted the row.
 */
export function imageLeft(shape: Shape): string {
  const fitted = shape.changes.flatMap((column) =>
    column.fitted === undefined
      ? []
      : [`${pg.escapeLiteral(column.name)}, ${fittedText(column, column.fitted)}`],
  );
  const kept = `(coalesce(c.before, '{}') || c.after)${without(shape.compared.filter(({ generated }) => generated))}`;
  return fitted.length === 0 ? kept : `${kept} || jsonb_build_object(${fitted.join(', ')})`;
}

/** SQL for the image that a change `c` is restored to: its before-image, as far as it may be set. */
export function imageRestored(shape: Shape): string {
  const settable = new Set(shape.changes.map(({ name }) => name));
  return `c.before${without(shape.compared.filter(({ name }) => !settable.has(name)))}`;
}

function fittedText(column: Column, type: string): string {
  return `(c.after->>${pg.escapeLiteral(column.name)})::${type}::text`;
}

function without(columns: readonly Column[]): string {
  if (columns.length === 0) return '';
  return ` - array[${columns.map(({ name }) => pg.escapeLiteral(name)).join(', ')}]`;
}

/**
 * Plans the restore `restore` of the run `of`, in the caller's transaction: for each change that was applied
 * and is not restored, its reverse, in the same lane and in reverse order, of the same kind and unit. One
 * statement, however many changes there are.
 */
export async function planRestore(
  client: pg.PoolClient,
  restore: string,
  of: string,
  shapes: Iterable<Shape>,
): Promise<RestorePlanned> {
  const each = [...shapes].filter(({ changes }) => changes.length > 0);
  const byResource = (image: (shape: Shape) => string): string =>
    `case c.resource ${each.map((shape) => `when ${pg.escapeLiteral(shape.name)} then ${image(shape)}`).join(' ')} end`;
  if (each.length === 0) return { counts: {}, lanes: [] };
  const { rows } = await client.query<{ lane: number; kind: string; n: number; last: number }>(
    `with recursive ${CANDIDATES}, planned as (
       insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
       select $2, c.lane, c.from_end, c.resource, c.key, c.kind, c.unit,
         ${byResource(imageLeft)}, ${byResource(imageRestored)},
         -- The same of each: which change it is stands in that run under the row's own key, once.
         $3
       from candidate c
       returning lane, kind, seq
     )
     select lane, kind, count(*) as n, max(seq) as last from planned group by lane, kind`,
    [of, restore, JSON.stringify({ restores: of })],
  );
  const counts: Record<string, number> = {};
  const lanes = new Map<number, number>();
  for (const { lane, kind, n, last } of rows) {
    counts[kind] = (counts[kind] ?? 0) + n;
    lanes.set(lane, Math.max(lanes.get(lane) ?? 0, last));
  }
  return { counts, lanes: [...lanes].map(([lane, lastSeq]) => ({ lane, lastSeq })) };
}
