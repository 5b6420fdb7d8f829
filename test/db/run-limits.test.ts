import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { JobDefinition } from '../../src/sdk/contract.js';
import type { Phase } from '../../src/worker/phase-limits.js';
import { RESTORE_PACE } from '../../src/worker/restore-run.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

/** A phase that exceeds its limit ends the run, however much progress it makes. */

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

let region = '';
let regions = 0;
beforeEach(async () => {
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(owner, region, 5, 4);
});
const { signal } = new AbortController();

async function run(definition: JobDefinition, limits: Partial<Record<Phase, number>> = {}) {
  const job = await loadTestJob(platform, definition);
  platform.flags.open('claims', region, { version: job.version, permille: 1000 });
  const policy = testPolicy('claims', [region], { apply: { lanes: 1, batch: 1, firstBatches: [] } });
  const election = await elect(platform.region, {
    ...{
      job: 'claims',
      version: job.version,
      region,
      trigger: 'manual',
      worker: 'w',
      leaseMs: policy.leaseMs,
    },
  });
  if (!election.elected) throw new Error(election.why);
  return executeRun({ ...platform, limits }, job, policy, election.run, 'planning', { signal });
}

const managed = async (): Promise<number> =>
  (
    await owner.query<{ n: number }>(
      `select count(*) as n from directory.account where home_region = $1 and state = 'MANAGED'`,
      [region],
    )
  ).rows[0]?.n ?? -1;

describe('a run whose phase takes longer than its limit', () => {
  test('of planning ends as failed and has written nothing; the next one goes through', async () => {
    // Rows come all the time, and never end.
    const endless = claimEverything('claims', async function* ({ rows: read }, claims) {
      for (;;) for await (const row of read('select pg_sleep(0.01)')) expect(row).toBeDefined();
      yield* claims;
    });
    expect(await run(endless, { plan: 300 })).toMatchObject({
      ...{ status: 'failed', code: 'time-limit', applied: {} },
      reason: 'phase "plan" took longer than its limit of 300 ms',
    });
    expect(await managed()).toBe(0);
    expect(await run(claimEverything('claims'))).toMatchObject({ status: 'succeeded' });
  });

  test('of applying ends as stopped with what was applied by then, which can be restored', async () => {
    await owner.query(`
      create function directory.slow() returns trigger language plpgsql as
        $$ begin perform pg_catalog.pg_sleep(0.1); return null; end $$;
      create trigger slow before update on directory.account for each statement execute function directory.slow()`);
    try {
      const report = await run(claimEverything('claims'), { apply: 600 });
      expect(report).toMatchObject({
        ...{ status: 'stopped', code: 'time-limit' },
        reason: 'phase "apply" took longer than its limit of 600 ms',
      });
      const applied = await managed();
      expect(applied).toBeGreaterThan(0);
      expect(applied).toBeLessThan(20);
      expect(report?.applied).toEqual({ claim: applied });
      const [restored] = await restoreRuns(platform, [report?.run.id ?? ''], {
        signal,
        paceOf: () => RESTORE_PACE,
      });
      expect(restored).toMatchObject({ report: { status: 'succeeded', applied: { claim: applied } } });
      expect(await managed()).toBe(0);
    } finally {
      await owner.query('drop trigger slow on directory.account; drop function directory.slow');
    }
  });
});
