/**
 * The package `portcullis/testing`: tests of a job against a real PostgreSQL, with any test runner. What runs is what
 * a worker runs.
 *
 * ```ts
 * const cleanup = testJob(dormantCleanup, { schema: ['schema.sql', 'sample.sql'], policy: 'flags/dormant-cleanup.yaml' });
 *
 * test('puts back what it did', cleanup(async (job) => {
 *   const run = await job.killAfter(3);
 *   await job.restoreExactly(run);
 * }));
 * ```
 */
import { readFile } from 'node:fs/promises';
import { admitInitially } from '../flags/admission-store.js';
import { setFlag } from '../flags/flag-store.js';
import { parsePolicyFile, type PolicyFile } from '../flags/policy.js';
import { applyPolicies } from '../flags/policy-store.js';
import { versionName } from '../kernel/version-named.js';
import type { Job, Kinds, Tables as Resources } from '../sdk/define-job.js';
import type { JobDefinition } from '../sdk/contract.js';
import { createLogger } from '../telemetry/log.js';
import { openDatabasePlatform, type DatabasePlatform } from '../worker/database-platform.js';
import { grantsFor } from '../worker/job-grants.js';
import { checkJob } from '../worker/registry.js';
import { jobTest, TESTER, type JobTest } from './job-test.js';
import { withServer } from './server.js';
import { withTestDatabase, type TestDatabase } from './test-database.js';

export type { BatchOptions, JobTest, PastRun } from './job-test.js';
export type { Tables, TableState } from './tables.js';
export type { CountsOf, Expected, TestRun } from './test-run.js';

/** A file, by its URL, or by its path from the working folder. */
export type SqlFile = URL | string;

/** What a job's tests stand on. */
export interface TestOptions<Clients extends object = object> {
  /** SQL that makes the tables, and then their rows: run in this order, once for all tests that have the same. */
  readonly schema: SqlFile | readonly SqlFile[];
  /** SQL that lets Portcullis' roles use the tables; absent: what the job's declaration asks for. */
  readonly grants?: SqlFile;
  /** The job's policy; absent: one without rules. */
  readonly policy?: SqlFile;
  /** Where the job runs; absent: the policy's first region. */
  readonly region?: string;
  /** What the plan asks besides the database; absent: what the job's own `clients` makes. */
  readonly clients?: Clients | (() => Clients);
  /** The plan's clock; absent: the database's. */
  readonly now?: Date | string;
}

/**
 * Makes tests of a job. What this answers turns a test's body into the function that a test runner takes; each gets
 * a database of its own, which is dropped when the body ends. The version is admitted, and the flag is on for all units.
 *
 * The server is the embedded PostgreSQL, started once and shared by all test processes of the user, or the one whose
 * URL `PORTCULLIS_TEST_SERVER` holds: a superuser's, or of a role with CREATEDB and CREATEROLE.
 */
export function testJob<R extends Resources, Of extends Kinds<R>, Clients extends object>(
  job: Job<R, Of, Clients>,
  options: TestOptions<Clients>,
): (body: (test: JobTest<R, Of>) => Promise<void>) => () => Promise<void> {
  const definition = job as unknown as JobDefinition;
  return (body) => async () => {
    const schema = [options.schema].flat() as readonly SqlFile[];
    const sql = await Promise.all(schema.map((file) => readFile(file, 'utf8')));
    const grants =
      options.grants === undefined ? grantsFor(definition) : await readFile(options.grants, 'utf8');
    const policy = await policyOf(definition, options);
    await withServer((session) =>
      withTestDatabase(session, sql, grants, (database) =>
        withJob(definition, options, policy, database, body as (test: JobTest) => Promise<void>),
      ),
    );
  };
}

/** A version as tests name it: their job's code has no digest. */
const BUILD = 'test';
const WORKERS = { worker: 8, planner: 4 };

async function policyOf({ name }: JobDefinition, options: TestOptions): Promise<PolicyFile> {
  if (options.policy !== undefined)
    return parsePolicyFile(await readFile(options.policy, 'utf8'), String(options.policy));
  if (options.region === undefined)
    throw new TypeError(`testJob(${name}): give policy, or the region to run in`);
  // In a year at the earliest: a test runs its job by hand.
  const text = JSON.stringify({ job: name, schedule: '0 0 29 2 *', regions: [options.region] });
  return parsePolicyFile(text, `the policy of ${name}`);
}

async function withJob(
  definition: JobDefinition,
  { region: named, clients, now }: TestOptions,
  file: PolicyFile,
  { owner, url }: TestDatabase,
  body: (test: JobTest) => Promise<void>,
): Promise<void> {
  const { policy } = file;
  const region = named ?? policy.regions[0] ?? '';
  const version = versionName(definition.name, definition.version, BUILD);
  await applyPolicies(owner, [file], TESTER.name);
  const reason = 'a test';
  await admitInitially(owner, { job: definition.name, version, regions: [region], reason }, TESTER);
  const variants = [{ version, permille: 1000 }];
  await setFlag(owner, {
    ...{ job: definition.name, region, enabled: true, variants, reason },
    changedBy: TESTER.name,
  });
  const job = await checkJob(owner, { definition, version });
  const made = clientsOf(definition, clients);
  let fixed = now === undefined ? undefined : new Date(now);
  const opened: DatabasePlatform[] = [];
  try {
    await body(
      jobTest({
        ...{ url, owner, job, policy, region },
        ...{ setTime: (time: Date) => (fixed = time), time: () => fixed },
        worker: async () => {
          const platform = await openDatabasePlatform(owner, url, {
            worker: `test-${opened.length + 1}`,
            clients: () => made(),
            log: createLogger({ level: 'silent' }),
            most: WORKERS,
          });
          opened.push(platform);
          return platform;
        },
      }),
    );
  } finally {
    await Promise.all(opened.map((platform) => platform.close()));
  }
}

function clientsOf(
  definition: JobDefinition,
  given: object | (() => object) | undefined,
): () => object | Promise<object> {
  let made: object | Promise<object> | undefined;
  return () =>
    (made ??=
      typeof given === 'function' ? (given as () => object)() : (given ?? definition.clients?.() ?? {}));
}
