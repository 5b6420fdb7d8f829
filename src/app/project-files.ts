import pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import { cascadesOf, kindOf, resourceOf, type NewJob } from './new-job.js';
import { sampleChanges } from './project-schema.js';

const name = (identifier: string): string => pg.escapeIdentifier(identifier);
const text = (value: string): string => pg.escapeLiteral(value);
/** A TypeScript string. */
const quoted = (value: string): string =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
const property = (value: string): string => (/^[A-Za-z_]\w*$/.test(value) ? value : quoted(value));

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
  const { unit, unitKey, table, column, unitColumn, region, to } = job;
  const resource = resourceOf(table);
  const kind = kindOf(job);
  const same = unit.table === table.table;
  const from = same
    ? `from ${quoteTable(table.table)} t\n      where t.${name(region)}`
    : `from ${quoteTable(table.table)} t join ${quoteTable(unit.table)} u on u.${name(unitKey)} = t.${name(unitColumn)}\n      where u.${name(region)}`;
  const where = `t.${name(column)} = ${text(job.from).replaceAll('`', '\\`').replaceAll('${', '\\${')}`;
  const order = table.key.map((each) => `t.${name(each)}`).join(', ');
  const what =
    to === null
      ? `Deletes rows of ${table.table} whose ${column} is ${JSON.stringify(job.from)}.`
      : `Sets ${column} to ${JSON.stringify(to)} where it is ${JSON.stringify(job.from)}.`;
  return `import { defineJob, table } from 'portcullis';

/** ${what} Narrow the query to the rows that you mean. */
export const ${exportOf(job.name)} = defineJob({
  name: ${quoted(job.name)},
  version: '1.0.0',
  // Whom percentages are of: a share of 10 % admits a tenth of the units.
  unit: { table: ${quoted(unit.table)}, key: ${quoted(unitKey)}, region: ${quoted(region)} },
  resources: {
    ${property(resource)}: table(${quoted(table.table)}, {
${declared(job)
  .map((line) => `      ${line},\n`)
  .join('')}    }),
  },
  kinds: { ${property(kind)}: ${quoted(resource)} },
  async *plan({ rows, region, units }) {
    const found = rows\`
      select ${selected(job).join(', ')}
      ${from} = \${region} and ${where}
      order by ${order}\`;
    for await (const ${rowOf(job)} of found) {
${changeLines(job, resource, kind)
  .map((line) => `      ${line}\n`)
  .join('')}    }
  },
});
`;
}

/** The columns that a change compares besides the one that it sets. */
function comparedOf({ table, unitColumn }: NewJob): string[] {
  return table.key.includes(unitColumn) ? [] : [unitColumn];
}

function list(names: readonly string[]): string {
  return `[${names.map(quoted).join(', ')}]`;
}

function declared(job: NewJob): string[] {
  const { table, column, to } = job;
  const [first = '', ...more] = table.key;
  const compares = comparedOf(job);
  const own = ownRegion(job);
  return [
    `key: ${more.length === 0 ? quoted(first) : list(table.key)}`,
    ...(to === null ? ['deletes: true'] : [`changes: ${list([column])}`]),
    ...(to !== null && compares.length > 0 ? [`compares: ${list(compares)}`] : []),
    ...(cascadesOf(job).length > 0 ? [`cascades: ${list(cascadesOf(job))}`] : []),
    ...(own === undefined ? [] : [`region: ${quoted(own)}`]),
  ];
}

/** What the query gives besides the row's own columns: texts that name row and unit. */
function aliases({ table, unitColumn, to }: NewJob): string[] {
  const single = table.key.length === 1;
  return to === null
    ? []
    : [...(single ? ['row_key'] : []), ...(single && unitColumn === table.key[0] ? [] : ['row_unit'])];
}

function selected(job: NewJob): string[] {
  const { table, column, unitColumn, to } = job;
  // A column that the database computes is no part of what is compared and put back.
  const given = table.columns.filter(({ made }) => made !== 'generated');
  if (to === null)
    return given.length === table.columns.length ? ['t.*'] : given.map((each) => `t.${name(each.name)}`);
  const texts = aliases(job).map((each) => {
    const of = each === 'row_key' ? (table.key[0] ?? '') : unitColumn;
    return `t.${name(of)}::text as ${each}`;
  });
  const parts = table.key.length === 1 ? [] : table.key;
  const columns = [...new Set([...parts, column, ...comparedOf(job)])].map((each) => `t.${name(each)}`);
  return [...texts, ...columns];
}

/** What a row of the query is called: of one that is deleted, all but its key is what it was before. */
function rowOf({ table, to }: NewJob): string {
  if (to !== null) return 'row';
  const parts = table.key.map((each, at) => `${property(each)}: ${partOf(table, at)}`);
  return `{ ${parts.join(', ')}, ...before }`;
}

function partOf({ key }: NewJob['table'], at: number): string {
  return key.length === 1 ? 'id' : `key${at + 1}`;
}

function changeLines(job: NewJob, resource: string, kind: string): string[] {
  const { table, column, unitColumn, to } = job;
  const single = table.key.length === 1;
  const part = (at: number): string =>
    to === null ? partOf(table, at) : `row[${quoted(table.key[at] ?? '')}]`;
  const own = table.key.indexOf(unitColumn);
  const unit =
    single && own === 0
      ? 'key'
      : to !== null
        ? `String(row['row_unit'])`
        : `String(${own === -1 ? `before[${quoted(unitColumn)}]` : part(own)})`;
  const key = single
    ? `String(${to === null ? part(0) : `row['row_key']`})`
    : `[${table.key.map((_, at) => `${part(at)} ?? null`).join(', ')}] as const`;
  const before = [column, ...comparedOf(job)].map(
    (each) => `${property(each)}: row[${quoted(each)}] ?? null`,
  );
  return [
    `const key = ${key};`,
    `const unit = ${unit};`,
    'if (!units.has(unit)) continue;',
    'yield {',
    `  kind: ${quoted(kind)},`,
    `  resource: ${quoted(resource)},`,
    '  key,',
    '  unit,',
    to === null ? '  before,' : `  before: { ${before.join(', ')} },`,
    `  after: ${to === null ? 'null' : `{ ${property(column)}: ${quoted(to)} }`},`,
    '  evidence: {},',
    '};',
  ];
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
# ${job.today.perRun} in a region, ${job.today.perUnit} for a unit${job.going.length === 0 ? '' : ', with the rows that go with deleted ones'}.
guard:
  caps:
    - { kind: ${kind}, perRun: ${perRun}, perUnit: ${perUnit}${share} }
`;
}

/** Room for half as much again as today, and for the few of a small region; what goes with deleted rows counts too. */
export function capsOf({ today, going }: Pick<NewJob, 'today' | 'going'>): NewJob['today'] {
  const each = 1 + going.length;
  return {
    perRun: Math.max(20, 8 * each, Math.ceil(today.perRun * 1.5)),
    perUnit: Math.max(10, 4 * each, Math.ceil(today.perUnit * 1.5)),
    percent: Math.min(100, Math.max(5, Math.ceil(today.percent * 1.5))),
  };
}

export function testText(job: NewJob): string {
  const n = sampleChanges(job);
  const kind = property(kindOf(job));
  const except = job.triggered.length === 0 ? '' : `, { except: ${list(job.triggered)} }`;
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
    await job.restoreExactly(run${except});
  }),
);

test(
  'can be killed at any batch',
  onSample(async (job) => {
    const run = await job.killAfter(1);
    run.expect({ status: 'killed', applied: { ${kind}: 1 } });
    await job.restoreExactly(run${except});
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

export function packageOf(job: string, version: string) {
  return {
    name: job,
    private: true,
    type: 'module',
    scripts: {
      check: 'portcullis check',
      test: 'node --import portcullis/typescript --test test/*.test.ts',
      types: 'tsc -p .',
      build: 'portcullis build --out dist',
    },
    dependencies: { portcullis: version },
    devDependencies: { '@types/node': '20.19.43', typescript: '6.0.3' },
  };
}

/** What neither an image nor a repository takes from this folder. */
export const IGNORED = `node_modules
dist
.portcullis
.git
*.log
`;

export const DOCKERFILE = `# A worker. It needs the databases' addresses as variables: docker run --env PORTCULLIS_DATABASE_URL --env … IMAGE
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json* ./
RUN npm install --omit=dev --no-audit --no-fund
COPY . .
RUN npx portcullis build --out dist

FROM node:24-slim
ENV NODE_ENV=production PORTCULLIS_CONFIG=/app/dist/portcullis.config.js PORTCULLIS_HOME=/var/lib/portcullis
RUN install -d -o node -g node -m 700 /var/lib/portcullis
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist
COPY flags ./flags
USER node
# Not through npx: what stops the container reaches the program itself.
ENTRYPOINT ["/app/node_modules/.bin/portcullis"]
CMD ["worker"]
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
      - run: npm run types
      - run: npm run check
      - run: npm test
`;
