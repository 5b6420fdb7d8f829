import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { blame, ChangesRefused } from '../gate/batch-error.js';
import { writeSteps } from '../gate/write-path.js';
import { firesOnCascades } from '../journal/cascade-triggers.js';
import { hasKey, isThere, type Shape } from '../journal/shape.js';
import { planRestore, restoredResource, reversedSteps, type RestorePart } from '../journal/restore-plan.js';
import { alteredRows, alteredText } from '../journal/verify-restored.js';
import type { Step, Stretch } from '../journal/write-batch.js';
import { beginTransaction } from '../postgres/pool.js';
import type { Trial } from '../runs/run-triggers.js';
import type { RestoredRun } from './restore-plan-phase.js';

type TableWrites = Trial['writes'][number];

/** The most changes that are tried: their rows are locked meanwhile. */
export const MOST_TRIED = 1_000;
const AT_ONCE = 100;
const MOST_EXAMPLES = 5;
/** Nobody who works with the rows waits longer for a trial, nor it for them. */
const LIMIT_MS = 5_000;
const LOCK_MS = 500;

/** Errors that say nothing of a change in a trial: of another row that was not tried with it, or that somebody has locked. */
const SAYS_NOTHING = /^(23|40|55P03|57014)/;

/** Tries a restore of what triggers may alter, of at most {@link MOST_TRIED} changes. Undefined where there is no such trigger. */
export async function tryRestore(
  pool: pg.Pool,
  run: string,
  { shapes, steps }: RestoredRun,
  part: RestorePart | undefined,
  restorable: number,
): Promise<Trial | undefined> {
  const reversed = reversedSteps(steps, shapes).map((step) => stepOf(shapes, step));
  const fired = reversed.filter(mayAlter);
  if (fired.length === 0 || restorable === 0) return undefined;
  const of = new Map(fired.map(({ shape }) => [shape.name, shape]));
  return inTrial(pool, async (client) => {
    const id = randomUUID();
    await client.query(
      `insert into portcullis_region.run
         (id, job, version, region, slot, trigger, restores, dry_run, status, reason_code, reason, worker, lease_until, resources)
       select $1, job, version, region, clock_timestamp(), 'restore', id, true, 'planned', 'dry-run', 'a trial', 'trial', '-infinity', $3
       from portcullis_region.run where id = $2`,
      [
        ...[id, run],
        JSON.stringify(
          Object.fromEntries([...of.values()].map((shape) => [shape.name, restoredResource(shape)])),
        ),
      ],
    );
    const every = Math.max(1, Math.ceil(restorable / MOST_TRIED));
    await planRestore(client, id, run, of.values(), part, every);
    return tryChanges(
      client,
      id,
      reversed.filter(({ shape }) => of.has(shape.name)),
      true,
    );
  });
}

/** Tries what a dry run has planned on tables with triggers. Undefined where there is no such trigger. */
export async function tryPlan(
  pool: pg.Pool,
  run: string,
  steps: readonly Step[],
): Promise<Trial | undefined> {
  const fired = new Set(
    steps
      .filter(
        (step) =>
          mayAlter(step) ||
          (step.operation === 'delete' && mayAlter({ shape: step.shape, operation: 'insert' })),
      )
      .map(({ shape }) => shape),
  );
  if (fired.size === 0) return undefined;
  return inTrial(pool, (client) =>
    tryChanges(
      client,
      run,
      steps.filter(({ shape }) => fired.has(shape)),
      false,
    ),
  );
}

function stepOf(
  shapes: ReadonlyMap<string, Shape>,
  { resource, operation }: { readonly resource: string; readonly operation: Step['operation'] },
): Step {
  const shape = shapes.get(resource);
  if (!shape) throw new Error(`the run has no resource ${resource}`);
  return { shape, operation, requires: [] };
}

/** Whether a trigger fires on what a step writes, or on what goes or comes back with it. */
export function mayAlter({ shape, operation }: Pick<Step, 'shape' | 'operation'>): boolean {
  const { before, after } = shape.effects[operation];
  return before || after || (operation !== 'update' && firesOnCascades(shape));
}

/** A transaction that is rolled back whatever comes, and that ends soon. */
async function inTrial(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<Trial>): Promise<Trial> {
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    await beginTransaction(client, { name: 'portcullis trial' });
    await client.query(
      `select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`,
      [`${LOCK_MS}ms`, `${LIMIT_MS}ms`],
    );
    return await work(client);
  } catch (error) {
    // A replica, a lock, a limit: that nothing could be tried is an answer, and no reason to show nothing else.
    if (error instanceof pg.DatabaseError) return { ...NOTHING, ended: error.message };
    throw error;
  } finally {
    await client.query('rollback').catch((error: unknown) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    client.release(failure);
  }
}

const NOTHING = { tried: 0, refused: 0, examples: [], sets: [], writes: [] } as const;

async function tryChanges(
  client: pg.PoolClient,
  run: string,
  steps: readonly Step[],
  restores: boolean,
): Promise<Trial> {
  const seen = {
    ...{ tried: 0, refused: 0, ended: null as string | null },
    examples: [] as Trial['examples'][number][],
    sets: new Map<string, Set<string>>(),
  };
  const { rows: planned } = await client.query<{ lane: number; seq: number }>(
    `select lane, seq from portcullis_region.change where run = $1 and resource = any ($2)
     order by seq, lane limit ${MOST_TRIED}`,
    [run, [...new Set(steps.map(({ shape }) => shape.name))]],
  );
  const deadline = performance.now() + LIMIT_MS;
  const writtenBefore = await writesOf(client, steps);

  const attempt = async (stretch: Stretch): Promise<void> => {
    await client.query('savepoint trial');
    const before = await wholeRows(client, steps, stretch);
    await writeSteps(client, { steps, rehearse: !restores }, stretch).catch(blame);
    for (const shape of new Set(steps.map((step) => step.shape))) {
      const altered = restores ? await alteredRows(client, shape, stretch) : [];
      for (const row of altered) refuse(shape.name, row.key, alteredText(shape, row));
    }
    for (const [resource, columns] of otherColumns(before, await wholeRows(client, steps, stretch))) {
      const known = seen.sets.get(resource) ?? new Set();
      for (const column of columns) known.add(column);
      seen.sets.set(resource, known);
    }
  };
  const refuse = (resource: string, key: string, why: string): void => {
    seen.refused += 1;
    if (seen.examples.length < MOST_EXAMPLES) seen.examples.push({ resource, key, why });
  };
  /** Halved, as a batch is, until the change at fault stands alone. */
  const tryOf = async (lane: number, places: readonly number[]): Promise<void> => {
    const [first, last] = [places[0], places.at(-1)];
    if (first === undefined || last === undefined || seen.ended !== null) return;
    if (performance.now() > deadline) {
      seen.ended = `tried for ${LIMIT_MS / 1000} s`;
      return;
    }
    try {
      await attempt({ run, lane, from: first - 1, to: last });
      seen.tried += places.length;
    } catch (error) {
      if (!(error instanceof ChangesRefused) && !(error instanceof pg.DatabaseError)) throw error;
      await client.query('rollback to savepoint trial');
      const { code } = (error.cause ?? error) as { code?: unknown };
      if (!(error instanceof ChangesRefused) || code === '55P03') {
        seen.ended = error.message;
        return;
      }
      if (places.length > 1) {
        const middle = Math.ceil(places.length / 2);
        await tryOf(lane, places.slice(0, middle));
        await tryOf(lane, places.slice(middle));
      } else if (!SAYS_NOTHING.test(String(code))) {
        const { rows } = await client.query<{ resource: string; key: string }>(
          'select resource, key from portcullis_region.change where run = $1 and lane = $2 and seq = $3',
          [run, lane, first],
        );
        seen.tried += 1;
        for (const { resource, key } of rows) refuse(resource, key, error.message);
      }
    }
  };
  const byLane = new Map<number, number[]>();
  for (const { lane, seq } of planned) byLane.set(lane, [...(byLane.get(lane) ?? []), seq]);
  for (const [lane, places] of byLane)
    for (let at = 0; at < places.length; at += AT_ONCE) await tryOf(lane, places.slice(at, at + AT_ONCE));
  const sets = [...seen.sets].map(([resource, columns]) => ({ resource, columns: [...columns].sort() }));
  const writes = differenceOf(writtenBefore, await writesOf(client, steps));
  const { tried, refused, examples, ended } = seen;
  return { tried, refused, examples, sets, writes, ended };
}

type Row = Readonly<Record<string, unknown>>;
type Rows = ReadonlyMap<Shape, ReadonlyMap<string, Row>>;

/** The rows of a stretch's updates in whole, by resource and key: what triggers set besides shows when they are read again. */
async function wholeRows(
  client: pg.PoolClient,
  steps: readonly Step[],
  { run, lane, from, to }: Stretch,
): Promise<Rows> {
  const found = new Map<Shape, Map<string, Row>>();
  for (const { shape, operation } of steps) {
    if (operation !== 'update') continue;
    const { rows } = await client.query<{ key: string; row: Row }>(
      `select b.key, to_jsonb(t) as row from portcullis_region.change b join ${shape.table} t on ${hasKey(shape, 't', 'b.key')}
       where b.run = $1 and b.lane = $2 and b.seq > $3 and b.seq <= $4 and b.resource = $5 and ${isThere(shape, 't')}
         and b.before is not null and b.after is not null`,
      [run, lane, from, to, shape.name],
    );
    found.set(shape, new Map(rows.map(({ key, row }) => [key, row])));
  }
  return found;
}

/** The columns of each resource that others than its changes have set, computed ones left out. */
function otherColumns(before: Rows, after: Rows): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [shape, rows] of after) {
    const computed = shape.facts.columns.filter(({ generated }) => generated);
    const own = new Set([...shape.changes, ...computed].map((column) => column.name));
    for (const [key, row] of rows) {
      const was = before.get(shape)?.get(key);
      if (!was) continue;
      for (const [column, value] of Object.entries(row)) {
        if (own.has(column) || JSON.stringify(value) === JSON.stringify(was[column])) continue;
        found.set(shape.name, (found.get(shape.name) ?? new Set()).add(column));
      }
    }
  }
  return found;
}

/** How many rows this session has written, table by table, besides the tables of the steps and what goes with them. */
async function writesOf(client: pg.PoolClient, steps: readonly Step[]): Promise<Map<string, TableWrites>> {
  const own = steps.flatMap(({ shape }) => [shape.table, ...shape.branches.map(({ table }) => table)]);
  const { rows } = await client.query<TableWrites>(
    `select coalesce(pg_partition_root(s.relid), s.relid)::regclass::text as "table",
       sum(s.n_tup_ins)::bigint as inserted, sum(s.n_tup_upd)::bigint as updated, sum(s.n_tup_del)::bigint as deleted
     from pg_stat_xact_user_tables s
     where s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 and s.schemaname !~ '^portcullis_'
       and coalesce(pg_partition_root(s.relid), s.relid) <> all (select to_regclass(t)::oid from unnest($1::text[]) t where to_regclass(t) is not null)
     group by 1 order by 1`,
    [own],
  );
  return new Map(rows.map((row) => [row.table, row]));
}

function differenceOf(
  before: ReadonlyMap<string, TableWrites>,
  after: ReadonlyMap<string, TableWrites>,
): TableWrites[] {
  return [...after.values()].flatMap((row) => {
    const was = before.get(row.table);
    const inserted = row.inserted - (was?.inserted ?? 0);
    const updated = row.updated - (was?.updated ?? 0);
    const deleted = row.deleted - (was?.deleted ?? 0);
    return inserted + updated + deleted === 0 ? [] : [{ table: row.table, inserted, updated, deleted }];
  });
}
