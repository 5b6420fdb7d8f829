import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { listOf } from '../kernel/words.js';
import { DATABASE_VARIABLE } from '../flags/policy-places.js';
import type { JobDefinition } from '../sdk/contract.js';
import { isConfig, variableOf, type ConfigDefinition, type DevelopmentConfig } from '../sdk/define-config.js';
import { isJob } from '../sdk/define-job.js';
import { digestBuiltFrom, readBuildRecord } from './build-record.js';
import { ownModules } from '../worker/job-code.js';
import type { InstalledJob } from '../worker/registry.js';

const KEYS: ReadonlySet<string> = new Set([
  'jobs',
  'databases',
  'development',
] satisfies (keyof ConfigDefinition)[]);
const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

type Env = Readonly<Record<string, string | undefined>>;

/** A configuration file that was loaded. */
export interface ConfigFile {
  /** Its absolute path. */
  readonly file: string;
  readonly definition: ConfigDefinition;
  readonly jobs: readonly InstalledJob[];
}

/**
 * Loads a configuration file: runs it, and so the jobs' code; TypeScript as it stands. Throws CONFIG_INVALID with
 * everything that is wrong with the file, and with the environment that it names; `env` null: that is not asked.
 */
export async function loadConfigFile(
  given: string,
  build: string | undefined,
  env: Env | null = process.env,
): Promise<ConfigFile> {
  const file = resolve(given);
  if (!existsSync(file)) throw invalid(file, ['there is no such file']);
  const config = (await modulesOf(file))['default'];
  if (!isConfig(config)) {
    throw invalid(file, ['its default export is not what defineConfig({ jobs: […] }) answers']);
  }
  const faults = faultsOf(config, env);
  if (faults.length > 0) throw invalid(file, faults);
  const places = await foldersOf(file, config.jobs);
  const record = await readBuildRecord(file);
  const jobs: InstalledJob[] = [];
  for (const definition of config.jobs) {
    const place = places.get(definition);
    if (place !== undefined) {
      const folder = pathToFileURL(`${place}/`);
      jobs.push({
        ...{ definition, folder },
        build: build ?? (await digestBuiltFrom(record, definition.name, folder)),
      });
      continue;
    }
    throw new PortcullisError('JOB_INVALID', `${file}: where ${definition.name} is defined cannot be told`, {
      hint: `export it from a file of a folder of its own, such as jobs/${definition.name}/index.ts, and import that`,
      details: { job: definition.name },
    });
  }
  return { file, definition: config, jobs };
}

/** The jobs that a configuration file lists, with the folder of each: see {@link loadConfigFile}. */
export async function jobsOfFile(
  given: string,
  build: string | undefined,
  env: Env = process.env,
): Promise<readonly InstalledJob[]> {
  return (await loadConfigFile(given, build, env)).jobs;
}

function invalid(file: string, faults: readonly string[], cause?: unknown): PortcullisError {
  return new PortcullisError('CONFIG_INVALID', faults.map((fault) => `${file}: ${fault}`).join('\n'), {
    hint: 'correct the configuration file, or the environment variables that it names',
    details: { file, faults },
    cause,
  });
}

function faultsOf({ jobs, databases, development, ...others }: ConfigDefinition, env: Env | null): string[] {
  const faults = Object.keys(others)
    .filter((key) => !KEYS.has(key))
    .map((key) => `it has ${key}, which is not known; there is ${listOf([...KEYS])}`);
  if (!Array.isArray(jobs)) faults.push('jobs is not a list');
  else faults.push(...faultsOfJobs(jobs as readonly unknown[]));
  for (const [name, database] of Object.entries(databases ?? {})) {
    const variable = variableOf((database as { url?: unknown } | null)?.url);
    const fault =
      variable === undefined
        ? `its url is not env('PORTCULLIS_DATABASE_URL_…'): an address does not stand in a file`
        : faultOfVariable(variable, env);
    if (fault !== undefined) faults.push(`database ${name}: ${fault}`);
  }
  if (development !== undefined) faults.push(...faultsOfDevelopment(development));
  return faults;
}

function faultsOfDevelopment({ schema, grants }: Readonly<Partial<DevelopmentConfig>>): string[] {
  const files = [schema].flat() as unknown[];
  return [
    ...(files.every((file) => typeof file === 'string' && file !== '')
      ? []
      : ["development.schema is not the path of a file, such as 'schema.sql', or a list of them"]),
    ...(grants === undefined || typeof grants === 'string'
      ? []
      : ['development.grants is not the path of a file']),
  ];
}

function faultOfVariable(variable: string, env: Env | null): string | undefined {
  if (!DATABASE_VARIABLE.test(variable)) {
    return `${variable} is not a name such as PORTCULLIS_DATABASE_URL_CRM, by which policies and a kill find it`;
  }
  if (env === null) return undefined;
  const value = env[variable];
  if (value === undefined || value === '') return `${variable} is not set`;
  return /^postgres(ql)?:\/\//.test(value) ? undefined : `${variable} is not a postgresql:// URL`;
}

function faultsOfJobs(jobs: readonly unknown[]): string[] {
  const names = jobs.map((job) => (isJob(job) ? job.name : undefined));
  return jobs.flatMap((job, at) => {
    if (!isJob(job)) return [`jobs[${at}] is not what defineJob answers`];
    if (!NAME.test(job.name)) return [`jobs[${at}]: ${JSON.stringify(job.name)} is not a job's name`];
    return names.indexOf(job.name) === at ? [] : [`jobs[${at}]: there is another job ${job.name}`];
  });
}

/** Imports a file, TypeScript too. Throws CONFIG_INVALID with what it threw. */
async function modulesOf(file: string): Promise<Readonly<Record<string, unknown>>> {
  // From then on, this process loads TypeScript.
  await import('./typescript.js');
  try {
    return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw invalid(file, [`it cannot be loaded: ${messageOf(error)}`], error);
  }
}

/**
 * The folder in which each job is defined: that of the module which exports it, and not of those which pass it on. A
 * job that stands in the configuration's own folder has none: every file beside it would be part of its version.
 */
async function foldersOf(
  file: string,
  jobs: readonly JobDefinition[],
): Promise<ReadonlyMap<JobDefinition, string>> {
  const graph = await ownModules(file);
  const exporters = new Map<JobDefinition, string[]>(jobs.map((job) => [job, []]));
  for (const path of graph.keys()) {
    if (path === file) continue;
    for (const value of Object.values(await modulesOf(path))) {
      if (isJob(value)) exporters.get(value)?.push(path);
    }
  }
  const folders = new Map<JobDefinition, string>();
  for (const [job, paths] of exporters) {
    const defines = paths.find(
      (path) => !paths.some((other) => other !== path && reaches(graph, path, other)),
    );
    if (defines !== undefined && dirname(defines) !== dirname(file)) folders.set(job, dirname(defines));
  }
  return folders;
}

function reaches(graph: ReadonlyMap<string, readonly string[]>, from: string, to: string): boolean {
  const seen = new Set<string>();
  const pending = [from];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next === to) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    pending.push(...(graph.get(next) ?? []));
  }
  return false;
}
