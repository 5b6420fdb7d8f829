import { access, readFile } from 'node:fs/promises';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { InitOrder, InitReport } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { parsePolicyFile } from '../flags/policy.js';
import { DATABASE_VARIABLE } from '../flags/policy-places.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { grantsFor } from '../worker/job-grants.js';
import { chosen, declarationOf, jobFor, refused } from './init-questions.js';
import type { ColumnFacts, TableFacts } from './introspect.js';
import type { NewJob } from './new-job.js';
import * as project from './project-files.js';
import { sampleText, schemaText } from './project-schema.js';

const VARIABLE = 'PORTCULLIS_DATABASE_URL_APP';
const JOB_NAME = /^[a-z][a-z0-9-]{0,62}$/;
const EXAMPLE = 'example';

/**
 * Writes a project into the working folder: configuration, job, policy, grants, schema and rows for tests, a test,
 * Dockerfile and CI. The job is made for the tables of the database that the variable names, or where it is not set, for
 * an example's. A file that is there is kept, unless told otherwise. All is asked before the first file is written.
 * Throws USAGE_INVALID with what there is to choose.
 */
export async function initProject(config: Config, order: InitOrder): Promise<InitReport> {
  const name = await chosen(order, 'name', 'The name of the job', ['my-job'], {
    strict: false,
    fault: (answer) =>
      JOB_NAME.test(answer) ? undefined : 'a job’s name has small letters, digits and hyphens',
  });
  const variable = await variableOf(config, order);
  const url = config.regionDatabaseUrls[variable];
  const job = url === undefined ? exampleJob(name, variable) : await jobFor(url, name, variable, order);
  return write(job, url !== undefined, order.force);
}

/** The variable with the database's URL; where it is not set, the job is an example's. */
async function variableOf({ regionDatabaseUrls: set }: Config, order: InitOrder): Promise<string> {
  const { database: told, ask } = order;
  if (told !== undefined && !DATABASE_VARIABLE.test(told))
    throw refused(
      `${told} is not a name such as ${VARIABLE}`,
      'name the variable that holds your database’s URL',
    );
  if (told !== undefined && set[told] === undefined)
    throw refused(
      `${told} is not set`,
      'set it to your database’s URL, or leave --database out for an example',
    );
  if (told !== undefined) return told;
  const known = Object.keys(set).sort();
  if (ask === undefined || known.length === 0) return VARIABLE;
  const likely =
    set[VARIABLE] === undefined ? known : [VARIABLE, ...known.filter((each) => each !== VARIABLE)];
  const answer = await chosen(
    order,
    'database',
    'The variable with the URL of the database that the job is for',
    [...likely, EXAMPLE],
  );
  return answer === EXAMPLE ? unsetVariable(set) : answer;
}

/** For an example's database, whose URL nobody has set. */
function unsetVariable(set: Config['regionDatabaseUrls']): string {
  return set[VARIABLE] === undefined ? VARIABLE : 'PORTCULLIS_DATABASE_URL_EXAMPLE';
}

const column = (name: string, type: string, more: Partial<ColumnFacts> = {}): ColumnFacts => ({
  ...{ name, type, notNull: true, default: null, made: null, values: null, references: null, sequence: null },
  ...more,
});

const NO_MORE = { partitions: null, hashed: 0, secured: false, foreignKeys: [], triggers: [] };

/** For who has no database at hand: tenants with customers, of whom some are dormant. */
function exampleJob(name: string, variable: string): NewJob {
  const unit: TableFacts = {
    ...NO_MORE,
    table: 'public.tenants',
    key: ['id'],
    columns: [
      column('id', 'uuid', { default: 'gen_random_uuid()' }),
      column('name', 'text'),
      column('region', 'text'),
    ],
  };
  const table: TableFacts = {
    ...NO_MORE,
    table: 'public.customers',
    key: ['id'],
    columns: [
      column('id', 'bigint', { made: 'identity' }),
      column('tenant_id', 'uuid', { references: { table: unit.table, column: 'id' } }),
      column('region', 'text'),
      column('email', 'text'),
      column('standing', 'text', { default: "'active'::text" }),
    ],
    foreignKeys: [
      {
        ...{ columns: ['tenant_id'], table: unit.table, referenced: ['id'] },
        definition: 'foreign key (tenant_id) references public.tenants (id)',
      },
    ],
  };
  return {
    ...{ name, variable, unit, unitKey: 'id', region: 'region', table, unitColumn: 'tenant_id' },
    ...{ column: 'standing', from: 'unseen', to: 'dormant', going: [], regions: ['eu', 'us'] },
    today: { perRun: 4, perUnit: 2, percent: 50 },
    ...{ tables: [unit, table], triggered: [], further: { worker: [], secured: false } },
  };
}

async function write(job: NewJob, introspected: boolean, force: boolean): Promise<InitReport> {
  const policy = project.policyText(job);
  // Names of regions come from the database, and may be none.
  parsePolicyFile(policy, `flags/${job.name}.yaml`);
  const version = await ownVersion();
  const wanted: readonly (readonly [string, string])[] = [
    ['tsconfig.json', project.TSCONFIG],
    ['portcullis.config.ts', project.configText(job)],
    [`jobs/${job.name}/index.ts`, project.jobText(job)],
    [`flags/${job.name}.yaml`, policy],
    [
      'grants.sql',
      `-- What the job's roles need, and no more. Run after \`portcullis migrate\`, by the owner of the tables.\n${grantsFor(declarationOf(job), job.further)}`,
    ],
    ['schema.sql', schemaText(job)],
    ['sample.sql', sampleText(job)],
    [`test/${job.name}.test.ts`, project.testText(job)],
    ['Dockerfile', project.DOCKERFILE],
    ['.dockerignore', project.IGNORED],
    ['.gitignore', project.IGNORED],
    ['.github/workflows/portcullis.yml', project.CI],
  ];
  const there = await readFile('package.json', 'utf8').catch(() => undefined);
  const described = completedPackage(there, project.packageOf(job.name, version));
  const kept: string[] = [];
  const files: (readonly [string, string])[] = [];
  for (const each of wanted) {
    if (!force && (await isThere(each[0]))) kept.push(each[0]);
    else files.push(each);
  }
  if (described.text === undefined) kept.push('package.json');
  else files.push(['package.json', described.text]);
  writeAll(files);
  const completed = there !== undefined && described.text !== undefined;
  return {
    ...{ job: job.name, variable: job.variable, introspected, kept },
    written: files.map(([path]) => path).filter((path) => !completed || path !== 'package.json'),
    completed: completed ? described.added : [],
    cautions: [...described.cautions, ...cautionsOf(job)],
  };
}

function cautionsOf({ further, tables, triggered }: NewJob): string[] {
  const secured = tables.filter((each) => each.secured).map(({ table }) => table);
  return [
    ...(further.secured
      ? [
          `${secured.join(', ')}: row-level security hides rows, so grants.sql alters the job’s roles with bypassrls; a superuser must run it`,
        ]
      : []),
    ...(triggered.length > 0
      ? [`triggers write ${triggered.join(', ')}, which no restore undoes; the test leaves them out`]
      : []),
  ];
}

/**
 * All files or none: each is written beside its place, and then put there. Nothing else happens in this process
 * meanwhile; a signal waits.
 */
function writeAll(files: readonly (readonly [string, string])[]): void {
  const beside = (path: string): string => `${path}.portcullis-init`;
  const made: string[] = [];
  try {
    for (const [path, text] of files) {
      const first = mkdirSync(dirname(join(process.cwd(), path)), { recursive: true });
      if (first !== undefined) made.push(first);
      writeFileSync(beside(path), text, { flag: 'w' });
    }
    for (const [path] of files) renameSync(beside(path), path);
  } catch (error) {
    for (const [path] of files) rmSync(beside(path), { force: true });
    for (const folder of made.reverse()) rmSync(folder, { recursive: true, force: true });
    throw new PortcullisError('FILE_UNWRITABLE', `nothing was written: ${messageOf(error)}`, {
      hint: 'start init in a folder that you may write to',
      cause: error,
    });
  }
}

interface PackageFile {
  /** Undefined: it has all that is needed. */
  readonly text: string | undefined;
  readonly added: readonly string[];
  readonly cautions: readonly string[];
}

/** What `npm init` writes, and nobody means. */
const NO_TEST = /no test specified/;

/**
 * A package.json with what the project needs. \`npm install\` makes one that has dependencies alone, and \`npm init\` one
 * whose test fails: these are completed. In a package of somebody's, what is there stays. Throws FILE_UNREADABLE.
 */
function completedPackage(
  there: string | undefined,
  wanted: ReturnType<typeof project.packageOf>,
): PackageFile {
  const text = (described: object): string => `${JSON.stringify(described, null, 2)}\n`;
  if (there === undefined) return { text: text(wanted), added: [], cautions: [] };
  const found = parsedPackage(there);
  const { scripts = {}, dependencies = {}, devDependencies = {} } = found;
  const unmade = NO_TEST.test(scripts['test'] ?? '');
  const own = !unmade && Object.keys(found).some((key) => !/^(dev)?dependencies$/i.test(key));
  const described = {
    ...(own ? {} : { name: wanted.name, private: wanted.private }),
    ...found,
    ...(!own && { type: wanted.type }),
    scripts: { ...wanted.scripts, ...scripts, ...(unmade && { test: wanted.scripts.test }) },
    dependencies: { ...wanted.dependencies, ...dependencies },
    devDependencies: { ...wanted.devDependencies, ...devDependencies },
  };
  const changed = (before: object, after: object, of = ''): string[] =>
    Object.entries(after).flatMap(([key, value]) => {
      const was = (before as Record<string, unknown>)[key];
      if (typeof value === 'object' && value !== null) return changed(was ?? {}, value as object, `${key}.`);
      return was === value ? [] : [`${of}${key}`];
    });
  const added = changed(found, described);
  return {
    text: added.length === 0 ? undefined : text(described),
    added,
    cautions:
      own && found.type !== 'module'
        ? [
            `package.json has not "type": "module", which the job’s files need: set it, or start init in a folder of its own`,
          ]
        : [],
  };
}

type FoundPackage = Readonly<
  Record<'scripts' | 'dependencies' | 'devDependencies', Readonly<Record<string, string>> | undefined>
> & { readonly type?: string };

function parsedPackage(text: string): FoundPackage {
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found as FoundPackage;
  } catch {
    // Told below.
  }
  throw refused('package.json is not a JSON object', 'correct it, or start init in another folder');
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
