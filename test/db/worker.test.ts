import { afterAll, expect, test } from '@jest/globals';
import { startWorker } from '../../src/jobs/worker.js';
import { claimEverything } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

/** Until when a gate permits, in milliseconds of the database's clock. */
async function permitUntil(job: string): Promise<number> {
  const { rows } = await database.owner.query<{ at: number }>(
    `select (extract(epoch from permit_until) * 1000)::float8 as at from portcullis_region.gate where job = $1 and region = 'r1'`,
    [job],
  );
  return rows[0]?.at ?? 0;
}

test('a worker renews the permits of each job as often as its own policy wants', async () => {
  const served = [];
  for (const [name, permitMs] of [
    ['brief', 300],
    ['lasting', 60_000],
  ] as const) {
    const job = await loadTestJob(platform, claimEverything(name));
    platform.flags.open(name, 'r1', { version: job.version, permille: 1000 });
    served.push({ job, policy: testPolicy(name, ['r1'], { permitMs }), regions: ['r1'] });
  }
  const worker = await startWorker(platform, served);
  try {
    const lasting = await permitUntil('lasting');
    expect(lasting).toBeGreaterThan(0);
    let renewals = 0;
    let last = await permitUntil('brief');
    await until('the brief permit is renewed three times', async () => {
      const now = await permitUntil('brief');
      if (now > last) renewals += 1;
      last = now;
      return renewals >= 3;
    });
    expect(await permitUntil('lasting')).toBe(lasting);
  } finally {
    await worker.stop();
  }
});
