import { AssertionError } from 'node:assert';
import { describe, expect, test } from '@jest/globals';
import { defineJob, table } from '../../../src/sdk/index.js';
import { testJob } from '../../../src/testing/index.js';

const at = (file: string): URL => new URL(`../../../examples/dormant-cleanup/${file}`, import.meta.url);
const schema = [at('schema.sql'), new URL('../../support/dormant-rows.sql', import.meta.url)];

interface Mailer {
  bounces(id: string): Promise<boolean>;
}

/** Marks customers as dormant whose mail bounces, or who were not seen for two years. */
const cleanup = defineJob({
  name: 'dormant-cleanup',
  version: '1.0.0',
  unit: { table: 'public.tenants', key: 'id', region: 'region' },
  resources: {
    customer: table('public.customers', {
      key: 'id',
      changes: ['standing'],
      compares: ['last_seen', 'tenant_id'],
      region: 'region',
    }),
    session: table('public.sessions', { key: 'token', deletes: true, region: 'region' }),
  },
  kinds: { dormant: 'customer', 'drop-session': 'session' },
  clients: (): Mailer => ({ bounces: () => Promise.resolve(false) }),
  async *plan({ rows, region, clock, clients, units }) {
    const since = new Date(clock.now());
    since.setUTCFullYear(since.getUTCFullYear() - 2);
    const found = rows<{
      id: string;
      standing: string;
      last_seen: string | null;
      tenant_id: string;
      old: boolean;
    }>`
      select id, standing, last_seen, tenant_id, coalesce(last_seen < ${since}, false) as old from public.customers
      where region = ${region} and standing = 'active' order by id`;
    for await (const { id, old, ...before } of found) {
      if (!units.has(before.tenant_id) || !(old || (await clients.bounces(id)))) continue;
      yield {
        ...({ kind: 'dormant', resource: 'customer', key: id, unit: before.tenant_id } as const),
        ...{ before, after: { standing: 'dormant' }, evidence: { lastSeen: before.last_seen } },
      };
    }
  },
});

const onSample = testJob(cleanup, { schema, policy: at('flags/dormant-cleanup.yaml') });

const caught = async (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe('a test of a job', () => {
  test(
    'runs it on the sample, and knows what it planned and wrote',
    onSample(async (job) => {
      const plan = await job.plan();
      plan.expect({ status: 'planned', planned: { dormant: 100 }, applied: {} });
      const run = await job.run();
      run.expect({ status: 'succeeded', planned: { dormant: 100 }, applied: { dormant: 100 }, conflicts: 0 });
      const [change] = run.changes;
      expect(change).toMatchObject({ kind: 'dormant', resource: 'customer', after: { standing: 'dormant' } });
      const [count] = await job.sql<{ n: number }>`
        select count(*) as n from customers where standing = ${'dormant'} and region = ${'eu'}`;
      expect(count).toEqual({ n: 100 });
      await job.restoreExactly(run);
    }),
  );

  test(
    'has each body begin with the same rows',
    onSample(async (job) => {
      const [count] = await job.sql<{
        n: number;
      }>`select count(*) as n from customers where standing = 'dormant'`;
      expect(count).toEqual({ n: 0 });
    }),
  );

  test(
    'kills it after some batches, and puts those back',
    onSample(async (job) => {
      const run = await job.killAfter(3, { batch: 7 });
      run.expect({ status: 'killed', applied: { dormant: 21 } });
      expect(run.reason).toContain('after 3 batches');
      await job.restoreExactly(run);
      (await job.run()).expect({ status: 'held', applied: {} });
    }),
  );

  test(
    'loses its worker, and has another take it over to the end',
    onSample(async (job) => {
      const run = await job.crashAfter(3, { batch: 10 });
      run.expect({ status: 'succeeded', planned: { dormant: 100 }, applied: { dormant: 100 } });
      const [row] = await job.sql<{ attempt: number; worker: string }>`
        select attempt, worker from portcullis_region.run where id = ${run.id}`;
      expect(row).toEqual({ attempt: 2, worker: 'test-2' });
      await job.restoreExactly(run);
    }),
  );

  test(
    'says which tables a restore did not bring back',
    onSample(async (job) => {
      const run = await job.run();
      await job.sql`update customers set standing = 'closed'
        where id in (select id from customers where standing = 'dormant' limit 5)`;
      const error = await caught(job.restoreExactly(run));
      expect(error).toBeInstanceOf(AssertionError);
      expect((error as Error).message).toMatch(
        /^the restore is not exact \(5 conflicts\): public\.customers: other values in its 600 rows$/,
      );
    }),
  );

  test(
    'says everything that is not as expected of a run',
    onSample(async (job) => {
      const run = await job.run();
      expect(() =>
        run.expect({ status: 'held', planned: { dormant: 1 }, verdicts: { none: 'fail' } }),
      ).toThrow(
        /status succeeded, not held\n {2}planned 100 dormant, not 1 dormant\n {2}no rule none judged it; there is cap:/,
      );
    }),
  );

  test(
    'gives the plan another time and other clients',
    testJob(cleanup, {
      ...{ schema, region: 'us', now: '2001-01-01T00:00:00Z' },
      clients: { bounces: (id: string) => Promise.resolve(id === '1' || id === '2' || id === '3') },
    })(async (job) => {
      // Nobody was seen that long ago, and the mail of three is returned.
      const [there] = await job.sql<{
        n: number;
      }>`select count(*) as n from customers where region = 'us' and id <= 3`;
      (await job.plan()).expect({ planned: { dormant: there?.n ?? -1 } });
      job.setTime('2101-01-01');
      (await job.plan()).expect({ planned: { dormant: 200 } });
    }),
  );

  test(
    'judges it by a history that is made up',
    testJob(cleanup, { schema, policy: new URL('counted.yaml', import.meta.url) })(async (job) => {
      await job.history(Array.from({ length: 30 }, (_, n) => ({ planned: { dormant: 2 + (n % 3) } })));
      const run = await job.run();
      run.expect({ status: 'refused', applied: {}, verdicts: { 'usual-number': 'fail' } });
    }),
  );

  test('ends where the run has fewer batches than it is to be killed after', async () => {
    const error = await caught(
      onSample(async (job) => {
        await job.killAfter(3, { batch: 1000 });
      })(),
    );
    expect((error as Error).message).toMatch(/^the run ended before 3 batches were written: succeeded/);
  });

  test('needs a region where no policy names one', async () => {
    const error = await caught(testJob(cleanup, { schema })(() => Promise.resolve())());
    expect((error as Error).message).toBe('testJob(dormant-cleanup): give policy, or the region to run in');
  });
});
