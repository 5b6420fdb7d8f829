import { afterAll, afterEach, beforeEach } from '@jest/globals';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import type { JobDefinition } from '../../src/sdk/contract.js';
import { readRestored } from '../../src/worker/restore-plan-phase.js';
import { previewRestores, restoreRuns, type RestoreReport } from '../../src/worker/restore-runs.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { restoreConflicts, type RestoreConflict } from '../../src/journal/restore-preview.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from './accounts.js';
import { testDatabase, type TestDatabase } from './database.js';
import { loadTestJob, testPlatform, testPolicy, type TestPlatform } from './platform.js';

export const database: TestDatabase = await testDatabase();
export const platform: TestPlatform = testPlatform(database);
export const VERSION = '1.0.0_00000000';
export const pace = { leaseMs: 20_000, batch: 30 };
afterAll(() => platform.planner.close());
afterEach(() => onFaultPoint(undefined));

/** Each test works in a region of its own. */
export let region = '';
let regions = 0;
beforeEach(async () => {
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(database.owner, region, 10, 20);
  platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
});

export async function run(
  definition: JobDefinition = claimEverything('claims'),
  signal = new AbortController().signal,
  where = region,
  dryRun = false,
): Promise<RunReport> {
  const job = await loadTestJob(platform, definition);
  const policy = testPolicy('claims', [where]);
  const election = await elect(platform.region, {
    ...{ job: 'claims', version: job.version, region: where, trigger: 'manual' },
    ...{ worker: platform.worker, leaseMs: policy.leaseMs, dryRun },
  });
  if (!election.elected) throw new Error(election.why);
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('the run was given up');
  return report;
}

export async function restore(...ids: string[]): Promise<RestoreReport[]> {
  const { signal } = new AbortController();
  return restoreRuns(platform, ids, { signal, paceOf: () => pace });
}

export async function restoreOnly(id: string): Promise<RestoreReport> {
  const [report] = await restore(id);
  if (!report) throw new Error('nothing was restored');
  return report;
}

export async function preview(id: string): Promise<Record<string, number>> {
  const [first] = await previewRestores(platform.region, [id]);
  const {
    applied = -1,
    alreadyRestored = -1,
    restorable = -1,
    asBefore = -1,
    conflicts = -1,
  } = first?.preview ?? {};
  return { applied, alreadyRestored, restorable, asBefore, conflicts };
}

export async function conflicts(id: string): Promise<RestoreConflict[]> {
  const found: RestoreConflict[] = [];
  for await (const conflict of restoreConflicts(platform.region, id, await readRestored(platform.region, id)))
    found.push(conflict);
  return found;
}

/** Every column of every row of the region, as PostgreSQL writes it. */
export async function checksum(): Promise<string> {
  const { rows } = await database.owner.query<{ sum: string }>(
    `select md5(string_agg(a::text, '|' order by id)) as sum from directory.account a where home_region = $1`,
    [region],
  );
  return rows[0]?.sum ?? '';
}

export async function sql(text: string): Promise<void> {
  await database.owner.query(text.replaceAll('REGION', region));
}
