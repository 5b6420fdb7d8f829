import pg from 'pg';
import { asLeft, sameRow, valueIn, type Branch } from './branches.js';
import { eachOnce, type KeptRows } from './cascades.js';
import type { Shape } from './shape.js';
import { ChangeAltered } from './write-batch.js';

/** Whether triggers fire on the rows that go with those of a resource. */
export function firesOnCascades({ branches }: Pick<Shape, 'branches'>): boolean {
  return branches.some(({ triggers }) => triggers.length > 0);
}

/** Has what waits for the commit run now, where a trigger on rows that go does. */
async function runDeferred(client: pg.PoolClient, { branches }: Shape): Promise<void> {
  if (branches.some(({ triggers }) => triggers.some(({ deferred }) => deferred)))
    await client.query('set constraints all immediate');
}

/**
 * Throws {@link ChangeAltered} where triggers have made something else of kept rows, whose parents were just deleted: one
 * is still there, or is there again, or more of it has changed than the foreign key says. PostgreSQL would not tell.
 */
export async function requireGone(client: pg.PoolClient, shape: Shape, kept: KeptRows): Promise<void> {
  if (!firesOnCascades(shape)) return;
  await runDeferred(client, shape);
  await requireEach(client, shape, kept, (branch) =>
    branch.action === 'cascade'
      ? { wrong: isThere(branch), what: 'is there once it went' }
      : {
          wrong: `${isThere(branch)} and not (${asLeft(branch, 'x')} and ${sameColumns(branch, new Set(branch.sets.map(({ name }) => name)))})`,
          what: 'has changed more than its foreign key says',
        },
  );
}

/** Throws {@link ChangeAltered} where triggers have made something else of kept rows that were just put back. */
export async function requireBack(client: pg.PoolClient, shape: Shape, kept: KeptRows): Promise<void> {
  if (!firesOnCascades(shape)) return;
  await runDeferred(client, shape);
  await requireEach(client, shape, kept, (branch) => ({
    wrong: `not (${isThere(branch)}) or not ${sameColumns(branch, new Set())}`,
    what: 'would not be what it was once it was restored',
  }));
}

async function requireEach(
  client: pg.PoolClient,
  { branches }: Shape,
  kept: KeptRows,
  asked: (branch: Branch) => { readonly wrong: string; readonly what: string },
): Promise<void> {
  for (const branch of eachOnce(branches)) {
    const { table, triggers } = branch;
    if (triggers.length === 0) continue;
    const { wrong, what } = asked(branch);
    const { rows } = await client.query<{ key: string }>(
      `select d.key from (select d.key, d.image ${kept.of(branch)}) d
       left join ${table} x on ${sameRow(branch, 'x', 'd.image')} where ${wrong} order by d.key limit 1`,
      [...kept.params],
    );
    const [row] = rows;
    if (row)
      throw new ChangeAltered(
        `row ${row.key} of ${table}, which goes with it, ${what}: a trigger of ${table} (${triggers.map(({ name }) => name).join(', ')}) makes something else of it`,
      );
  }
}

function isThere({ key }: Branch): string {
  return `x.${pg.escapeIdentifier(key[0]?.name ?? '')} is not null`;
}

/** SQL for whether a row `x` has what its kept image has, but for some columns. A column that was added since is not in it. */
function sameColumns({ all }: Branch, but: ReadonlySet<string>): string {
  const each = all
    .filter(({ name }) => !but.has(name))
    .map(
      (column) =>
        `(not d.image ? ${pg.escapeLiteral(column.name)} or x.${pg.escapeIdentifier(column.name)}::text is not distinct from (${valueIn('d.image', { ...column, cast: column.fitted ?? column.cast })})::text)`,
    );
  return `(${each.join(' and ')})`;
}
