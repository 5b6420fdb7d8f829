import { afterAll, afterEach, expect, jest, test } from '@jest/globals';
import { startWorker } from '../../src/worker/worker.js';
import { claimEverything } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const platform = testPlatform(database);
afterEach(() => void jest.restoreAllMocks());
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

const realNow = Date.now.bind(Date);

/** The machine's clock, set so far ahead; the database has its own. */
function setClockAhead(ms: number): void {
  jest.spyOn(Date, 'now').mockImplementation(() => realNow() + ms);
}

async function servedEachSecond(name: string) {
  const job = await loadTestJob(platform, claimEverything(name));
  platform.flags.open(name, 'r1', { version: job.version, permille: 1000 });
  return [{ job, policy: testPolicy(name, ['r1'], { schedule: '* * * * * *' }), regions: ['r1'] }];
}

/** Slots that have a run, by how far they lie ahead of the database's clock; none if none does. */
async function slotsOf(job: string): Promise<{ runs: number; aheadMs: number }> {
  const { rows } = await database.owner.query<{ runs: number; aheadMs: number }>(
    `select count(*) as runs,
            (extract(epoch from coalesce(max(slot), '-infinity') - clock_timestamp()) * 1000)::float8 as "aheadMs"
     from portcullis_region.run where job = $1`,
    [job],
  );
  return rows[0] ?? { runs: 0, aheadMs: 0 };
}

test('a worker whose clock is two minutes ahead uses up no slot that is to come, and says so once', async () => {
  const said: string[] = [];
  const log = Object.assign(Object.create(platform.log) as typeof platform.log, {
    warn: (_: unknown, text: string) => said.push(text),
  });
  setClockAhead(120_000);
  const worker = await startWorker({ ...platform, log }, await servedEachSecond('ahead'), { sweepMs: 100 });
  try {
    await until('three slots have run', async () => (await slotsOf('ahead')).runs >= 3);
    expect((await slotsOf('ahead')).aheadMs).toBeLessThanOrEqual(0);
  } finally {
    await worker.stop();
  }
  expect(said).toEqual([expect.stringMatching(/^this machine's clock is 2 min .*ahead of the database's$/)]);
});

test('a worker whose clock is set back an hour goes on running slots as they come due', async () => {
  const worker = await startWorker(platform, await servedEachSecond('back'));
  try {
    await until('a slot has run', async () => (await slotsOf('back')).runs > 0);
    const before = (await slotsOf('back')).runs;
    setClockAhead(-3_600_000);
    await until('two more slots have run', async () => (await slotsOf('back')).runs >= before + 2);
  } finally {
    await worker.stop();
  }
});
