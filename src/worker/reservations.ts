import type pg from 'pg';
import { jobPlacesInForce } from '../flags/policy-places.js';
import { lockGate } from '../gate/lock.js';
import { isUnique, type Resource, type UniqueResource } from '../journal/change.js';
import { heldQuery, movesQuery } from '../journal/unique-across.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { inTransaction, isUnreachable } from '../postgres/pool.js';
import { RUN_STATES, type RunStatus } from '../runs/run-states.js';
import type { HeldElsewhere } from '../sdk/contract.js';
import type { Log } from '../telemetry/log.js';
import { heldElsewhere } from './held-elsewhere.js';

/**
 * Values that one row may have in all regions' databases together (`uniqueAcross` of a resource). No transaction spans two
 * databases, so a value is reserved in the control database before the row is written, and what became of it is read
 * where the row is:
 *
 * | reservation   | means                                      | who may end it                                              |
 * | ------------- | ------------------------------------------ | ----------------------------------------------------------- |
 * | none          | no row has the value, or will have it      | a run takes it for a row                                    |
 * | run named     | the run may write the row, or has          | who knows by the row's database that the run is over and no |
 * |               |                                            | batch of it is in flight: the row says which it was         |
 * | no run named  | the row has the value                      | a run takes it again for the same row; who sees in the      |
 * |               |                                            | row's database that the row has it no more                  |
 *
 * So at any moment a row that has a value has its reservation. Another region's run never takes a value of a run that
 * died: it cannot know whether the last batch was committed. Whoever reaches the dead run's database finds out.
 */
export interface Reservations {
  /**
   * Reserves what the planned changes of a run take, before any is written; answers the changes whose values other rows
   * have. Throws RESERVATION_UNAVAILABLE where a change takes something and nobody can say.
   */
  reserve(
    region: pg.Pool | pg.PoolClient,
    run: { readonly id: string; readonly job: string },
    resources: Iterable<readonly [string, Resource]>,
  ): Promise<readonly TakenElsewhere[]>;
  /** What a plan of the job asks about values of other databases' rows: see `heldElsewhere` of the plan's context. */
  heldElsewhere(job: string, resource: string, value: readonly string[]): Promise<HeldElsewhere | undefined>;
  /** Confirms or ends the reservations of a run that is over. Answers whether it is done: not while the run may write. */
  settle(region: pg.Pool, run: string): Promise<boolean>;
  /** Settles the runs of this database that nobody has, and reads its rows where that was never done, or long ago. */
  tend(region: pg.Pool, jobs: readonly UniqueJob[]): Promise<void>;
}

/** A job with regions in a database. */
export interface UniqueJob {
  readonly name: string;
  readonly regions: readonly string[];
  readonly resources: Readonly<Record<string, Resource>>;
}

/** A planned change that cannot be carried out. */
export interface TakenElsewhere {
  readonly lane: number;
  readonly seq: number;
  readonly refusal: string;
}

interface Move {
  readonly lane: number;
  readonly seq: number;
  readonly key: string;
  readonly takes: string | null;
  readonly gives: string | null;
}

/** Reserves as {@link Reservations.reserve} does. Throws RESERVATION_UNAVAILABLE where this process cannot, and would have to. */
export async function reserveIn(
  reservations: Reservations | undefined,
  region: pg.Pool | pg.PoolClient,
  run: { readonly id: string; readonly job: string },
  resources: readonly (readonly [string, Resource])[],
): Promise<readonly TakenElsewhere[]> {
  if (!anyUnique(resources.map(([, resource]) => resource))) return [];
  if (reservations === undefined) throw unavailable('this process has no control database');
  return reservations.reserve(region, run, resources);
}

/** Settles a run that has just ended, as far as that can be done now: whoever serves its database does the rest. */
export async function settleAfter(
  { region, reservations, log }: { region: pg.Pool; reservations?: Reservations | undefined; log: Log },
  run: string,
): Promise<void> {
  await reservations?.settle(region, run).catch((error: unknown) => {
    log.warn({ code: 'reservations-unsettled', runId: run, err: error }, messageOf(error));
  });
}

/** What is written of a run before it begins: see {@link Reservations.reserve}. */
export async function keepTakenElsewhere(
  client: pg.PoolClient,
  run: string,
  taken: readonly TakenElsewhere[],
): Promise<void> {
  if (taken.length === 0) return;
  await client.query(
    `insert into portcullis_region.conflict (run, lane, seq, refusal)
     select $1, * from unnest($2::smallint[], $3::integer[], $4::text[])`,
    [run, taken.map(({ lane }) => lane), taken.map(({ seq }) => seq), taken.map(({ refusal }) => refusal)],
  );
}

/** Whether any of these resources has values that are unique across regions. */
export function anyUnique(resources: Iterable<Resource>): boolean {
  return [...resources].some(isUnique);
}

interface Reservation {
  readonly value: string;
  readonly key: string;
  readonly run: string | null;
  readonly revision: string;
}

const PAGE = 5_000;
/** What an index can hold. */
const MOST_BYTES = 1_000;
/** How long a settling waits for batches in flight; those that come behind it wait too. */
const LOCK_MS = 300;
const READ_AGAIN_MS = 600_000;
const LOCK_NOT_AVAILABLE = '55P03';

/** Reservations for the rows of one database, which `place` names: `control`, or the variable of its address. */
export function createReservations(control: pg.Pool, place: string): Reservations {
  let readAt = -Infinity;

  const reserve: Reservations['reserve'] = async (region, run, resources) => {
    const refused: TakenElsewhere[] = [];
    for (const [name, resource] of resources) {
      if (!isUnique(resource)) continue;
      let known = false;
      for await (const moves of pages(region, run.id, name, resource)) {
        const taking = moves.filter((move): move is Move & { takes: string } => move.takes !== null);
        if (taking.length === 0) continue;
        try {
          if (!known) await requireRead(region, run.job, name, resource);
          known = true;
          refused.push(...(await take(region, run, name, taking)));
        } catch (error) {
          if (!isUnreachable(error)) throw error;
          throw unavailable(`the control database does not answer: ${messageOf(error)}`, error);
        }
      }
    }
    return refused;
  };

  /** Throws RESERVATION_UNAVAILABLE until the rows of all of the job's regions are known. */
  const requireRead = async (
    region: pg.Pool | pg.PoolClient,
    job: string,
    name: string,
    resource: UniqueResource,
  ): Promise<void> => {
    const places = await jobPlacesInForce(control);
    const regions = places.filter((each) => each.job === job);
    const own = regions.filter(({ variable }) => (variable ?? 'control') === place);
    const unread = async (): Promise<string[]> => {
      const { rows } = await control.query<{ region: string }>(
        `select unnest($3::text[]) as region
         except select region from portcullis_control.reserved_region where job = $1 and resource = $2 order by 1`,
        [job, name, regions.map((each) => each.region)],
      );
      return rows.map((row) => row.region);
    };
    let left = await unread();
    if (left.length > 0 && own.some((each) => left.includes(each.region))) {
      await readRows(
        region,
        job,
        name,
        resource,
        own.map((each) => each.region),
      );
      left = await unread();
    }
    if (left.length > 0)
      throw unavailable(
        `the rows of ${left.join(', ')} have not been read yet: a process that serves it does`,
      );
  };

  const take = async (
    region: pg.Pool | pg.PoolClient,
    run: { readonly id: string; readonly job: string },
    resource: string,
    moves: readonly (Move & { readonly takes: string })[],
  ): Promise<TakenElsewhere[]> => {
    const refused: TakenElsewhere[] = [];
    const wanted = new Map<string, Move>();
    for (const move of moves) {
      const { lane, seq, takes } = move;
      if (Buffer.byteLength(takes) > MOST_BYTES)
        refused.push({ lane, seq, refusal: `the value is longer than ${MOST_BYTES} bytes` });
      else if (wanted.has(takes))
        refused.push({ lane, seq, refusal: `another change of the run takes ${takes}` });
      else wanted.set(takes, move);
    }
    const over = await runsOver(region, run.job, resource, [...wanted.keys()], run.id);
    const { rows } = await control.query<{ value: string }>(
      `insert into portcullis_control.reservation as r (job, resource, value, place, key, run)
       select $1, $2, w.value, $3, w.key, $4 from unnest($5::text[], $6::text[]) w (value, key) order by w.value
       on conflict (job, resource, value) do update
         set run = excluded.run, revision = gen_random_uuid(), at = clock_timestamp()
         where r.place = excluded.place and r.key = excluded.key
           and (r.run is null or r.run = excluded.run or r.run = any ($7::uuid[]))
       returning value`,
      [
        ...[run.job, resource, place, run.id, [...wanted.keys()], [...wanted.values()].map(({ key }) => key)],
        over,
      ],
    );
    const had = new Set(rows.map(({ value }) => value));
    const others = [...wanted].filter(([value]) => !had.has(value));
    const holders = await control.query<{ value: string; place: string; run: string | null }>(
      `select value, place, run from portcullis_control.reservation where job = $1 and resource = $2 and value = any ($3)`,
      [run.job, resource, others.map(([value]) => value)],
    );
    const holderOf = new Map(holders.rows.map((row) => [row.value, row]));
    for (const [value, { lane, seq }] of others) {
      const holder = holderOf.get(value);
      const at = holder === undefined ? 'another row' : `a row in ${holder.place}`;
      refused.push({
        ...{ lane, seq },
        refusal: holder?.run == null ? `${at} has ${value}` : `${at} may have ${value}: run ${holder.run}`,
      });
    }
    return refused;
  };

  /** Runs of this database that are over, of those that have reserved these values. */
  const runsOver = async (
    region: pg.Pool | pg.PoolClient,
    job: string,
    resource: string,
    values: readonly string[],
    but: string,
  ): Promise<string[]> => {
    const { rows } = await control.query<{ run: string }>(
      `select distinct run from portcullis_control.reservation
       where job = $1 and resource = $2 and value = any ($3) and place = $4 and run <> $5`,
      [job, resource, values, place, but],
    );
    if (rows.length === 0) return [];
    const { rows: over } = await region.query<{ id: string }>(
      `select id from portcullis_region.run where id = any ($1) and status <> all ($2)`,
      [rows.map(({ run }) => run), ACTIVE],
    );
    return over.map(({ id }) => id);
  };

  const settle: Reservations['settle'] = async (region, run) => {
    const ended = await whenOver(region, run);
    if (ended === 'may-write') return false;
    // A run that the database has lost, as after a failover, writes nothing: its rows are read with all others.
    const { job, resources } = ended ?? { job: null, resources: {} };
    for (const [name, resource] of Object.entries(resources)) {
      if (!isUnique(resource)) continue;
      const { rows: pending } = await control.query<Reservation>(
        `select value, key, run, revision from portcullis_control.reservation
         where place = $1 and run = $2 and job = $3 and resource = $4`,
        [place, run, job, name],
      );
      await compare(region, job ?? '', name, resource, pending);
      for await (const moves of pages(region, run, name, resource)) {
        const { rows: given } = await control.query<Reservation>(
          `select value, key, run, revision from portcullis_control.reservation
           where job = $1 and resource = $2 and value = any ($3) and place = $4 and run is null`,
          [job, name, moves.flatMap(({ gives }) => gives ?? []), place],
        );
        await compare(region, job ?? '', name, resource, given);
      }
    }
    if (ended === undefined)
      await control.query(
        `update portcullis_control.reservation set run = null, revision = gen_random_uuid() where place = $1 and run = $2`,
        [place, run],
      );
    return true;
  };

  /** Keeps of these reservations those whose rows have the values, and ends the others; none that was written meanwhile. */
  const compare = async (
    region: pg.Pool | pg.PoolClient,
    job: string,
    name: string,
    resource: UniqueResource,
    reservations: readonly Reservation[],
  ): Promise<void> => {
    if (reservations.length === 0) return;
    const { rows } = await region.query<HeldRow>(heldQuery(resource, 'of these keys'), [
      reservations.map(({ key }) => key),
    ]);
    const held = new Set(rows.map(({ key, value }) => JSON.stringify([key, value])));
    const has = ({ key, value }: Reservation): boolean => held.has(JSON.stringify([key, value]));
    const kept = reservations.filter((each) => has(each) && each.run !== null);
    const ended = reservations.filter((each) => !has(each));
    await control.query(
      `with kept as (
         update portcullis_control.reservation set run = null, revision = gen_random_uuid(), at = clock_timestamp()
         where job = $1 and resource = $2 and revision = any ($3)
       )
       delete from portcullis_control.reservation where job = $1 and resource = $2 and revision = any ($4)`,
      [job, name, kept.map(({ revision }) => revision), ended.map(({ revision }) => revision)],
    );
  };

  /** Has the reservations be what the rows are: adds those that are missing, and ends those whose rows have other values. */
  const readRows = async (
    region: pg.Pool | pg.PoolClient,
    job: string,
    name: string,
    resource: UniqueResource,
    regions: readonly string[],
  ): Promise<void> => {
    // A run of a version that reserves nothing may write what was read before.
    const { rowCount } = await region.query(
      `select from portcullis_region.run
       where job = $1 and status = 'applying' and resources ? $2 and not (resources -> $2 ? 'uniqueAcross') limit 1`,
      [job, name],
    );
    if (rowCount !== 0) return;
    // What the rows are is known as of now, not as of the end.
    const { rows: began } = await control.query<{ at: string }>('select clock_timestamp()::text as at');
    await inCursor(region, heldQuery(resource), async (rows) => {
      await control.query(
        `insert into portcullis_control.reservation (job, resource, value, place, key)
         select $1, $2, w.value, $3, w.key from unnest($4::text[], $5::text[]) w (value, key)
         where octet_length(w.value) <= $6 order by w.value
         on conflict (job, resource, value) do nothing`,
        [job, name, place, rows.map(({ value }) => value), rows.map(({ key }) => key), MOST_BYTES],
      );
    });
    for (let after = ''; ;) {
      const { rows } = await control.query<Reservation>(
        `select value, key, run, revision from portcullis_control.reservation
         where job = $1 and resource = $2 and place = $3 and value > $4 and run is null order by value limit $5`,
        [job, name, place, after, PAGE],
      );
      const last = rows.at(-1);
      if (last === undefined) break;
      await compare(region, job, name, resource, rows);
      after = last.value;
    }
    await control.query(
      `insert into portcullis_control.reserved_region (job, resource, region, read_at)
       select $1, $2, unnest($3::text[]), $4::timestamptz
       on conflict (job, resource, region) do update set read_at = excluded.read_at`,
      [job, name, regions, began[0]?.at],
    );
  };

  const tend: Reservations['tend'] = async (region, jobs) => {
    const { rows: pending } = await control.query<{ run: string }>(
      'select distinct run from portcullis_control.reservation where place = $1 and run is not null',
      [place],
    );
    for (const { run } of pending) await settle(region, run);
    const now = performance.now();
    const again = now - readAt > READ_AGAIN_MS;
    for (const { name: job, regions, resources } of jobs) {
      for (const [name, resource] of Object.entries(resources)) {
        if (!isUnique(resource)) continue;
        const { rowCount } = await control.query(
          `select from unnest($3::text[]) r (region) where not exists (
             select from portcullis_control.reserved_region s where (s.job, s.resource, s.region) = ($1, $2, r.region))`,
          [job, name, regions],
        );
        if (again || rowCount !== 0) await readRows(region, job, name, resource, regions);
      }
    }
    if (again) readAt = now;
  };

  return { reserve, heldElsewhere: heldElsewhere.bind(null, control, place), settle, tend };
}

const ACTIVE = (Object.keys(RUN_STATES) as RunStatus[]).filter((status) => RUN_STATES[status].active);

/** The changes of a run to a resource that take or give up a value, page by page. */
async function* pages(
  region: pg.Pool | pg.PoolClient,
  run: string,
  name: string,
  resource: UniqueResource,
): AsyncGenerator<Move[]> {
  const sql = movesQuery(resource, PAGE);
  for (let from = { lane: -1, seq: 0 }; ;) {
    const { rows }: { rows: Move[] } = await region.query(sql, [run, name, from.lane, from.seq]);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    from = last;
  }
}

/** A row and the value that it has. */
interface HeldRow {
  readonly key: string;
  readonly value: string;
}

/** Reads the rows of a query page by page, in the caller's transaction or in one of its own. */
async function inCursor(
  region: pg.Pool | pg.PoolClient,
  sql: string,
  work: (rows: HeldRow[]) => Promise<void>,
): Promise<void> {
  if ('totalCount' in region) return inTransaction(region, (client) => inCursor(client, sql, work));
  await region.query(`declare portcullis_rows no scroll cursor for ${sql}`);
  for (;;) {
    const { rows } = await region.query<HeldRow>(`fetch ${PAGE} from portcullis_rows`);
    if (rows.length === 0) break;
    await work(rows);
  }
  await region.query('close portcullis_rows');
}

interface EndedRun {
  readonly job: string;
  readonly resources: Readonly<Record<string, Resource>>;
}

/**
 * A run that writes no more: it is over, and with the gate's lock had alone, no batch of it is in flight. Undefined where
 * the database knows no such run.
 */
async function whenOver(region: pg.Pool, run: string): Promise<EndedRun | undefined | 'may-write'> {
  const resources = `case when r.resources = '{}' then coalesce(p.resources, '{}') else r.resources end as resources`;
  const from =
    'from portcullis_region.run r left join portcullis_region.plan p on p.run = r.id where r.id = $1';
  const { rows } = await region.query<EndedRun & { region: string }>(
    `select r.job, r.region, ${resources} ${from}`,
    [run],
  );
  const [found] = rows;
  if (found === undefined) return undefined;
  // A run that takes nothing and gives nothing up waits for nobody.
  const moving: [string, Resource][] = [];
  for (const [name, resource] of Object.entries(found.resources)) {
    if (!isUnique(resource)) continue;
    const { rowCount } = await region.query(movesQuery(resource, 1), [run, name, -1, 0]);
    if (rowCount !== 0) moving.push([name, resource]);
  }
  if (moving.length === 0) return { job: found.job, resources: {} };
  try {
    return await inTransaction(region, async (client) => {
      await client.query(`set local lock_timeout = ${LOCK_MS}`);
      await lockGate(client, found.job, found.region, 'exclusive');
      const { rows: ended } = await client.query<EndedRun & { status: RunStatus }>(
        `select r.job, r.status, ${resources} ${from}`,
        [run],
      );
      const [row] = ended;
      return row === undefined || RUN_STATES[row.status].active ? 'may-write' : row;
    });
  } catch (error) {
    if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return 'may-write';
    throw error;
  }
}

function unavailable(why: string, cause?: unknown): PortcullisError {
  return new PortcullisError(
    'RESERVATION_UNAVAILABLE',
    `a value that is unique across regions cannot be reserved: ${why}`,
    {
      hint: 'nothing was written; the next run tries again',
      cause,
    },
  );
}
