import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { JobSchema } from '../postgres/migrate.js';
import { versionName } from '../kernel/version-named.js';
import { shapeOf, type Shape } from '../journal/shape.js';
import type { JobDefinition } from '../sdk/contract.js';
import { digestOf } from './job-digest.js';
import { jobFaults, readCatalogue, type JobRoles } from './job-faults.js';

/** A job and the folder of its code, as `app.ts` lists them. */
export interface InstalledJob {
  readonly definition: JobDefinition;
  readonly folder: URL;
  /** What identifies the build, as CI says; in place of the digest of the code. */
  readonly build?: string | undefined;
}

/** A job and its version, whatever the databases say. */
export interface KnownJob {
  readonly definition: JobDefinition;
  /** With the digest: `1.0.0_9f3c2a1b`. */
  readonly version: string;
}

/** A job that can run: its resources are checked against the database. */
export interface LoadedJob extends KnownJob {
  readonly shapes: ReadonlyMap<string, Shape>;
  /** The resource of each kind of change. */
  readonly kinds: ReadonlyMap<string, Shape>;
}

/** The kinds of change that each job may propose. */
export function kindsOfJobs(jobs: readonly KnownJob[]): ReadonlyMap<string, readonly string[]> {
  return new Map(jobs.map(({ definition: { name, kinds } }) => [name, Object.keys(kinds)]));
}

const SCHEMA = /^(?!pg_|portcullis|public$|information_schema$)[a-z_][a-z0-9_]{0,62}$/;

/** The tables that a job brings; undefined where it brings none. Throws JOB_INVALID. */
export function schemaOf({ name, migrations }: JobDefinition): JobSchema | undefined {
  if (migrations === undefined) return undefined;
  const { folder, schemas } = migrations;
  const odd = schemas.find((each) => !SCHEMA.test(each));
  const fault =
    schemas.length === 0
      ? 'name no schema'
      : odd !== undefined
        ? `name the schema ${JSON.stringify(odd)}, which a job cannot make; use small letters, digits and _, and not public, pg_… or portcullis…`
        : !(folder instanceof URL) || folder.protocol !== 'file:' || !folder.pathname.endsWith('/')
          ? `are not in a folder such as new URL('./migrations/', import.meta.url)`
          : undefined;
  if (fault === undefined) return { job: name, folder, schemas };
  throw new PortcullisError('JOB_INVALID', `${name}: its migrations ${fault}`, {
    hint: 'correct the job’s declaration',
    details: { job: name },
  });
}

/** The schemas in which the job's tables are: on these a policy's invariants find tables by their names alone. */
export function schemasOf({ migrations, unit, resources }: JobDefinition): readonly string[] {
  const tables = [unit, ...Object.values(resources)].map(({ table }) => table);
  return [
    ...new Set([
      ...(migrations?.schemas ?? []),
      ...tables.map((table) => table.slice(0, table.indexOf('.'))),
    ]),
  ];
}

/** Installed jobs with their versions. Throws JOB_INVALID. */
export function knownJobs(installed: readonly InstalledJob[]): Promise<KnownJob[]> {
  return Promise.all(
    installed.map(async (job) => ({ definition: job.definition, version: await versionOf(job) })),
  );
}

/** The full version of an installed job. Throws JOB_INVALID. */
export async function versionOf({ definition, folder, build }: InstalledJob): Promise<string> {
  return versionName(definition.name, definition.version, build ?? (await digestOf(folder)));
}

/** Loads an installed job: see {@link checkJob}. */
export async function loadJob(pool: pg.Pool, { definition, ...installed }: InstalledJob): Promise<LoadedJob> {
  return checkJob(pool, { definition, version: await versionOf({ definition, ...installed }) });
}

/**
 * Checks a job against a database. Throws JOB_INVALID with everything in which its declaration does not fit the database
 * or itself, or its tables would not let it be exact. `roles` are those of logins that a DBA gave.
 */
export async function checkJob(
  pool: pg.Pool,
  { definition, version }: KnownJob,
  roles: JobRoles = {},
): Promise<LoadedJob> {
  const catalogue = await readCatalogue(pool, definition, roles);
  const faults = jobFaults(definition, catalogue);
  if (faults.length > 0) {
    throw new PortcullisError('JOB_INVALID', `${definition.name}: ${faults.join('; ')}`, {
      hint: 'correct the job’s declaration, or migrate the database',
      details: { faults },
    });
  }
  const shapes = new Map<string, Shape>();
  for (const [name, resource] of Object.entries(definition.resources))
    shapes.set(name, shapeOf(name, resource, catalogue.tables));
  const kinds = new Map<string, Shape>();
  for (const [kind, resource] of Object.entries(definition.kinds)) {
    const shape = shapes.get(resource);
    if (shape) kinds.set(kind, shape);
  }
  return { definition, version, shapes, kinds };
}
