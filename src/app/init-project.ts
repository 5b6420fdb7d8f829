import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import type { InitOrder, InitReport } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { parsePolicyFile } from '../flags/policy.js';
import { DATABASE_VARIABLE } from '../flags/policy-places.js';
import { quoteTable } from '../journal/shape.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { listOf } from '../kernel/words.js';
import { openPool } from '../postgres/pool.js';
import { grantsFor } from '../worker/job-grants.js';
import { readTableFacts, type ColumnFacts, type TableFacts } from './introspect.js';
import * as project from './project-files.js';

const VARIABLE = 'PORTCULLIS_DATABASE_URL_APP';
const JOB_NAME = /^[a-z][a-z0-9-]{0,62}$/;
/** The most regions of a database that a policy begins with. */
const MOST_REGIONS = 20;

/**
 * Writes a project into the working folder: configuration, job, policy, grants, schema and rows for tests, a test,
 * Dockerfile and CI. The job is made for the tables of the database that the variable names, or where it is not set, for
 * an example's. A file that is there is kept, unless told otherwise. Throws USAGE_INVALID with what there is to choose.
 */
export async function initProject(config: Config, order: InitOrder): Promise<InitReport> {
  const variable = order.database ?? VARIABLE;
  if (!DATABASE_VARIABLE.test(variable))
    throw refused(
      `${variable} is not a name such as ${VARIABLE}`,
      'name the variable that holds your database’s URL',
    );
  const url = config.regionDatabaseUrls[variable];
  if (url === undefined && order.database !== undefined)
    throw refused(
      `${variable} is not set`,
      'set it to your database’s URL, or leave --database out for an example',
    );
  const name = await chosen(order, 'name', 'The name of the job', ['my-job']);
  if (!JOB_NAME.test(name))
    throw refused(`${JSON.stringify(name)} is not a job’s name`, 'use small letters, digits and hyphens');
  const job = await (url === undefined ? exampleJob(name, variable) : jobFor(url, name, variable, order));
  return write(job, url !== undefined, order.force);
}

function refused(message: string, hint: string): PortcullisError {
  return new PortcullisError('USAGE_INVALID', message, { hint });
}

const QUESTIONS = {
  name: '--name',
  unit: '--unit',
  region: '--region',
  table: '--table',
  column: '--column',
  from: '--from',
  to: '--to',
} as const;

/** What was told, what a person says, or what is likely: the first option. `strict`: it must be one of them. */
async function chosen(
  order: InitOrder,
  what: keyof typeof QUESTIONS,
  question: string,
  options: readonly string[],
  strict = false,
): Promise<string> {
  const [likely] = options;
  const told = order[what];
  const answer = told ?? (await order.ask?.(question, likely ?? '', strict ? options : [])) ?? likely;
  if (answer === undefined || answer === '') {
    throw refused(`${question}: nothing to choose from`, `say it with ${QUESTIONS[what]}`);
  }
  if (!strict || options.includes(answer)) return answer;
  const meant = nearest(answer, options);
  throw refused(
    `${QUESTIONS[what]} ${answer}: there is no such choice`,
    `${meant === undefined ? '' : `did you mean ${meant}? `}there is ${listOf(options.filter((_, at) => at < 20))}`,
  );
}

const SET_BY_HAND = /^(text|character|integer|smallint|boolean)/;

async function jobFor(
  url: string,
  name: string,
  variable: string,
  order: InitOrder,
): Promise<project.NewJob> {
  const database = openPool(url, { name: 'init', max: 1, readOnly: true });
  try {
    const tables = (await readTableFacts(database)).filter(({ key }) => key !== null);
    const find = (wanted: string): TableFacts => {
      const found = tables.find(({ table }) => table === wanted);
      if (found === undefined) throw new Error(`there is no table ${wanted}`);
      return found;
    };
    const named = (given: string | undefined): string | undefined =>
      given === undefined || given.includes('.') ? given : `public.${given}`;
    const asked = { ...order, unit: named(order.unit), table: named(order.table) };
    const unit = find(
      await chosen(asked, 'unit', 'The table of your units (tenants, teams)', unitsFirst(tables), true),
    );
    const region = await chosen(
      asked,
      'region',
      `The column of ${unit.table} with a unit’s region`,
      regionsFirst(unit),
      true,
    );
    const changeable = tables.filter(
      (each) => each.table === unit.table || refersTo(each, unit) !== undefined,
    );
    const table = find(
      await chosen(
        asked,
        'table',
        'The table whose rows the job changes',
        changedFirst(changeable, unit),
        true,
      ),
    );
    const column = await chosen(
      asked,
      'column',
      `The column of ${table.table} that it sets`,
      columnsFirst(table, region),
      true,
    );
    const values = await valuesOf(database, table, column);
    const from = await chosen(asked, 'from', `It looks for rows whose ${column} is`, values);
    const to = await chosen(
      asked,
      'to',
      `and sets ${column} to`,
      values.filter((value) => value !== from),
    );
    const unitColumn = table.table === unit.table ? (unit.key ?? '') : (refersTo(table, unit) ?? '');
    const regions = await textsOf(
      database,
      `select ${pg.escapeIdentifier(region)}::text as text from ${quoteTable(unit.table)}
       where ${pg.escapeIdentifier(region)} is not null group by 1 order by count(*) desc, 1 limit ${MOST_REGIONS}`,
    );
    const job = {
      ...{ name, variable, unit, region, table, unitColumn, column, from, to },
      regions: regions.length === 0 ? ['eu'] : regions,
      today: { perRun: 0, perUnit: 0, percent: 0 },
    };
    return { ...job, today: await countsToday(database, job) };
  } finally {
    await database.end();
  }
}

function refersTo({ columns }: TableFacts, unit: TableFacts): string | undefined {
  return columns.find(({ references }) => references?.table === unit.table && references.column === unit.key)
    ?.name;
}

/** What is likely comes first. */
function sorted<T>(items: readonly T[], likely: (item: T) => number): T[] {
  return [...items].sort((one, other) => likely(other) - likely(one));
}

function unitsFirst(tables: readonly TableFacts[]): string[] {
  const regional = tables.filter((table) => regionsFirst(table).length > 0);
  const likely = (table: TableFacts): number =>
    tables.filter((each) => refersTo(each, table) !== undefined).length +
    (/tenant|account|customer|workspace|team/i.test(table.table) ? 1 : 0) +
    (regionsFirst(table).some((column) => /region/i.test(column)) ? 10 : 0) -
    (table.columns.some(({ references }) => references !== null) ? 20 : 0);
  return sorted(regional, likely).map(({ table }) => table);
}

function regionsFirst({ columns, key }: TableFacts): string[] {
  const texts = columns.filter(
    ({ type, values, name }) => name !== key && (values !== null || /^(text|character)/.test(type)),
  );
  return sorted(texts, ({ name }) =>
    /region/i.test(name) ? 2 : /location|zone|country/i.test(name) ? 1 : 0,
  ).map(({ name }) => name);
}

function changedFirst(tables: readonly TableFacts[], unit: TableFacts): string[] {
  const likely = ({ table, columns }: TableFacts): number =>
    (columns.some(isState) ? 2 : 0) + (table === unit.table ? 0 : 1);
  return sorted(tables, likely).map(({ table }) => table);
}

function isState({ name, values }: ColumnFacts): boolean {
  return values !== null || /status|state|standing|active/i.test(name);
}

function columnsFirst({ columns, key }: TableFacts, region: string): string[] {
  const settable = columns.filter(
    ({ name, type, values, made, references }) =>
      name !== key &&
      name !== region &&
      made === null &&
      references === null &&
      (values !== null || SET_BY_HAND.test(type)),
  );
  return sorted(settable, (column) => (isState(column) ? 1 : 0)).map(({ name }) => name);
}

/** An enum's values, or the most frequent ones. */
async function valuesOf(
  database: pg.Pool,
  { table, columns }: TableFacts,
  column: string,
): Promise<string[]> {
  const values = columns.find(({ name }) => name === column)?.values;
  if (values) return [...values];
  return textsOf(
    database,
    `select ${pg.escapeIdentifier(column)}::text as text from ${quoteTable(table)}
     where ${pg.escapeIdentifier(column)} is not null group by 1 order by count(*) desc, 1 limit 20`,
  );
}

async function textsOf(database: pg.Pool, sql: string): Promise<string[]> {
  return (await database.query<{ text: string }>(sql)).rows.map(({ text }) => text);
}

async function countsToday(database: pg.Pool, job: project.NewJob): Promise<project.NewJob['today']> {
  const { unit, table, unitColumn, column, region, from } = job;
  const { rows } = await database.query<project.NewJob['today']>(
    `with found as (
       select u.${pg.escapeIdentifier(region)} as region, u.${pg.escapeIdentifier(unit.key ?? '')} as unit,
         count(*) as n, count(*) filter (where t.${pg.escapeIdentifier(column)}::text = $1) as planned
       from ${quoteTable(table.table)} t
       join ${quoteTable(unit.table)} u on u.${pg.escapeIdentifier(unit.key ?? '')} = t.${pg.escapeIdentifier(unitColumn)}
       group by 1, 2)
     select coalesce(max(r.planned), 0)::int as "perRun", coalesce(max(r.most), 0)::int as "perUnit",
       coalesce(ceil(max(100.0 * r.planned / r.n)), 0)::int as percent
     from (select sum(planned) as planned, max(planned) as most, sum(n) as n from found group by region) r`,
    [from],
  );
  return rows[0] ?? { perRun: 0, perUnit: 0, percent: 0 };
}

const column = (name: string, type: string, more: Partial<ColumnFacts> = {}): ColumnFacts => ({
  ...{ name, type, notNull: true, default: null, made: null, values: null, references: null },
  ...more,
});

/** For who has no database at hand: tenants with customers, of whom some are dormant. */
function exampleJob(name: string, variable: string): Promise<project.NewJob> {
  const unit: TableFacts = {
    table: 'public.tenants',
    key: 'id',
    columns: [
      column('id', 'uuid', { default: 'gen_random_uuid()' }),
      column('name', 'text'),
      column('region', 'text'),
    ],
  };
  const table: TableFacts = {
    table: 'public.customers',
    key: 'id',
    columns: [
      column('id', 'bigint', { made: 'identity' }),
      column('tenant_id', 'uuid', { references: { table: unit.table, column: 'id' } }),
      column('region', 'text'),
      column('email', 'text'),
      column('standing', 'text', { default: "'active'::text" }),
    ],
  };
  return Promise.resolve({
    ...{ name, variable, unit, region: 'region', table, unitColumn: 'tenant_id', column: 'standing' },
    ...{
      from: 'unseen',
      to: 'dormant',
      regions: ['eu', 'us'],
      today: { perRun: 4, perUnit: 2, percent: 50 },
    },
  });
}

async function write(job: project.NewJob, introspected: boolean, force: boolean): Promise<InitReport> {
  const policy = project.policyText(job);
  // Names of regions come from the database, and may be none.
  parsePolicyFile(policy, `flags/${job.name}.yaml`);
  const changes = [job.column];
  const grants = grantsFor({
    unit: { table: job.unit.table, key: job.unit.key ?? '', region: job.region },
    resources: { changed: { table: job.table.table, key: job.table.key ?? '', changes } },
  });
  const files: readonly (readonly [string, string])[] = [
    ['package.json', project.packageText(job.name, await ownVersion())],
    ['tsconfig.json', project.TSCONFIG],
    ['portcullis.config.ts', project.configText(job)],
    [`jobs/${job.name}/index.ts`, project.jobText(job)],
    [`flags/${job.name}.yaml`, policy],
    [
      'grants.sql',
      `-- What the job's roles need, and no more. Run after \`portcullis migrate\`, by the owner of the tables.\n${grants}`,
    ],
    ['schema.sql', project.schemaText(job)],
    ['sample.sql', project.sampleText(job)],
    [`test/${job.name}.test.ts`, project.testText(job)],
    ['Dockerfile', project.DOCKERFILE],
    ['.github/workflows/portcullis.yml', project.CI],
  ];
  const written: string[] = [];
  const kept: string[] = [];
  for (const [path, text] of files) {
    const place = join(process.cwd(), path);
    if (!force && (await isThere(place))) {
      kept.push(path);
      continue;
    }
    await mkdir(dirname(place), { recursive: true });
    await writeFile(place, text).catch((error: unknown) => {
      throw new PortcullisError('FILE_UNWRITABLE', `${path}: ${messageOf(error)}`, {
        hint: 'start init in a folder that you may write to',
        cause: error,
      });
    });
    written.push(path);
  }
  return { job: job.name, variable: job.variable, introspected, written, kept };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
