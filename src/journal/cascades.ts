import pg from 'pg';
import { asLeft, branchKey, references, sameRow, valueIn, wholeImage, type Branch } from './branches.js';
import { hasKey, keyPart, type Shape } from './shape.js';
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
    let kept = await keepBranch(client, shape, branch, [run, lane, seqs], false);
    // Until none goes with those that were found last.
    while (branch.recursive && kept > 0)
      kept = await keepBranch(client, shape, branch, [run, lane, seqs], true);
  }
  await requireSameCascaded(client, shape, run, lane, seqs);
  return seqs;
}

/**
 * Keeps the rows of a branch that go with what was found before it, or, `again`, with others of its own. Answers how many.
 *
 * A row is kept once: it may go in several ways, and with several changes, or a change of the batch deletes it itself. Of
 * several changes it is kept with the first, which is restored last: all that the row references is there by then.
 */
async function keepBranch(
  client: pg.PoolClient,
  shape: Shape,
  branch: Branch,
  [run, lane, seqs]: readonly [string, number, readonly number[]],
  again: boolean,
): Promise<number> {
  const { table, action, at } = branch;
  const going = shape.branches.filter((each) => each.table === table && each.action === 'cascade');
  const names = (of: readonly Branch[]): string =>
    `array[${of.map(({ constraint }) => pg.escapeLiteral(constraint)).join(', ')}]::text[]`;
  const kept = `d.run = $1 and d.lane = $2 and d.seq = any ($3) and d."table" = ${pg.escapeLiteral(table)} and d.key = g.key`;
  const { rows } = await client.query<{ n: number }>(
    `with found as (
       select p.seq, ${branchKey(branch, 'x')} as key, ${wholeImage(branch, 'x')} as image
       from (${parentsOf(shape, branch, again)}) p join ${table} x on ${references(branch, 'x', 'p', again)}
       ${
         table === shape.facts.table
           ? `where not exists (select from portcullis_region.change c where c.run = $1 and c.lane = $2 and c.seq = any ($3)
                and c.resource = ${pg.escapeLiteral(shape.name)} and ${hasKey(shape, 'x', 'c.key')})`
           : ''
       }
       for update of x
     ), gone as (
       select distinct on (key) seq, key, image from found order by key, seq
     ), moved as (
       update portcullis_region.cascaded d set seq = g.seq, branch = ${at}, "constraint" = ${pg.escapeLiteral(branch.constraint)}
       from gone g
       where ${action === 'cascade' ? `${kept} and d."constraint" = any (${names(going)}) and d.seq > g.seq` : 'false'}
       returning 1
     ), added as (
       insert into portcullis_region.cascaded (run, lane, seq, branch, key, "table", "constraint", image)
       select $1, $2, seq, ${at}, key, ${pg.escapeLiteral(table)}, ${pg.escapeLiteral(branch.constraint)}, image
       from gone g
       where not exists (
         select from portcullis_region.cascaded d where ${kept} and d."constraint" = any (${names([...going, branch])}))
       returning 1
     )
     select (select count(*) from moved) + (select count(*) from added) as n`,
    [run, lane, seqs],
  );
  return rows[0]?.n ?? 0;
}

/** What a branch's rows reference, of the changes $3 of run $1 and lane $2. */
function parentsOf(shape: Shape, branch: Branch, again: boolean): string {
  const on = again ? branch : branch.on;
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

/** Kept rows of a branch, as `d` of a `from` clause, with its parameters. */
export interface KeptRows {
  readonly of: (branch: Branch) => string;
  readonly params: readonly unknown[];
}

/** What a batch that deletes has kept of these changes, but of those that have become conflicts. */
export function keptOf(run: string, lane: number, seqs: readonly number[]): KeptRows {
  return {
    of: ({ table, constraint }) => `
      from portcullis_region.cascaded d
      where d.run = $1 and d.lane = $2 and d.seq = any ($3)
        and d."table" = ${pg.escapeLiteral(table)} and d."constraint" = ${pg.escapeLiteral(constraint)}
        and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (d.run, d.lane, d.seq))`,
    params: [run, lane, seqs],
  };
}

/** What went with the rows of a stretch which a restore has put back. */
export function keptWith({ name }: Shape, { run, lane, from, to }: Stretch): KeptRows {
  return {
    of: ({ table, constraint }) => `
      from portcullis_region.change b
      join portcullis_region.run r on r.id = b.run
      join portcullis_region.change o on (o.resource, o.key, o.run) = (b.resource, b.key, r.restores)
      join portcullis_region.cascaded d on (d.run, d.lane, d.seq) = (o.run, o.lane, o.seq)
      where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and b.before is null
        and d."table" = ${pg.escapeLiteral(table)} and d."constraint" = ${pg.escapeLiteral(constraint)}
        and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (b.run, b.lane, b.seq))`,
    params: [run, lane, from, to, name],
  };
}

/**
 * Puts kept rows back whose changes' own rows have just been inserted. Throws {@link ChangeAltered} where a row is there
 * already, or one that was set to null has been changed since.
 */
export async function putBackCascaded(client: pg.PoolClient, shape: Shape, kept: KeptRows): Promise<void> {
  for (const branch of eachOnce(shape.branches)) {
    const { rows } = await client.query<{ gone: number; back: number; key: string | null }>(
      `with gone as (select d.key, d.image ${kept.of(branch)}), back as (${putBack(branch)})
       select (select count(*) from gone) as gone, (select count(*) from back) as back, (select min(key) from gone) as key`,
      [...kept.params],
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

/** A foreign key can be met on several ways; its rows are put back together. */
export function eachOnce(branches: readonly Branch[]): Branch[] {
  const found = new Map<string, Branch>();
  for (const branch of branches) {
    const name = JSON.stringify([branch.table, branch.constraint]);
    if (!found.has(name)) found.set(name, branch);
  }
  return [...found.values()];
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
  const { rows } = await database.query<{ table: string; constraint: string; columns: string[] }>(
    `select d."table", d."constraint", array(select distinct k from portcullis_region.cascaded e, jsonb_object_keys(e.image) k
                             where e.run = $1 and e."table" = d."table" order by k) as columns
     from (select distinct d."table", d."constraint" from portcullis_region.cascaded d
           join portcullis_region.change c using (run, lane, seq) where d.run = $1 and c.resource = $2) d`,
    [run, name],
  );
  return rows.flatMap(({ table, constraint, columns }) => {
    const branch = branches.find((each) => each.table === table && each.constraint === constraint);
    if (!branch)
      return [`rows of ${table} went with its rows (constraint ${constraint}), and would not any more`];
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

/** SQL for whether what went with a change `b` can be put back now: as {@link putBackCascaded} asks. `$1` is its run. */
export function cascadedFits({ branches }: Shape): string {
  const each = eachOnce(branches).map((branch) => {
    const there = `exists (select from ${branch.table} x where ${sameRow(branch, 'x', 'd.image')}${
      branch.action === 'cascade' ? '' : ` and ${asLeft(branch, 'x')}`
    })`;
    return `not exists (select from portcullis_region.cascaded d
      where (d.run, d.lane, d.seq) = ($1, b.lane, b.seq) and d."table" = ${pg.escapeLiteral(branch.table)}
        and d."constraint" = ${pg.escapeLiteral(branch.constraint)}
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

/** Counts what goes with the rows that a plan deletes, by kind and unit, in the plan's transaction: each row once. */
export async function countCascading(
  client: pg.PoolClient,
  run: string,
  shapes: Iterable<Shape>,
): Promise<Cascading[]> {
  const found: Cascading[] = [];
  for (const shape of shapes) {
    if (shape.branches.length === 0) continue;
    for (const table of new Set(shape.branches.map((branch) => branch.table))) {
      const { rows } = await client.query<Cascading>(countOf(shape, table), [run, shape.name]);
      found.push(...rows);
    }
  }
  return found;
}

/** The rows of a table that go with the changes of run $1 and resource $2, counted. */
function countOf(shape: Shape, table: string): string {
  const of = shape.branches.filter((branch) => branch.table === table);
  const needed = new Set<Branch>();
  for (const branch of of) for (let at: Branch | undefined = branch; at; at = at.on) needed.add(at);
  const named = shape.branches.filter((branch) => needed.has(branch));
  const [only] = of;
  // With one way to a table, each of its rows is found once.
  const once = of.length === 1 && only?.recursive === false && table !== shape.facts.table;
  const own =
    table === shape.facts.table
      ? `where not exists (select from portcullis_region.change c where c.run = $1 and c.resource = $2 and c.after is null
           and ${shape.key.map((column, at) => `(f.image->>${pg.escapeLiteral(column.name)})::${column.cast} = ${keyPart(shape.key, 'c.key', at)}`).join(' and ')})`
      : '';
  const rows = of.map(({ at }) => `select kind, unit, key, image from branch${at}`).join(' union all ');
  return `with recursive ${named.map((branch) => plannedOf(shape, branch)).join(', ')}
    select kind, unit, count(*) as n
    from (${once ? rows : `select distinct on (key) kind, unit from (${rows}) f ${own} order by key, kind, unit`}) g
    group by kind, unit`;
}

/** A CTE of a branch's rows, with the kind and unit of what they go with. */
function plannedOf(shape: Shape, branch: Branch): string {
  const { at, on, recursive } = branch;
  const parents =
    on === undefined
      ? `(select b.kind, b.unit, t as row from portcullis_region.change b join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
          where b.run = $1 and b.resource = $2 and b.after is null)`
      : `branch${on.at}`;
  const found = `select p.kind, p.unit, ${branchKey(branch, 'x')} as key, ${wholeImage(branch, 'x')} as image`;
  return `branch${at} as (
      ${found} from ${parents} p join ${branch.table} x on ${references(branch, 'x', 'p')}
      ${recursive ? `union ${found} from branch${at} p join ${branch.table} x on ${references(branch, 'x', 'p', true)}` : ''})`;
}
