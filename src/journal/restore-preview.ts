import pg from 'pg';
import { z } from 'zod';
import { count, Image, named } from '../kernel/schema.js';
import { fittedImage, rowImage } from './journal-image.js';
import { cascadedFits } from './cascades.js';
import { heldBack } from './held-back.js';
import { appliedOf, candidates, imageLeft, imageRestored, type RestorePart } from './restore-plan.js';
import { hasKey, isThere, type Shape } from './shape.js';
import { hasStored } from './stored-rows.js';
import { streamRows } from './stream-rows.js';
import { othersAsDrawn, sameAs } from './write-batch.js';

/** What a restore would find: the changes of a run that were applied, and what has become of their rows. */
export const RestorePreview = z.strictObject({
  applied: count.describe('changes that the run applied'),
  alreadyRestored: count.describe('of these, restored already'),
  restorable: count.describe('rows as the run left them'),
  asBefore: count.describe('rows that somebody else has brought back'),
  conflicts: count.describe(
    'rows touched since, and rows that a constraint would refuse by now: a restore leaves them alone',
  ),
});
export type RestorePreview = z.infer<typeof RestorePreview>;

/** A row that a restore leaves alone, or could not bring back. */
export const RestoreConflict = named(
  'RestoreConflict',
  z.strictObject({
    resource: z.string(),
    key: z.string(),
    kind: z.string(),
    unit: z.string(),
    before: Image.nullable().describe('the row before the run; null: there was none'),
    after: Image.nullable().describe('what the run made of it; null: the run deleted it'),
    now: Image.nullable().describe('the row as it is; null: there is none'),
    refusal: z.string().nullable().describe('why the database refused the row, where it did'),
  }),
);
export type RestoreConflict = z.infer<typeof RestoreConflict>;

/** The resources that a run changed, as their tables are now. */
export interface RestoredResources {
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Those that cannot be restored any more, each with the reason. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Compares a run's changes with the tables as they are now. Writes nothing. Changes of a resource that cannot be restored
 * any more count as conflicts, as do rows that a constraint would refuse. A trigger may still refuse a row that is counted as
 * restorable; a trial of it says so.
 */
export async function previewRestore(
  pool: pg.Pool,
  run: string,
  { shapes, refused }: RestoredResources,
  part?: RestorePart,
): Promise<RestorePreview> {
  const { applied: whole, allTakenBack } = await whatIsLeft(pool, run);
  const all = part === undefined ? whole : await appliedOf(pool, run, part);
  const sums = { restorable: 0, asBefore: 0, conflicts: 0 };
  if (allTakenBack) return { applied: all, alreadyRestored: all, ...sums };
  const stored = await hasStored(pool, run);
  const planned = standingOf(shapes);
  if (planned) {
    const { rows } = await pool.query<{ state: keyof typeof sums; n: number }>(
      `with recursive ${candidates(stored, part)}, ${planned.ctes}
       select ${planned.state} as state, count(*) as n from standing s ${planned.held} group by 1`,
      [run],
    );
    for (const { state, n } of rows) sums[state] += n;
  }
  for (const name of refused.keys()) {
    const { rows } = await pool.query<{ n: number }>(
      `with recursive ${candidates(stored, part)} select count(*) as n from candidate where resource = $2`,
      [run, name],
    );
    sums.conflicts += rows[0]?.n ?? 0;
  }
  const left = sums.restorable + sums.asBefore + sums.conflicts;
  return { applied: all, alreadyRestored: all - left, ...sums };
}

/**
 * What a run has applied, and whether restores have taken every change of it back, from the lanes alone: a restore
 * plans only what the ones before it have left, so that what they have applied together is what is restored. A
 * restore that was itself restored, if only in part, takes a look at each change to tell; so does one of an earlier
 * program that left a resource out, whose lanes count what it left out too.
 */
export async function whatIsLeft(
  pool: pg.Pool,
  run: string,
): Promise<{ readonly applied: number; readonly allTakenBack: boolean }> {
  const { rows } = await pool.query<{ applied: number; allTakenBack: boolean }>(
    `with counted as (
       select r.id = $1 as own,
         (select coalesce(sum(applied_seq), 0) from portcullis_region.lane where run = r.id)
         - (select count(*) from portcullis_region.conflict where run = r.id) as n
       from portcullis_region.run r
       where r.id = $1 or r.restores = $1
     ), summed as (
       select coalesce(sum(n) filter (where own), 0) as applied,
         coalesce(sum(n) filter (where not own), 0) as taken_back
       from counted
     )
     select applied::bigint, applied = taken_back and not exists (
         select from portcullis_region.run r
         join portcullis_region.run again on again.restores = r.id
         where r.restores = $1
       ) and not exists (
         select from portcullis_region.run r
         where r.restores = $1 and (select sum(value::bigint) from jsonb_each_text(r.planned))
           <> (select sum(last_seq) from portcullis_region.lane where run = r.id)
       ) as "allTakenBack"
     from summed`,
    [run],
  );
  return rows[0] ?? { applied: 0, allTakenBack: false };
}

/** How the changes of run $1 stand to their rows now, as the CTE `standing`. Undefined where no resource can be restored. */
function standingOf(
  shapes: RestoredResources['shapes'],
  inFull = false,
):
  { readonly ctes: string; readonly state: string; readonly held: string; readonly why: string } | undefined {
  const each = [...shapes.values()].filter(({ changes }) => changes.length > 0);
  if (each.length === 0) return undefined;
  const all = each.map((_, at) => `select * from standing${at}`).join(' union all ');
  const ctes = [...each.map((shape, at) => standingIn(shape, at, inFull)), `standing as (${all})`];
  const held = heldBack(each);
  if (held === undefined) return { ctes: ctes.join(', '), state: 's.state', held: '', why: 'null' };
  return {
    ctes: [...ctes, held].join(', '),
    state: `case when h.seq is null then s.state else 'conflicts' end`,
    held: 'left join held h on (h.lane, h.seq) = (s.lane, s.seq)',
    why: 'h.why',
  };
}

/** How each change of a resource stands to its row. `inFull`: with the images that a person is shown. */
function standingIn(shape: Shape, at: number, inFull: boolean): string {
  const compared = { ...shape, compared: shape.compared.filter(({ generated }) => !generated) };
  const settable = { ...shape, compared: shape.changes };
  const there = isThere(shape, 't');
  // A login that may read some columns alone restores updates with these.
  const readable = new Set(shape.facts.columns.flatMap((column) => (column.readable ? [column.name] : [])));
  const read = { ...shape, others: shape.others.filter(({ name }) => readable.has(name)) };
  return `
    left${at} as (
      select c.lane, c.seq, c.key, c.kind, c.unit, c.before as was, coalesce(c.stored, coalesce(c.before, '{}') || c.after) as made,
        ${imageLeft(shape)} as before, ${imageRestored(shape)} as after
      from candidate c where c.resource = ${pg.escapeLiteral(shape.name)}
    ), standing${at} as (
      select b.lane, b.seq, ${pg.escapeLiteral(shape.name)} as resource, ${at} as nth, b.key, b.before is null as inserts, b.after,
        ${inFull ? `b.kind, b.unit, ${shown(shape, 'b.was')} as was, ${shown(shape, 'b.made')} as made, ${rowImage(shape, 't')} as now,` : ''}
        case
          when b.before is null then case when not (${there}) then case when ${cascadedFits(shape)} then 'restorable' else 'conflicts' end
            when ${sameAs(settable, 'b.after')} then 'asBefore' else 'conflicts' end
          when ${sameAs(compared, 'b.before')} and (b.after is not null or (true ${othersAsDrawn(read)})) then 'restorable'
          when b.after is null then case when not (${there}) then 'asBefore' else 'conflicts' end
          when ${sameAs(settable, 'b.after')} then 'asBefore'
          else 'conflicts'
        end as state
      from left${at} b
      left join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
    )`;
}

/** An image as its columns would have it; as it was kept where they have other types by now. */
function shown(shape: Shape, image: string): string {
  return shape.compared.some(({ was }) => was !== undefined) ? image : fittedImage(shape, image);
}

/**
 * The rows that a restore of a run leaves alone because they were touched since, and those that a constraint
 * kept an earlier restore from bringing back. Streamed: memory stays flat however many there are.
 */
export async function* restoreConflicts(
  pool: pg.Pool,
  run: string,
  { shapes, refused }: RestoredResources,
  part?: RestorePart,
): AsyncGenerator<RestoreConflict> {
  const stored = await hasStored(pool, run);
  const planned = standingOf(shapes, true);
  if (planned)
    yield* streamRows<RestoreConflict>(
      pool,
      `with recursive ${candidates(stored, part)}, ${planned.ctes}
       select s.resource, s.key, s.kind, s.unit, s.was as before, s.made as after, s.now,
         case when s.state = 'restorable' then coalesce(refused.refusal, ${planned.why}) end as refusal
       from standing s ${planned.held}
       left join lateral (
         select x.refusal
         from portcullis_region.run r
         join portcullis_region.change c on c.resource = s.resource and c.key = s.key and c.run = r.id
         join portcullis_region.conflict x on (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq)
         where r.restores = $1 and x.refusal is not null
         order by r.created_at desc
         limit 1
       ) refused on s.state = 'restorable'
       where ${planned.state} = 'conflicts' or refused.refusal is not null
       order by s.nth, s.lane, s.seq desc`,
      [run],
    );
  for (const [name, why] of refused) {
    yield* streamRows<RestoreConflict>(
      pool,
      `with recursive ${candidates(stored, part)}
       select c.resource, c.key, c.kind, c.unit, c.before, coalesce(c.stored, coalesce(c.before, '{}') || c.after) as after,
         null as now, $3::text as refusal
       from candidate c where c.resource = $2
       order by c.lane, c.seq desc`,
      [run, name, why],
    );
  }
}
