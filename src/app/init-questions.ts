import pg from 'pg';
import type { InitOrder } from '../cli/app-port.js';
import { branchesOf } from '../journal/branches.js';
import { readFacts } from '../journal/catalogue.js';
import type { Resource } from '../journal/change.js';
import { unquoted } from '../journal/declaration-faults.js';
import { quoteTable } from '../journal/shape.js';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { listOf } from '../kernel/words.js';
import { openPool } from '../postgres/pool.js';
import { jobFaults, type JobCatalogue } from '../worker/job-faults.js';
import { readTableFacts, type ColumnFacts, type TableFacts } from './introspect.js';
import { cascadesOf, kindOf, type Going, type NewJob } from './new-job.js';
import { triggerNeeds } from './trigger-needs.js';

/** The most regions of a database that a policy begins with. */
const MOST_REGIONS = 20;
/** Foreign keys can lead on and on; a job may declare no more ways than this either. */
const MOST_TABLES = 64;

export function refused(message: string, hint: string): PortcullisError {
  return new PortcullisError('USAGE_INVALID', message, { hint });
}

const OPTIONS = {
  name: '--name',
  database: '--database',
  unit: '--unit',
  region: '--region',
  table: '--table',
  unitColumn: '--unit-column',
  action: '--action',
  column: '--column',
  from: '--from',
  to: '--to',
} as const;

/**
 * What was told, what a person says, or what is likely: the first option. `strict`: it must be one of them; a person is
 * asked again until it is. Throws USAGE_INVALID, also where the person has gone.
 */
export async function chosen(
  order: InitOrder,
  what: keyof typeof OPTIONS,
  question: string,
  options: readonly string[],
  {
    strict = true,
    fault = () => undefined,
  }: { strict?: boolean; fault?: (answer: string) => string | undefined } = {},
): Promise<string> {
  const [likely] = options;
  const told = order[what];
  const wrong = (answer: string): string | undefined => {
    if (answer === '') return 'a value is needed';
    if (!strict || options.includes(answer)) return fault(answer);
    const meant = nearest(answer, options) ?? nearestBare(answer, options);
    return `there is no such choice; ${meant === undefined ? '' : `did you mean ${meant}? `}there is ${listOf(options.filter((_, at) => at < 20))}`;
  };
  if (order.ask === undefined || told !== undefined) {
    const answer = told ?? likely;
    if (answer === undefined || answer === '')
      throw refused(`${question}: nothing to choose from`, `say it with ${OPTIONS[what]}`);
    const found = withSchema(answer, options, strict);
    const why = wrong(found);
    if (why === undefined) return found;
    throw refused(
      `${told === undefined ? question : OPTIONS[what]} ${answer}: ${why}`,
      `correct ${OPTIONS[what]}`,
    );
  }
  for (let why: string | undefined; ;) {
    const said = await order.ask(question, likely ?? '', strict ? options : [], why);
    if (said === undefined)
      throw refused(
        'the input has ended before the last question; nothing was written',
        'give the rest as options, or --yes to take what is likely',
      );
    const answer = withSchema(said, options, strict);
    why = wrong(answer);
    if (why === undefined) return answer;
  }
}

function nearestBare(answer: string, options: readonly string[]): string | undefined {
  const bare = new Map(options.map((each) => [each.slice(each.lastIndexOf('.') + 1), each]));
  return bare.get(nearest(answer, bare.keys()) ?? '');
}

/** `customers` is `public.customers`, or the one table of that name. */
function withSchema(answer: string, options: readonly string[], strict: boolean): string {
  if (!strict || options.includes(answer)) return answer;
  const same = options.filter((each) => each.endsWith(`.${answer}`));
  return (
    same.find((each) => each === `public.${answer}`) ?? (same.length === 1 ? (same[0] ?? answer) : answer)
  );
}

/** A job for the tables of a database, as a person or the options of the command want it. Writes nothing. */
export async function jobFor(url: string, name: string, variable: string, order: InitOrder): Promise<NewJob> {
  const database = openPool(url, { name: 'init', max: 1, readOnly: true });
  try {
    return await jobOn(database, name, variable, order);
  } finally {
    await database.end();
  }
}

async function jobOn(database: pg.Pool, name: string, variable: string, order: InitOrder): Promise<NewJob> {
  const all = await readTableFacts(database);
  const tables = all.filter(({ key }) => key.length > 0);
  const find = (wanted: string): TableFacts => {
    const found = all.find(({ table }) => table === wanted);
    if (found === undefined) throw new Error(`there is no table ${wanted}`);
    return found;
  };
  const ask = (
    what: keyof typeof OPTIONS,
    question: string,
    options: readonly string[],
    strict = true,
  ): Promise<string> => chosen(order, what, question, options, { strict });
  const unit = find(await ask('unit', 'The table of your units (tenants, teams)', unitsFirst(tables)));
  const unitKey = unit.key[0] ?? '';
  const region = await ask('region', `The column of ${unit.table} with a unit’s region`, regionsFirst(unit));
  const changeable = tables.filter((each) => each.table === unit.table || refersTo(each, unit).length > 0);
  const table = find(
    await ask('table', 'The table whose rows the job changes or deletes', changedFirst(changeable, unit)),
  );
  const unitColumns = table.table === unit.table ? [unitKey] : refersTo(table, unit);
  const unitColumn =
    unitColumns.length === 1 && order.unitColumn === undefined
      ? (unitColumns[0] ?? '')
      : await ask('unitColumn', `The column of ${table.table} with its unit`, unitColumns);
  const action = await ask('action', 'What it does with a row: set a column, or delete it', [
    'set',
    'delete',
  ]);
  const column = await ask(
    'column',
    action === 'set'
      ? `The column of ${table.table} that it sets`
      : `The column of ${table.table} that it looks at`,
    columnsFirst(table, region, unitColumn),
  );
  const values = await valuesOf(database, table, column);
  const from = await ask('from', `It looks for rows whose ${column} is`, values, false);
  const others = values.filter((value) => value !== from);
  const to = action === 'delete' ? null : await ask('to', `and sets ${column} to`, others, false);
  const regions = await textsOf(
    database,
    `select ${pg.escapeIdentifier(region)}::text as text from ${quoteTable(unit.table)}
     where ${pg.escapeIdentifier(region)} is not null group by 1 order by count(*) desc, 1 limit ${MOST_REGIONS}`,
  );
  const going = to === null ? await goingWith(database, table.table) : [];
  const chosenTables = [unit, table, ...going.map((each) => find(each.table))];
  const needs = triggerNeeds(chosenTables, all);
  const job: NewJob = {
    ...{ name, variable, unit, unitKey, region, table, unitColumn, column, from, to, going },
    regions: regions.length === 0 ? ['eu'] : regions,
    today: { perRun: 0, perUnit: 0, percent: 0 },
    tables: [...new Set([...chosenTables, ...needs.tables])],
    triggered: needs.written,
    further: { worker: needs.worker, secured: chosenTables.some(({ secured }) => secured) },
  };
  await requireExact(database, job);
  return { ...job, today: await countsToday(database, job) };
}

/** What the job declares, as far as the platform's rules ask. */
export function declarationOf(job: NewJob): Parameters<typeof jobFaults>[0] {
  const { table, column, to, unit, unitKey, region } = job;
  const [first = '', second, ...more] = table.key;
  const key = second === undefined ? first : ([first, second, ...more] as const);
  const cascades = cascadesOf(job);
  const resource: Resource = {
    ...{ table: table.table, key, changes: to === null ? [] : [column] },
    ...(to === null && { deletes: true, ...(cascades.length > 0 && { cascades }) }),
  };
  return {
    ...{ name: job.name, version: '1.0.0', unit: { table: unit.table, key: unitKey, region } },
    ...{ resources: { rows: resource }, kinds: { [kindOf(job)]: 'rows' } },
    plan: () => {
      throw new Error('it is only declared');
    },
  };
}

/** Throws USAGE_INVALID with what would keep the job from being exact on these tables. */
async function requireExact(database: pg.Pool, job: NewJob): Promise<void> {
  const declaration = declarationOf(job);
  const names = [job.unit.table, job.table.table, ...job.going.map(({ table }) => table)];
  const catalogue: JobCatalogue = {
    tables: await readFacts(database, names.map(quoteTable)),
    ...{ hidden: new Map(), uses: new Map(), missing: [] },
  };
  const faults = jobFaults(declaration, catalogue).map((fault) => fault.replace('resource rows', 'table'));
  if (faults.length > 0)
    throw refused(
      `a job on these tables could not be restored exactly: ${faults.join('; ')}`,
      'change the table, or choose another; nothing was written',
    );
}

/** Everything that goes with the rows of a table when they are deleted, down to the last. */
async function goingWith(database: pg.Pool, table: string): Promise<Going[]> {
  const own = quoteTable(table);
  const facts = await readFacts(database, [own]);
  const cascades = new Set<string>();
  for (let last = [...facts.values()]; last.length > 0 && facts.size <= MOST_TABLES;) {
    const next = last.flatMap(({ cascading }) => cascading.filter(({ onDelete }) => onDelete !== null));
    for (const each of next) cascades.add(unquoted(each.table));
    const asked = [...new Set(next.map((each) => quoteTable(unquoted(each.table))))];
    const read = await readFacts(
      database,
      asked.filter((each) => !facts.has(each)),
    );
    for (const [name, found] of read) facts.set(name, found);
    last = [...read.values()];
  }
  const top = facts.get(own);
  if (top === undefined) return [];
  const { branches } = branchesOf(
    { table, key: '', changes: [], deletes: true, cascades: [...cascades] },
    facts,
    top,
  );
  return branches.map((branch) => ({
    table: unquoted(branch.table),
    columns: branch.columns.map((column) => column.name),
    with: branch.on === undefined ? table : unquoted(branch.on.table),
    referenced: branch.referenced,
  }));
}

const SET_BY_HAND = /^(text|character|integer|smallint|bigint|boolean)/;

/** The columns of a table that name a unit: by a foreign key, or by their name and type. */
function refersTo({ columns }: TableFacts, unit: TableFacts): string[] {
  const [key = ''] = unit.key;
  const type = unit.columns.find(({ name }) => name === key)?.type;
  const last = unit.table.slice(unit.table.lastIndexOf('.') + 1);
  const named = new Set([
    `${last}_${key}`,
    `${last.replace(/s$/, '')}_${key}`,
    `${last.replace(/ies$/, 'y')}_${key}`,
  ]);
  const referring = columns.filter(
    ({ references }) => references?.table === unit.table && references.column === key,
  );
  const found =
    referring.length > 0 ? referring : columns.filter((each) => named.has(each.name) && each.type === type);
  return found.map(({ name }) => name);
}

/** What is likely comes first. */
function sorted<T>(items: readonly T[], likely: (item: T) => number): T[] {
  return [...items].sort((one, other) => likely(other) - likely(one));
}

function unitsFirst(tables: readonly TableFacts[]): string[] {
  const regional = tables.filter((table) => table.key.length === 1 && regionsFirst(table).length > 0);
  const likely = (table: TableFacts): number =>
    tables.filter((each) => each !== table && refersTo(each, table).length > 0).length +
    (/tenant|account|customer|workspace|team/i.test(table.table) ? 1 : 0) +
    (regionsFirst(table).some((column) => /region/i.test(column)) ? 10 : 0) -
    (table.columns.some(({ references }) => references !== null) ? 20 : 0);
  return sorted(regional, likely).map(({ table }) => table);
}

function regionsFirst({ columns, key }: TableFacts): string[] {
  const texts = columns.filter(
    ({ type, values, name }) => !key.includes(name) && (values !== null || /^(text|character)/.test(type)),
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

function columnsFirst({ columns, key }: TableFacts, ...but: readonly string[]): string[] {
  const settable = columns.filter(
    ({ name, type, values, made, references }) =>
      !key.includes(name) &&
      !but.includes(name) &&
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

/** How much a run would change today, with what goes with deleted rows: rows that go in two ways are counted twice. */
async function countsToday(database: pg.Pool, job: NewJob): Promise<NewJob['today']> {
  const { unit, unitKey, table, unitColumn, column, region, from, going } = job;
  const q = (name: string): string => pg.escapeIdentifier(name);
  const base = `${quoteTable(table.table)} t join ${quoteTable(unit.table)} u on u.${q(unitKey)} = t.${q(unitColumn)}`;
  const joined = (each: Going, alias: string, parent: string): string =>
    ` join ${quoteTable(each.table)} ${alias} on ${each.columns.map((name, at) => `${alias}.${q(name)} = ${parent}.${q(each.referenced[at] ?? '')}`).join(' and ')}`;
  const path = (each: Going, depth: number): string => {
    if (each.with === table.table) return joined(each, `g${depth}`, 't');
    const on = going.find((other) => other.table === each.with && other.with !== each.with);
    return on === undefined ? '' : `${path(on, depth + 1)}${joined(each, `g${depth}`, `g${depth + 1}`)}`;
  };
  const gone = going
    .filter((each) => each.table !== each.with)
    .map(
      (each) => `union all select u.${q(region)}, u.${q(unitKey)}, 0, count(*), 0
        from ${base}${path(each, 0)} where t.${q(column)}::text = $1 group by 1, 2`,
    );
  const { rows } = await database.query<NewJob['today']>(
    `with found (region, unit, n, planned, own) as (
       select u.${q(region)}, u.${q(unitKey)}, count(*), count(*) filter (where t.${q(column)}::text = $1),
         count(*) filter (where t.${q(column)}::text = $1)
       from ${base} group by 1, 2 ${gone.join(' ')}
     ), by_unit as (
       select region, unit, sum(n) as n, sum(planned) as planned, sum(own) as own from found group by 1, 2)
     select coalesce(max(r.planned), 0)::int as "perRun", coalesce(max(r.most), 0)::int as "perUnit",
       coalesce(ceil(max(100.0 * r.own / r.n)), 0)::int as percent
     from (select sum(planned) as planned, max(planned) as most, sum(own) as own, sum(n) as n from by_unit group by region) r`,
    [from],
  );
  return rows[0] ?? { perRun: 0, perUnit: 0, percent: 0 };
}
