import { describe, expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';

const REGIONS = ['one', 'two', 'three'];
const POLICY = `
job: domain-claim
schedule: '* * * * * *'
regions: [${REGIONS.join(', ')}]
guard: { caps: [] }
`;

const database = await testDatabase();

describe('slots', () => {
  test('are run once each, by any number of processes, and none is left out', async () => {
    await applyPolicies(database.owner, [parsePolicyFile(POLICY, 'race.yaml')], 'test');
    const home = await temporaryFolder();
    const env = {
      PORTCULLIS_DATABASE_URL: database.url,
      PORTCULLIS_HOME: home,
      PORTCULLIS_LOG_LEVEL: 'error',
    };
    const workers = [1, 2, 3, 4].map((n) =>
      portcullis(['worker'], { env: { ...env, PORTCULLIS_WORKER: `worker-${n}` } }),
    );
    await until(
      'the slots of five seconds that all workers shared',
      async () => {
        const { rows } = await database.owner.query<{ workers: number; slots: number }>(
          `select count(distinct worker) as workers, count(distinct slot) as slots from portcullis_region.run`,
        );
        return (rows[0]?.workers ?? 0) > 1 && (rows[0]?.slots ?? 0) >= 8 ? true : undefined;
      },
      120_000,
    );
    for (const { child } of workers) child.kill('SIGTERM');
    const ends = await Promise.all(workers.map(({ finished }) => finished));
    expect(ends.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      workers.map(() => ({ code: 0, stderr: '' })),
    );
    const { rows } = await database.owner.query<{
      region: string;
      runs: number;
      slots: number;
      span: number;
    }>(
      `select region, count(*) as runs, count(distinct slot) as slots,
         extract(epoch from max(slot) - min(slot))::int + 1 as span
       from portcullis_region.run where trigger = 'schedule' group by region order by region`,
    );
    expect(rows.map(({ region }) => region)).toEqual([...REGIONS].sort());
    for (const { runs, slots, span } of rows) {
      expect(runs).toBe(slots);
      expect(slots).toBe(span);
    }
  });
});
