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
import { parsePolicyFile, type PolicyFile } from '../flags/policy.js';
import type { JobDefinition } from '../sdk/contract.js';
import type { Job, Kinds, Tables as Resources } from '../sdk/define-job.js';
import type { JobTest, SqlFile } from './contract.js';
import { onTestDatabase, type TriedJob } from './job-database.js';

export type {
  BatchOptions,
  CountsOf,
  Expected,
  JobTest,
  PastRun,
  ProposedChange,
  SqlFile,
  Tables,
  TableState,
  TestRun,
} from './contract.js';

/** What a job's tests stand on. */
export interface TestOptions<Clients extends object = object> {
  /** SQL that makes the tables, and then their rows: run in this order, once for all tests that have the same. */
  readonly schema: SqlFile | readonly SqlFile[];
  /** Whether the tables are filled with the job's own sample, of this seed if it is a text. */
  readonly sample?: boolean | string;
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
  const { region, now, clients } = options;
  return (body) => async () => {
    const file = await policyOf(definition, options);
    const found = region ?? file.policy.regions[0] ?? '';
    const tried: TriedJob = {
      ...{
        definition,
        policy: file,
        regions: [found],
        clients,
        now: now === undefined ? undefined : new Date(now),
      },
      ...{ schema: [options.schema].flat(), grants: options.grants, seed: seedOf(definition, options) },
    };
    await onTestDatabase(tried, (testIn) => body(testIn(found) as unknown as JobTest<R, Of>));
  };
}

function seedOf(
  { name, sample }: JobDefinition,
  { sample: wanted = false }: TestOptions,
): string | undefined {
  if (wanted === false) return undefined;
  if (sample === undefined) throw new TypeError(`testJob(${name}): the job declares no sample`);
  return wanted === true ? name : wanted;
}

async function policyOf({ name }: JobDefinition, { policy, region }: TestOptions): Promise<PolicyFile> {
  if (policy !== undefined) return parsePolicyFile(await readFile(policy, 'utf8'), String(policy));
  if (region === undefined) throw new TypeError(`testJob(${name}): give policy, or the region to run in`);
  // A test runs its job by hand.
  const text = JSON.stringify({ job: name, schedule: '0 0 29 2 *', regions: [region] });
  return parsePolicyFile(text, `the policy of ${name}`);
}
