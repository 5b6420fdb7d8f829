import pg from 'pg';
import { asLeft, branchKey, references, sameRow, valueIn, wholeImage, type Branch } from './branches.js';
import { hasKey, type Shape } from './shape.js';
import { ChangeAltered, sameAs, unmetOf, type Step, type Stretch } from './write-batch.js';

/**
 * Locks the rows of a stretch that a step is about to delete, and keeps what goes with them, branch by branch: each is
 * read in a statement after the one that locked what it references, so that nobody can add to it any more. Answers the
 * changes whose rows were still as compared; no others may be deleted now. Throws {@link ChangeAltered} where a restore
 * finds others than the run that it restores has put there.
 */
export async function keepCascaded(
  client: pg.PoolClient,
  { shape, requires }: Step,
  { run, lane, from, to }: Stretch,
): Promise<number[]> {
  const rests = requires.length === 0 ? '' : `and not exists (${unmetOf('b.requires', requires)})`;
  const { rows } = await client.query<{ seq: number }>(
    `select b.seq from portcullis_region.change b join ${shape.table} t on ${sameAs(shape, 'b.before')}
     where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.after is null ${rests}
     for update of t`,
    [run, lane, from, to, shape.name],
  );
  const seqs = rows.map(({ seq }) => seq);
  for (const branch of shape.branches) {
    await client.query(
      `with gone as (
         select p.seq, ${branchKey(branch, 'x')} as key, ${wholeImage(branch, 'x')} as image
         from (${parentsOf(shape, branch)}) p join ${branch.table} x on ${references(branch, 'x', 'p')}
         for update of x
       )
       insert into portcullis_region.cascaded (run, lane, seq, branch, key, "table", "constraint", image)
       select $1, $2, seq, ${branch.at}, key, ${pg.escapeLiteral(branch.table)}, ${pg.escapeLiteral(branch.constraint)}, image
       from gone`,
      [run, lane, seqs],
    );
  }
  await requireSameCascaded(client, shape, run, lane, seqs);
  return seqs;
}

/** What a branch's rows reference, of the changes $3 of run $1 and lane $2. */
function parentsOf(shape: Shape, { on }: Branch): string {
  return on === undefined
    ? `select b.seq, t as row from portcullis_region.change b join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
       where b.run = $1 and b.lane = $2 and b.seq = any ($3) and b.resource = ${pg.escapeLiteral(shape.name)}`
    : `select d.seq, d.image from portcullis_region.cascaded d
       where d.run = $1 and d.lane = $2 and d.seq = any ($3) and d.branch = ${on.at}`;
}

/** A restore that deletes undoes a run that inserted: it must find what that run put there, and no more. */
async function requireSameCascaded(
  client: pg.PoolClient,
  { name, resource }: Shape,
  run: string,
  lane: number,
  seqs: readonly number[],
): Promise<void> {
  const { rows } = await client.query<{ key: string }>(
    `with recursive pair as (
       select b.seq, b.key, first.lane as first_lane, first.seq as first_seq, first.run as first_run
       from portcullis_region.run again
       join portcullis_region.run made on made.id = again.restores
       join portcullis_region.change b on b.run = again.id and b.lane = $2 and b.seq = any ($3) and b.resource = $4
       left join portcullis_region.change first on (first.resource, first.key, first.run) = (b.resource, b.key, made.restores)
       where again.id = $1
     )
     select key from pair
     where exists (
       (select "table", key, image from portcullis_region.cascaded where (run, lane, seq) = ($1, $2, pair.seq)
        except
        select "table", key, image from portcullis_region.cascaded
        where (run, lane, seq) = (pair.first_run, pair.first_lane, pair.first_seq))
       union all
       (select "table", key, image from portcullis_region.cascaded
        where (run, lane, seq) = (pair.first_run, pair.first_lane, pair.first_seq)
        except
        select "table", key, image from portcullis_region.cascaded where (run, lane, seq) = ($1, $2, pair.seq))
     )
     limit 1`,
    [run, lane, seqs, name],
  );
  const [other] = rows;
  if (other)
    throw new ChangeAltered(
      `rows that go with ${resource.table} ${other.key} are not those that were restored with it`,
    );
}

/** The rows that went with those of a stretch which a restore has put back, as `d`, and the change `b` of each. */
const GONE = `
  from portcullis_region.change b
  join portcullis_region.run r on r.id = b.run
  join portcullis_region.change o on (o.resource, o.key, o.run) = (b.resource, b.key, r.restores)
  join portcullis_region.cascaded d on (d.run, d.lane, d.seq) = (o.run, o.lane, o.seq)
  where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.before is null and d."table" = $6
    and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (b.run, b.lane, b.seq))`;

/**
 * Puts back what went with the rows of a stretch that a restore has just inserted. Throws {@link ChangeAltered} where a
 * row is there already, or one that was set to null has been changed since.
 */
export async function restoreCascaded(
  client: pg.PoolClient,
  shape: Shape,
  { run, lane, from, to }: Stretch,
): Promise<void> {
  for (const branch of shape.branches) {
    const { rows } = await client.query<{ gone: number; back: number; key: string | null }>(
      `with gone as (select d.key, d.image ${GONE}), back as (${putBack(branch)})
       select (select count(*) from gone) as gone, (select count(*) from back) as back, (select min(key) from gone) as key`,
      [run, lane, from, to, shape.name, branch.table],
    );
    const [{ gone, back, key } = { gone: 0, back: 0, key: null }] = rows;
    if (gone !== back)
      throw new ChangeAltered(
        `${gone - back} of ${gone} rows of ${branch.table} that went with it cannot be put back, such as ${key ?? ''}: ${
          branch.action === 'cascade' ? 'rows with their keys are there' : 'they were changed since'
        }`,
      );
  }
}

/** A column that the table has got since is filled in as for any new row. */
function valueBack(column: Branch['all'][number]): string {
  return `case when image ? ${pg.escapeLiteral(column.name)} then ${valueIn('image', column)} else (${column.draws ?? 'null'})::${column.cast} end`;
}

/**
 * Why what went with the rows of a run cannot be put back any more: its table has lost a column, or does not go with
 * them as it did. Nothing: [].
 */
export async function cascadedFaults(
  database: pg.Pool | pg.PoolClient,
  run: string,
  { name, branches }: Shape,
): Promise<string[]> {
  const { rows: there } = await database.query<{ there: boolean }>(
    `select to_regclass('portcullis_region.cascaded') is not null as there`,
  );
  if (there[0]?.there !== true) return [];
  const { rows } = await database.query<{ table: string; columns: string[] }>(
    `select d."table", array(select distinct k from portcullis_region.cascaded e, jsonb_object_keys(e.image) k
                             where e.run = $1 and e."table" = d."table" order by k) as columns
     from (select distinct d."table" from portcullis_region.cascaded d
           join portcullis_region.change c using (run, lane, seq) where d.run = $1 and c.resource = $2) d`,
    [run, name],
  );
  return rows.flatMap(({ table, columns }) => {
    const branch = branches.find((each) => each.table === table);
    if (!branch) return [`rows of ${table} went with its rows, and would not any more`];
    const lost = columns.filter((column) => !branch.all.some((each) => each.name === column));
    return lost.length === 0
      ? []
      : [`${table}, whose rows went with its own, has no column ${lost.join(', ')}`];
  });
}

function putBack(branch: Branch): string {
  const { table, action, all, sets } = branch;
  const quoted = (columns: Branch['all']): string =>
    columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ');
  return action === 'cascade'
    ? `insert into ${table} (${quoted(all)}) overriding system value
       select ${all.map(valueBack).join(', ')} from gone
       on conflict (${quoted(branch.key)}) do nothing returning 1`
    : `update ${table} x set ${sets.map((column) => `${pg.escapeIdentifier(column.name)} = ${valueIn('gone.image', column)}`).join(', ')}
       from gone where ${sameRow(branch, 'x', 'gone.image')} and ${asLeft(branch, 'x')} returning 1`;
}

/** SQL for whether what went with a change `b` can be put back now: as {@link restoreCascaded} asks. `$1` is its run. */
export function cascadedFits({ branches }: Shape): string {
  const each = branches.map((branch) => {
    const there = `exists (select from ${branch.table} x where ${sameRow(branch, 'x', 'd.image')}${
      branch.action === 'cascade' ? '' : ` and ${asLeft(branch, 'x')}`
    })`;
    return `not exists (select from portcullis_region.cascaded d
      where (d.run, d.lane, d.seq) = ($1, b.lane, b.seq) and d."table" = ${pg.escapeLiteral(branch.table)}
        and ${branch.action === 'cascade' ? there : `not ${there}`})`;
  });
  return each.length === 0 ? 'true' : each.join(' and ');
}

/** Rows that go with those that a plan deletes. */
export interface Cascading {
  readonly kind: string;
  readonly unit: string;
  readonly n: number;
}

/** Counts what goes with the rows that a plan deletes, by kind and unit, in the plan's transaction. */
export async function countCascading(
  client: pg.PoolClient,
  run: string,
  shapes: Iterable<Shape>,
): Promise<Cascading[]> {
  const found: Cascading[] = [];
  for (const shape of shapes) {
    for (const branch of shape.branches) {
      const { rows } = await client.query<Cascading>(
        `select p.kind, p.unit, count(*) as n from (${plannedOf(shape, branch)}) p group by p.kind, p.unit`,
        [run, shape.name],
      );
      found.push(...rows);
    }
  }
  return found;
}

/** The rows of a branch that go with the changes of run $1 and resource $2. */
function plannedOf(shape: Shape, branch: Branch): string {
  const { on } = branch;
  const parents =
    on === undefined
      ? `select b.kind, b.unit, t as row from portcullis_region.change b join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
         where b.run = $1 and b.resource = $2 and b.after is null`
      : plannedOf(shape, on);
  // Only what is referenced is wanted of a row, and its columns may be called as the change's.
  return `select p.kind, p.unit, ${wholeImage(branch, 'x')} as image
    from (${parents}) p join ${branch.table} x on ${references(branch, 'x', 'p')}`;
}
