import pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import type { ColumnFacts, TableFacts } from './introspect.js';

/** What the new job does: in rows of a table that have one value in a column, it sets another. */
export interface NewJob {
  readonly name: string;
  /** The variable that holds the database's URL. */
  readonly variable: string;
  readonly unit: TableFacts;
  /** The column of the unit's table with its region. */
  readonly region: string;
  readonly table: TableFacts;
  /** The column of the table that refers to the unit; its key where the units themselves are changed. */
  readonly unitColumn: string;
  readonly column: string;
  readonly from: string;
  readonly to: string;
  readonly regions: readonly string[];
  /** What a run would change today, at the most: in one region, for one unit, and of a region's rows in percent. */
  readonly today: { readonly perRun: number; readonly perUnit: number; readonly percent: number };
}

const name = (identifier: string): string => pg.escapeIdentifier(identifier);
const text = (value: string): string => pg.escapeLiteral(value);
/** A TypeScript string. */
const quoted = (value: string): string =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
const property = (value: string): string => (/^[A-Za-z_]\w*$/.test(value) ? value : quoted(value));

/** `customer` of `public.customers`: what its rows are called in subjects and in the journal. */
function resourceOf({ table }: TableFacts): string {
  const last = table
    .slice(table.lastIndexOf('.') + 1)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  return last.length > 1 && last.endsWith('s') ? last.slice(0, -1) : last;
}

/** `dormant`, of the value that is set. */
export function kindOf({ to }: Pick<NewJob, 'to'>): string {
  const slug = to
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return /^[a-z]/.test(slug) ? slug : `set-${slug}`.replace(/-$/, '');
}

function exportOf(job: string): string {
  return job.replace(/-+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()).replace(/^\d/, '_$&');
}

/** The column of the changed table with its row's region, where it has one of that name. */
function ownRegion({ table, region }: NewJob): string | undefined {
  return table.columns.some((column) => column.name === region) ? region : undefined;
}

export function configText(job: NewJob): string {
  return `import { defineConfig, env } from 'portcullis';
import { ${exportOf(job.name)} } from './jobs/${job.name}/index.js';

export default defineConfig({
  jobs: [${exportOf(job.name)}],
  databases: { app: { url: env('${job.variable}') } },
  // What \`portcullis check\` and \`portcullis dev\` plan on; no database of yours is asked.
  development: { schema: ['schema.sql', 'sample.sql'], grants: 'grants.sql' },
});
`;
}

export function jobText(job: NewJob): string {
  const { unit, table, column, unitColumn, region } = job;
  const resource = resourceOf(table);
  const own = ownRegion(job);
  const compares = unitColumn === table.key ? [] : [unitColumn];
  const same = unit.table === table.table;
  const from = same
    ? `from ${quoteTable(table.table)} t\n      where t.${name(region)}`
    : `from ${quoteTable(table.table)} t join ${quoteTable(unit.table)} u on u.${name(unit.key ?? '')} = t.${name(unitColumn)}\n      where u.${name(region)}`;
  const columns = [...new Set([table.key ?? '', column, ...compares])];
  return `import { defineJob, table } from 'portcullis';

/** Sets ${column} to ${JSON.stringify(job.to)} where it is ${JSON.stringify(job.from)}. Narrow the query to the rows that you mean. */
export const ${exportOf(job.name)} = defineJob({
  name: ${quoted(job.name)},
  version: '1.0.0',
  // Whom percentages are of: a share of 10 % admits a tenth of the units.
  unit: { table: ${quoted(unit.table)}, key: ${quoted(unit.key ?? '')}, region: ${quoted(region)} },
  resources: {
    ${property(resource)}: table(${quoted(table.table)}, {
      key: ${quoted(table.key ?? '')},
      changes: [${quoted(column)}],${compares.length === 0 ? '' : `\n      compares: [${compares.map(quoted).join(', ')}],`}${own === undefined ? '' : `\n      region: ${quoted(own)},`}
    }),
  },
  kinds: { ${property(kindOf(job))}: ${quoted(resource)} },
  async *plan({ rows, region, units }) {
    const found = rows\`
      select ${columns.map((each) => `t.${name(each)}${each === table.key ? '::text as row_key' : ''}`).join(', ')}${unitColumn === table.key ? '' : `, t.${name(unitColumn)}::text as row_unit`}
      ${from} = \${region} and t.${name(column)} = ${text(job.from).replaceAll('`', '\\`').replaceAll('${', '\\${')}
      order by t.${name(table.key ?? '')}\`;
    for await (const row of found) {
      const key = String(row['row_key']);
      const unit = ${unitColumn === table.key ? 'key' : `String(row['row_unit'])`};
      if (!units.has(unit)) continue;
      yield {
        kind: ${quoted(kindOf(job))},
        resource: ${quoted(resource)},
        key,
        unit,
        before: { ${[column, ...compares].map((each) => `${property(each)}: row[${quoted(each)}] ?? null`).join(', ')} },
        after: { ${property(column)}: ${quoted(job.to)} },
        evidence: {},
      };
    }
  },
});
`;
}

export function policyText(job: NewJob): string {
  const kind = kindOf(job);
  const { perRun, perUnit, percent } = capsOf(job);
  const share = ownRegion(job) === undefined ? '' : `, shareOfRegion: ${percent}%`;
  return `# When and where the job runs, and what its plans are judged by. \`portcullis flags apply\` puts it in force.
job: ${job.name}
schedule: '0 3 * * *' # UTC

regions:
${job.regions.map((region) => `  ${JSON.stringify(region)}: { database: ${job.variable} }`).join('\n')}

# A plan over any cap writes nothing. Half as much again as a run would change on the day that this was written:
# ${job.today.perRun} in a region, ${job.today.perUnit} for a unit.
guard:
  caps:
    - { kind: ${kind}, perRun: ${perRun}, perUnit: ${perUnit}${share} }
`;
}

/** Room for half as much again as today, and for the few of a small region. */
export function capsOf({ today }: Pick<NewJob, 'today'>): NewJob['today'] {
  return {
    perRun: Math.max(20, Math.ceil(today.perRun * 1.5)),
    perUnit: Math.max(10, Math.ceil(today.perUnit * 1.5)),
    percent: Math.min(100, Math.max(5, Math.ceil(today.percent * 1.5))),
  };
}

/** The tables, as far as the job needs them: keys, and foreign keys from one to the other. */
export function schemaText(job: NewJob): string {
  const tables = tablesOf(job);
  const enums = new Map(
    tables.flatMap(({ columns }) =>
      columns.flatMap(({ type, values }) => (values === null ? [] : [[type, values] as const])),
    ),
  );
  const schemas = [...new Set(tables.map(({ table }) => table.slice(0, table.indexOf('.'))))].filter(
    (schema) => schema !== 'public',
  );
  return [
    '-- The tables that the job works on, for tests. Keep it like your own; it is never run on your database.',
    ...schemas.map((schema) => `create schema ${name(schema)};`),
    ...[...enums].map(([type, values]) => `create type ${type} as enum (${values.map(text).join(', ')});`),
    ...tables.map((table) => tableText(table, tables)),
    '',
  ].join('\n\n');
}

function tablesOf({ unit, table }: NewJob): readonly TableFacts[] {
  return unit.table === table.table ? [unit] : [unit, table];
}

function tableText({ table, key, columns }: TableFacts, known: readonly TableFacts[]): string {
  const lines = columns
    .filter(({ made }) => made !== 'generated')
    .map((column) => {
      const target = column.references;
      return [
        `  ${name(column.name)} ${column.type}`,
        ...(column.made === 'identity' ? ['generated by default as identity'] : []),
        ...(column.default === null ? [] : [`default ${column.default}`]),
        ...(column.name === key ? ['primary key'] : column.notNull ? ['not null'] : []),
        ...(target !== null && known.some((each) => each.table === target.table)
          ? [`references ${quoteTable(target.table)} (${name(target.column)})`]
          : []),
      ].join(' ');
    });
  return `create table ${quoteTable(table)} (\n${lines.join(',\n')}\n);`;
}

const UNITS = 2;
const ROWS = 4;

/** How many changes the sample leads to in a region. */
export function sampleChanges(job: NewJob): number {
  return UNITS * (job.unit.table === job.table.table ? 1 : ROWS / 2);
}

/** A few units in each region, each with rows of which half have the value that the job looks for. */
export function sampleText(job: NewJob): string {
  const { unit, table, region, column, unitColumn, from, to, regions } = job;
  const same = unit.table === table.table;
  const units = insertText(
    unit,
    { [region]: 'r.region', ...(same && { [column]: text(from) }) },
    `unnest(array[${regions.map(text).join(', ')}]) with ordinality r (region, m), generate_series(1, ${UNITS}) k`,
    `((r.m - 1) * ${UNITS} + k)`,
  );
  const more = same
    ? []
    : [
        insertText(
          table,
          {
            [unitColumn]: `u.${name(unit.key ?? '')}`,
            [column]: `case when k % 2 = 0 then ${text(from)} else ${text(to)} end::${typeOf(table, column)}`,
            ...(ownRegion(job) !== undefined && { [region]: `u.${name(region)}` }),
          },
          `(select *, row_number() over () as m from ${quoteTable(unit.table)}) u, generate_series(1, ${ROWS}) k`,
          `((u.m - 1) * ${ROWS} + k)`,
        ),
      ];
  return ['-- Rows to plan on, made up.', units, ...more, ''].join('\n\n');
}

function typeOf({ columns }: TableFacts, column: string): string {
  return columns.find((each) => each.name === column)?.type ?? 'text';
}

/** Inserts rows; \`n\` is a number that no two of them have. */
function insertText(
  { table, key, columns }: TableFacts,
  given: Readonly<Record<string, string>>,
  source: string,
  n: string,
): string {
  const set = columns.flatMap((column): [string, string][] => {
    const value = given[column.name] ?? madeUp(column, n, column.name === key);
    return value === undefined ? [] : [[name(column.name), value]];
  });
  return `insert into ${quoteTable(table)} (${set.map(([each]) => each).join(', ')})\nselect ${set.map(([, value]) => value).join(', ')}\nfrom ${source}\norder by ${n};`;
}

/** A value for a column that needs one; undefined where the database has one. */
function madeUp(column: ColumnFacts, n: string, isKey: boolean): string | undefined {
  const { type, notNull, default: given, made, values } = column;
  if (made !== null || given !== null || (!notNull && !isKey)) return undefined;
  if (values !== null) return `${text(values[0] ?? '')}::${type}`;
  if (/^(text|character|citext|"char")/.test(type)) return `${text(`${column.name}-`)} || ${n}`;
  if (/^(smallint|integer|bigint|numeric|real|double)/.test(type)) return n;
  if (type === 'uuid') return 'gen_random_uuid()';
  if (type === 'boolean') return 'false';
  if (/^(timestamp|date|time)/.test(type)) return `now()::${type}`;
  if (type.endsWith('[]')) return `'{}'::${type}`;
  if (/^jsonb?$/.test(type)) return `'{}'::${type}`;
  return `${n}::text::${type}`;
}

export function testText(job: NewJob): string {
  const n = sampleChanges(job);
  const kind = property(kindOf(job));
  return `import { test } from 'node:test';
import { testJob } from 'portcullis/testing';
import { ${exportOf(job.name)} } from '../jobs/${job.name}/index.js';

const onSample = testJob(${exportOf(job.name)}, {
  schema: ['schema.sql', 'sample.sql'],
  grants: 'grants.sql',
  policy: 'flags/${job.name}.yaml',
});

test(
  'changes what it means to change, and a restore brings every row back',
  onSample(async (job) => {
    const run = await job.run();
    run.expect({ status: 'succeeded', planned: { ${kind}: ${n} }, applied: { ${kind}: ${n} } });
    await job.restoreExactly(run);
  }),
);

test(
  'can be killed at any batch',
  onSample(async (job) => {
    const run = await job.killAfter(1);
    run.expect({ status: 'killed', applied: { ${kind}: 1 } });
    await job.restoreExactly(run);
  }),
);
`;
}

export const TSCONFIG = `{
  "compilerOptions": {
    "target": "ES2023",
    "lib": ["ES2023"],
    "module": "NodeNext",
    "moduleResolution": "NodeNext",
    "types": ["node"],
    "strict": true,
    "noEmit": true
  },
  "include": ["portcullis.config.ts", "jobs", "test"]
}
`;

export function packageText(job: string, version: string): string {
  const description = {
    name: job,
    private: true,
    type: 'module',
    scripts: {
      check: 'portcullis check',
      test: 'node --import portcullis/typescript --test test/*.test.ts',
      build: 'portcullis build --out dist',
    },
    dependencies: { portcullis: version },
    devDependencies: { '@types/node': '20.19.43', typescript: '6.0.3' },
  };
  return `${JSON.stringify(description, null, 2)}\n`;
}

export const DOCKERFILE = `# A worker: docker build -t my-jobs . && docker run --env PORTCULLIS_DATABASE_URL=… my-jobs
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json* ./
RUN npm install --omit=dev --no-audit --no-fund
COPY . .
RUN npx portcullis build --out dist

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist
COPY flags ./flags
USER node
ENTRYPOINT ["npx", "portcullis"]
CMD ["worker", "--config", "dist/portcullis.config.js"]
`;

export const CI = `name: portcullis
on: [push, pull_request]
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with: { node-version: 24 }
      - run: npm install
      - run: npx portcullis check
      - run: npm test
`;
