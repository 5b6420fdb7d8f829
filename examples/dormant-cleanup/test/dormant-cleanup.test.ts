import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testJob } from 'portcullis/testing';
import { dormantCleanup } from '../jobs/dormant-cleanup/index.js';

const cleanup = testJob(dormantCleanup, {
  schema: 'schema.sql',
  sample: true,
  grants: 'grants.sql',
  policy: 'flags/dormant-cleanup.yaml',
});

test(
  'marks the customers that nobody has seen for two years, and drops expired sessions',
  cleanup(async (job) => {
    const run = await job.run();
    run.expect({
      status: 'succeeded',
      planned: { dormant: 100, 'drop-session': 150 },
      applied: { dormant: 100, 'drop-session': 150 },
    });
    const [left] = await job.sql<{
      n: number;
    }>`select count(*) as n from sessions where region = ${job.region}`;
    assert.equal(left?.n, 0);
    await job.restoreExactly(run);
  }),
);

test(
  'leaves nothing behind when it is killed and restored',
  cleanup(async (job) => {
    const killed = await job.killAfter(3, { batch: 20 });
    killed.expect({ status: 'killed' });
    await job.restoreExactly(killed);
  }),
);

test(
  'is finished by another worker',
  cleanup(async (job) => {
    const run = await job.crashAfter(3, { batch: 20 });
    run.expect({ status: 'succeeded', applied: { dormant: 100, 'drop-session': 150 } });
    await job.restoreExactly(run);
  }),
);

test(
  'finds nobody dormant in 2001',
  cleanup(async (job) => {
    job.setTime('2001-01-01');
    (await job.plan()).expect({ status: 'planned', planned: {} });
  }),
);
