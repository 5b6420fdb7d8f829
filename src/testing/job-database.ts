import { readFile } from 'node:fs/promises';
import { admitInitially } from '../flags/admission-store.js';
import { setFlag } from '../flags/flag-store.js';
import type { PolicyFile } from '../flags/policy.js';
import { applyPolicies } from '../flags/policy-store.js';
import { versionName } from '../kernel/version-named.js';
import type { JobDefinition } from '../sdk/contract.js';
import { databaseTime } from '../postgres/database-clock.js';
import { createLogger } from '../telemetry/log.js';
import { openDatabasePlatform, type DatabasePlatform } from '../worker/database-platform.js';
import { grantsFor } from '../worker/job-grants.js';
import { bringsSample, fillSample } from '../worker/job-sample.js';
import { checkJob, schemaOf } from '../worker/registry.js';
import type { JobTest, SqlFile } from './contract.js';
import { jobTest, TESTER } from './job-test.js';
import { withServer } from './server.js';
import { withTestDatabase, type TestDatabase } from './test-database.js';

/** A job, and what it is tried on. */
export interface TriedJob {
  readonly definition: JobDefinition;
  readonly policy: PolicyFile;
  /** Where its flag is on. */
  readonly regions: readonly string[];
  readonly schema: readonly SqlFile[];
  /** Absent: what the job's declaration asks for. */
  readonly grants: SqlFile | undefined;
  /** The seed of the job's sample; undefined: it is not filled in. */
  readonly seed?: string | undefined;
  readonly clients?: object | (() => object) | undefined;
  /** The plan's clock; undefined: the database's. */
  readonly now?: Date | undefined;
}

/** A version as tests name it: their job's code has no digest. */
const BUILD = 'test';
const MOST_CONNECTIONS = { worker: 8, planner: 4 };

/**
 * Runs `work` with a job on a database of its own that has the schema, the policy in force, the version admitted and
 * the flags on. Throws JOB_INVALID where the declaration does not fit.
 */
export async function onTestDatabase<T>(
  tried: TriedJob,
  work: (testIn: (region: string) => JobTest) => Promise<T>,
): Promise<T> {
  const { schema, grants, definition } = tried;
  const sql = await Promise.all(schema.map((file) => readFile(file, 'utf8')));
  const granting = grants === undefined ? grantsFor(definition) : await readFile(grants, 'utf8');
  const own = schemaOf(definition);
  const brought = own ? [own] : [];
  return withServer((session) =>
    withTestDatabase(session, { sql, brought, grants: granting }, (database) =>
      withJob(tried, database, work),
    ),
  );
}

async function withJob<T>(
  { definition, policy: file, regions, clients, now, seed }: TriedJob,
  { owner, url }: TestDatabase,
  work: (testIn: (region: string) => JobTest) => Promise<T>,
): Promise<T> {
  const { policy } = file;
  const { name } = definition;
  const version = versionName(name, definition.version, BUILD);
  await applyPolicies(owner, [file], TESTER.name);
  const reason = 'a test';
  await admitInitially(owner, { job: name, version, regions, reason }, TESTER);
  const variants = [{ version, permille: 1000 }];
  for (const region of regions) {
    await setFlag(owner, { job: name, region, enabled: true, variants, reason, changedBy: TESTER.name });
  }
  const job = await checkJob(owner, { definition, version });
  if (seed !== undefined && bringsSample(definition)) {
    const context = { regions: policy.regions, seed, now: now ?? (await databaseTime(owner)) };
    await fillSample(owner, definition, context);
  }
  const made = clientsOf(definition, clients);
  let fixed = now;
  const opened: DatabasePlatform[] = [];
  const worker = async (): Promise<DatabasePlatform> => {
    const platform = await openDatabasePlatform(owner, url, {
      worker: `test-${opened.length + 1}`,
      clients: () => made(),
      log: createLogger({ level: 'silent' }),
      most: MOST_CONNECTIONS,
    });
    opened.push(platform);
    return platform;
  };
  try {
    return await work((region) =>
      jobTest({
        ...{ url, owner, job, policy, region, worker },
        ...{ setTime: (time: Date) => (fixed = time), time: () => fixed },
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
