import pg from 'pg';
import type { KeptResource, Operation } from './change.js';
import { keptResource, type Column, type Shape } from './shape.js';
import { hasStored } from './stored-rows.js';

/** What a restore of a run is made of. */
export interface RestorePlanned {
  /** Number of changes by the kind that they restore. */
  readonly counts: Readonly<Record<string, number>>;
  /** The last sequence number of each lane that has changes. */
  readonly lanes: readonly { readonly lane: number; readonly lastSeq: number }[];
}

/** A resource as a restore handles it: what the database computes by itself is neither compared nor written. */
export function restoredResource(shape: Shape): KeptResource {
  const generated = new Set(shape.compared.filter((column) => column.generated).map(({ name }) => name));
  const { compares = [], ...kept } = keptResource(shape);
  return { ...kept, compares: compares.filter((name) => !generated.has(name)) };
}

/** What of a run is restored: changes that each of the lists which are given names; none given: everything. */
export interface RestorePart {
  readonly resources?: readonly string[] | undefined;
  readonly units?: readonly string[] | undefined;
  /** Rows, each as its resource and key: `account:a-17`. */
  readonly keys?: readonly string[] | undefined;
}

/** A part with something in it, its lists in order and each name once; undefined: everything. */
export function partOf({ resources, units, keys }: RestorePart): RestorePart | undefined {
  const listed = Object.entries({ resources, units, keys }).flatMap(([name, values]) =>
    values === undefined || values.length === 0 ? [] : [[name, [...new Set(values)].sort()] as const],
  );
  return listed.length === 0 ? undefined : Object.fromEntries(listed);
}

/** `account, for org-7 and org-9`: a part in words. */
export function partText({ resources = [], units = [], keys = [] }: RestorePart): string {
  const some = (all: readonly string[]): string =>
    all.length > 3 ? `${all.slice(0, 3).join(', ')} and ${all.length - 3} more` : all.join(', ');
  return [
    ...(resources.length > 0 ? [`resource ${some(resources)}`] : []),
    ...(units.length > 0 ? [`unit ${some(units)}`] : []),
    ...(keys.length > 0 ? [`row ${some(keys)}`] : []),
  ].join('; ');
}

/** A row as a part names it: `account:a-17`. */
export function rowNamed(text: string): { readonly resource: string; readonly key: string } {
  const [, resource = '', key = ''] = /^([^:]*):([^]*)$/.exec(text) ?? [];
  return { resource, key };
}

/** SQL for whether a change `c`, whose row has the key `key`, is of a part. */
function inPart({ resources, units, keys }: RestorePart = {}, key: string): string {
  const among = (what: string, values: readonly string[] | undefined): string =>
    values === undefined || values.length === 0
      ? ''
      : `and ${what} = any (array[${values.map((value) => pg.escapeLiteral(value)).join(', ')}]::text[])`;
  // By the resource and the key as well, which have an index.
  const rows = (keys ?? []).map((each) => {
    const { resource, key: of } = rowNamed(each);
    return `(${pg.escapeLiteral(resource)}, ${pg.escapeLiteral(of)})`;
  });
  return `${among('c.resource', resources)} ${among('c.unit', units)} ${
    rows.length === 0 ? '' : `and (c.resource, ${key}) in (${rows.join(', ')})`
  }`;
}

/** How many changes of a part a run has applied. */
export async function appliedOf(pool: pg.Pool, run: string, part: RestorePart): Promise<number> {
  const stored = await hasStored(pool, run);
  const { rows } = await pool.query<{ n: number }>(
    `select count(*) as n
     from portcullis_region.lane l
     join portcullis_region.change c on c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
     ${stored ? 'left join portcullis_region.stored s on (s.run, s.lane, s.seq) = (c.run, c.lane, c.seq)' : ''}
     where l.run = $1 ${inPart(part, stored ? 'coalesce(s.key, c.key)' : 'c.key')}
       and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))`,
    [run],
  );
  return rows[0]?.n ?? 0;
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

/** The steps that take a run's steps back, in reverse order; of the resources that can be restored. */
export function reversedSteps(
  steps: readonly StepKept[],
  shapes: ReadonlyMap<string, Shape>,
): (StepKept & { readonly requires: readonly string[] })[] {
  return steps
    .filter(({ resource }) => shapes.has(resource))
    .toReversed()
    .map(({ resource, operation }) => ({ resource, operation: REVERSE[operation], requires: [] }));
}

/**
 * The changes of run $1, or of a part of it, that were applied and are not restored, as rows `c` with their place from their lane's end, from
 * 1, and as the database stored their rows where `stored` says that there is a difference. To be put behind `with recursive`.
 *
 * A run that restores a change leaves one of its own for the same row, and restoring that leaves another:
 * an odd number of them, however deep, and the change is restored.
 */
export function candidates(stored: boolean, part?: RestorePart): string {
  // A row whose key the database gave is found by that key.
  const key = stored ? 'coalesce(s.key, c.key)' : 'c.key';
  return `
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
      select c.lane, c.seq, c.resource, ${key} as key, c.kind, c.unit, c.before, c.after,
        ${stored ? 's.image' : 'null::jsonb'} as stored, row_number() over (order by c.seq desc) as from_end
      from portcullis_region.change c
      ${stored ? 'left join portcullis_region.stored s on (s.run, s.lane, s.seq) = (c.run, c.lane, c.seq)' : ''}
      where c.run = l.run and c.lane = l.lane and c.seq <= l.applied_seq
        and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
        -- Hashed, where "not exists" becomes a nested loop over what is thought to be few rows.
        and (c.resource, ${key}) not in (select resource, key from taken_back) ${inPart(part, key)}
    ) c
    where l.run = $1
  )`;
}

/**
 * SQL for the image that a change `c` left behind, as the columns' types keep it now: the row as it was stored, or what
 * the change set and what it was compared on. Null where it deleted the row.
 */
export function imageLeft(shape: Shape): string {
  const { changes, compared } = shape;
  const computed = compared.filter(({ generated }) => generated);
  const given = compared.filter(({ generated }) => !generated);
  const left = `coalesce(c.stored, (coalesce(c.before, '{}') || c.after)${without(computed)})`;
  if (given.some(({ was }) => was !== undefined)) return inTypesOf(given, left);
  const fitted = changes.flatMap((column) => (column.fitted === undefined ? [] : [column]));
  if (fitted.length === 0) return left;
  const members = fitted.map(
    ({ name, fitted: type = '' }) =>
      `${pg.escapeLiteral(name)}, (c.after->>${pg.escapeLiteral(name)})::${type}::text`,
  );
  return `coalesce(c.stored, (coalesce(c.before, '{}') || c.after)${without(computed)} || jsonb_build_object(${members.join(', ')}))`;
}

/** SQL for the image that a change `c` is restored to: its before-image, as far as it may be set. */
export function imageRestored(shape: Shape): string {
  const settable = new Set(shape.changes.map(({ name }) => name));
  const image = `c.before${without(shape.compared.filter(({ name }) => !settable.has(name)))}`;
  return shape.changes.some(({ was }) => was !== undefined) ? inTypesOf(shape.changes, image) : image;
}

/** SQL for an image with the values that its columns' types of today make of those they had: as changing the type did. */
function inTypesOf(columns: readonly Column[], image: string): string {
  const members = columns.map(({ name, cast, fitted, was }) => {
    const text = `(image->>${pg.escapeLiteral(name)})`;
    return `${pg.escapeLiteral(name)}, (${text}${was === undefined ? '' : `::${was}`})::${fitted ?? cast}::text`;
  });
  return `(select case when image is not null then jsonb_build_object(${members.join(', ')}) end from (select ${image} as image) i)`;
}

function without(columns: readonly Column[]): string {
  if (columns.length === 0) return '';
  return ` - array[${columns.map(({ name }) => pg.escapeLiteral(name)).join(', ')}]`;
}

/**
 * Plans the restore `restore` of the run `of`, in the caller's transaction: for each change that was applied
 * and is not restored, its reverse, in the same lane and in reverse order, of the same kind and unit. One
 * statement, however many changes there are. `every`: only each so-manieth, for a trial.
 */
export async function planRestore(
  client: pg.PoolClient,
  restore: string,
  of: string,
  shapes: Iterable<Shape>,
  part?: RestorePart,
  every = 1,
): Promise<RestorePlanned> {
  const each = [...shapes].filter(({ changes }) => changes.length > 0);
  const byResource = (image: (shape: Shape) => string): string =>
    `case c.resource ${each.map((shape) => `when ${pg.escapeLiteral(shape.name)} then ${image(shape)}`).join(' ')} end`;
  // Numbered without gaps, so that a lane's last number says how many there are.
  const names = each.map(({ name }) => name).filter((name) => part?.resources?.includes(name) ?? true);
  if (names.length === 0) return { counts: {}, lanes: [] };
  const within = { ...part, resources: names };
  const { rows } = await client.query<{ lane: number; kind: string; n: number; last: number }>(
    `with recursive ${candidates(await hasStored(client, of), within)}, planned as (
       insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
       select $2, c.lane, c.from_end, c.resource, c.key, c.kind, c.unit,
         ${byResource(imageLeft)}, ${byResource(imageRestored)},
         -- The same of each: which change it is stands in that run under the row's own key, once.
         $3
       from candidate c
       where c.from_end % $4 = 0
       returning lane, kind, seq
     )
     select lane, kind, count(*) as n, max(seq) as last from planned group by lane, kind`,
    [of, restore, JSON.stringify({ restores: of }), every],
  );
  const counts: Record<string, number> = {};
  const lanes = new Map<number, number>();
  for (const { lane, kind, n, last } of rows) {
    counts[kind] = (counts[kind] ?? 0) + n;
    lanes.set(lane, Math.max(lanes.get(lane) ?? 0, last));
  }
  return { counts, lanes: [...lanes].map(([lane, lastSeq]) => ({ lane, lastSeq })) };
}
