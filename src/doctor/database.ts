import { PortcullisError, messageOf } from '../kernel/errors.js';
import { policiesInForce } from '../flags/policy-store.js';
import { quoteTable } from '../journal/shape.js';
import type { JobDefinition, PlannerDatabase } from '../sdk/contract.js';
import { queryRegions, type RegionAnswers } from '../regions/query-regions.js';
import type { RegionDatabase } from '../regions/region-database.js';
import { SKEW_NOTED_MS, readSkew, skewText } from '../postgres/database-clock.js';
import { unreachableFindings, type Check, type Found, type Patient } from './patient.js';

/** PostgreSQL's number of the least version: 14.0. */
const LEAST_POSTGRES = 140_000;

export const databaseVersion: Check<Patient> = {
  name: 'database',
  examine: async ({ control, address }) => {
    const { rows } = await control.query<{ version: string; number: number }>(
      `select current_setting('server_version') as version, current_setting('server_version_num')::integer as number`,
    );
    const { version = '?', number = 0 } = rows[0] ?? {};
    const which = `PostgreSQL ${version}${address === undefined ? '' : ` at ${address}`}`;
    if (number >= LEAST_POSTGRES) return [{ mark: 'ok', found: which }];
    return [
      {
        mark: 'fail',
        found: `${which} is older than 14`,
        hint: 'move to PostgreSQL 14 or newer, or leave PORTCULLIS_DATABASE_URL out to use the embedded one',
      },
    ];
  },
};

export const clock: Check<Patient> = {
  name: 'clock',
  examine: async (patient) => {
    const { answers, unreachable } = await queryRegions(patient.regionDatabases, async ({ worker }) => {
      // The first query may have to connect; the second is timed.
      await worker.query('select 1');
      const { skewMs } = await readSkew(worker);
      return clockFinding(skewMs);
    });
    return [...namedByDatabase(answers), ...unreachableFindings(patient, unreachable)];
  },
};

export function clockFinding(skewMs: number): Found {
  const found = skewText(skewMs);
  if (Math.abs(skewMs) < SKEW_NOTED_MS) return { mark: 'ok', found };
  const hint =
    "synchronise both clocks by NTP: the database's clock decides what is due, but this machine's stands in its logs";
  return { mark: 'warn', found, hint };
}

/** Tables that no job's planner may ever write. */
const WRITABLE = `
  select format('%I.%I', schemaname, tablename) as "table"
  from pg_tables
  where (schemaname in ('portcullis_region', 'portcullis_control', 'portcullis_store') or schemaname = any ($1))
    and has_schema_privilege(schemaname, 'usage')
    and has_table_privilege(format('%I.%I', schemaname, tablename), 'insert, update, delete, truncate')
  order by 1`;

export const planner: Check<Patient> = {
  name: 'planner',
  examine: async (patient) => {
    const jobsOn = await jobsByDatabase(patient);
    const { answers, unreachable } = await queryRegions(patient.regionDatabases, (regionDatabase) =>
      plannerFinding(
        regionDatabase,
        jobsOn(regionDatabase).map(({ definition }) => definition),
      ),
    );
    return [...namedByDatabase(answers), ...unreachableFindings(patient, unreachable)];
  },
};

/** Whether each job's tables let it be exact. */
export const tables: Check<Patient> = {
  name: 'tables',
  examine: async (patient) => {
    const { regionDatabases } = patient;
    const jobsOn = await jobsByDatabase(patient);
    const { answers, unreachable } = await queryRegions(regionDatabases, (regionDatabase) =>
      tablesFinding(
        regionDatabase,
        jobsOn(regionDatabase).map(({ definition: { name } }) => name),
      ),
    );
    return [...namedByDatabase(answers), ...unreachableFindings(patient, unreachable)];
  },
};

/** The jobs of this program whose policies have regions in a database: another one may have none of their tables. */
async function jobsByDatabase({
  control,
  regionDatabases,
  jobs,
}: Patient): Promise<(regionDatabase: RegionDatabase) => Patient['jobs']> {
  const policies = await policiesInForce(control);
  return (regionDatabase) =>
    jobs.filter(({ definition: { name } }) =>
      policies.some(
        ({ job, regions }) => job === name && regions.some((at) => regionDatabases.of(at) === regionDatabase),
      ),
    );
}

async function tablesFinding(regionDatabase: RegionDatabase, jobs: readonly string[]): Promise<Found> {
  const faults: string[] = [];
  for (const name of jobs) {
    await regionDatabase.job(name).catch((error: unknown) => {
      if (!(error instanceof PortcullisError) || error.code !== 'JOB_INVALID') throw error;
      faults.push(error.message);
    });
  }
  if (faults.length > 0)
    return {
      mark: 'fail',
      found: faults.join('; '),
      hint: 'correct the job’s declaration, or migrate the database: docs/guide/own-job.md',
    };
  return {
    mark: 'ok',
    found: jobs.length === 0 ? 'no job runs here' : `the tables of ${jobs.join(', ')} are as declared`,
  };
}

async function plannerFinding({ planner }: RegionDatabase, jobs: readonly JobDefinition[]): Promise<Found> {
  const tables = jobs
    .flatMap(({ resources }) => Object.values(resources))
    .map(({ table }) => quoteTable(table));
  const writable: string[] = [];
  const made = jobs.flatMap(({ migrations }) => migrations?.schemas ?? []);
  for await (const row of planner.rows(WRITABLE, [made])) writable.push(String(row['table']));
  const wrote: string[] = [];
  for (const table of new Set(tables)) {
    if (await mayDelete(planner, table)) wrote.push(table);
  }
  const open = [...new Set([...writable, ...wrote])];
  if (open.length === 0) return { mark: 'ok', found: 'its login tried to write, and was refused' };
  return {
    mark: 'fail',
    found: `the planner's login may write ${open.join(', ')}: a job could get around the gate`,
    hint: "revoke insert, update, delete and truncate on these from the planner's role and from public",
  };
}

/** What was found of each region database, with its name where there are several. */
function namedByDatabase(answers: RegionAnswers<Found>['answers']): Found[] {
  return answers.map(({ regionDatabase: { name }, answer }) =>
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
