import { PortcullisError, messageOf } from '../../base/errors.js';
import { formatDurationMs } from '../../base/duration.js';
import { countOf } from '../../base/words.js';
import type { PlannerDatabase } from '../../jobs/contract.js';
import { askPlanes, type PlaneAnswers } from '../../planes/ask-planes.js';
import type { RegionPlane } from '../../planes/region-plane.js';
import type { Check, Finding, Patient } from './check.js';
import { unreachableFinding } from './planes.js';

type Found = Omit<Finding, 'check'>;

/** PostgreSQL's number of the least version: 14.0. */
const LEAST_POSTGRES = 140_000;

/** A clock that is off by more than the first is worth knowing; by more than the second, slots go wrong. */
const SKEW_NOTED_MS = 1_000;
const SKEW_WRONG_MS = 30_000;

export const databaseVersion: Check<Patient> = {
  name: 'database',
  examine: async ({ installation }) => {
    const { rows } = await installation.control.query<{ version: string; number: number }>(
      `select current_setting('server_version') as version, current_setting('server_version_num')::integer as number`,
    );
    const { version = '?', number = 0 } = rows[0] ?? {};
    if (number >= LEAST_POSTGRES)
      return [{ mark: 'ok', found: `PostgreSQL ${version} at ${installation.database}` }];
    return [
      {
        mark: 'fail',
        found: `PostgreSQL ${version} at ${installation.database} is older than 14`,
        mend: 'move to PostgreSQL 14 or newer, or leave PORTCULLIS_DATABASE_URL out to use the embedded one',
      },
    ];
  },
};

/** Opening migrates, and refuses a database that it can't bring to this program's schema. */
export const migrations: Check<Patient> = {
  name: 'migrations',
  examine: async ({ installation }) => {
    const { rows } = await installation.control.query<{ name: string }>(
      'select name from portcullis_store.migration order by ran_at, name',
    );
    const newest = rows.at(-1)?.name ?? 'none';
    return [{ mark: 'ok', found: `current: ${countOf(rows.length, 'migration')} ran, ${newest} last` }];
  },
};

export const clock: Check<Patient> = {
  name: 'clock',
  examine: async ({ installation }) => {
    const { answers, unreachable } = await askPlanes(installation.planes, async ({ worker }) => {
      // The first query may have to connect; the second is timed.
      await worker.query('select 1');
      const askedAt = Date.now();
      const { rows } = await worker.query<{ now: Date }>('select clock_timestamp() as now');
      const answeredAt = Date.now();
      const theirs = rows[0]?.now.getTime() ?? Number.NaN;
      return clockFinding(theirs - (askedAt + answeredAt) / 2, (answeredAt - askedAt) / 2);
    });
    return [...namedByPlane(answers), ...unreachable.map(unreachableFinding)];
  },
};

/** `aheadMs`: how far the database's clock is ahead of this machine's; it was read to within `errorMs`. */
export function clockFinding(aheadMs: number, errorMs: number): Omit<Finding, 'check'> {
  const skewMs = Math.max(0, Math.abs(aheadMs) - errorMs);
  const found = `the database's clock is ${formatDurationMs(Math.abs(aheadMs))} ${aheadMs < 0 ? 'behind' : 'ahead of'} this machine's`;
  const mend =
    'set both clocks by NTP: slots come due by this machine, permits and leases end by the database';
  if (Number.isNaN(aheadMs) || skewMs >= SKEW_WRONG_MS) return { mark: 'fail', found, mend };
  return skewMs >= SKEW_NOTED_MS ? { mark: 'warn', found, mend } : { mark: 'ok', found };
}

/** Tables that no job's planner may ever write. */
const WRITABLE = `
  select format('%I.%I', schemaname, tablename) as "table"
  from pg_tables
  where schemaname in ('directory', 'portcullis_region', 'portcullis_control', 'portcullis_store')
    and has_schema_privilege(schemaname, 'usage')
    and has_table_privilege(format('%I.%I', schemaname, tablename), 'insert, update, delete, truncate')
  order by 1`;

export const planner: Check<Patient> = {
  name: 'planner',
  examine: async ({ installation: { planes, jobs } }) => {
    const tables = jobs.flatMap((job) => [...job.shapes.values()].map((shape) => shape.table));
    const { answers, unreachable } = await askPlanes(planes, (plane) => plannerFinding(plane, tables));
    return [...namedByPlane(answers), ...unreachable.map(unreachableFinding)];
  },
};

async function plannerFinding({ planner }: RegionPlane, tables: readonly string[]): Promise<Found> {
  const writable: string[] = [];
  for await (const row of planner.rows(WRITABLE)) writable.push(String(row['table']));
  const wrote: string[] = [];
  for (const table of new Set(tables)) {
    if (await mayDelete(planner, table)) wrote.push(table);
  }
  const open = [...new Set([...writable, ...wrote])];
  if (open.length === 0) return { mark: 'ok', found: 'its login tried to write, and was refused' };
  return {
    mark: 'fail',
    found: `the planner's login may write ${open.join(', ')}: a job could get around the gate`,
    mend: "revoke insert, update, delete and truncate on these from the planner's role and from public",
  };
}

/** What was found of each region database, with its name where there are several. */
function namedByPlane(answers: PlaneAnswers<Found>['answers']): Found[] {
  return answers.map(({ plane: { name }, answer }) =>
    answers.length === 1 ? answer : { ...answer, found: `${name}: ${answer.found}` },
  );
}

/** Tries a statement that writes no row whoever runs it, and that only a login which may write gets through. */
async function mayDelete(planner: PlannerDatabase, table: string): Promise<boolean> {
  try {
    const rows = planner.rows(`delete from ${table} where false`)[Symbol.asyncIterator]();
    await rows.next();
    return true;
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'PLAN_WROTE') return false;
    throw new Error(`cannot tell whether the planner may write ${table}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
