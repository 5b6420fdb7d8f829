import { afterAll, describe, expect, test } from '@jest/globals';
import type { JobDefinition } from '../../src/sdk/contract.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { RunsUnderWay } from '../../src/worker/runs-under-way.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPolicy } from '../support/platform.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { EXACT, POINTS, RESTORED, RESTORE_POINTS, losing, standing } from './losing.js';

const database = await testDatabase();
const { owner } = database;
const { hostname, port } = new URL(database.url);
const proxy = new TcpProxy(hostname, Number(port));
await proxy.open();
const world = await losing(database, (url) => proxy.through(url));
afterAll(async () => {
  await world.close();
  await proxy.cut();
});

const LOSSES: Readonly<Record<string, () => Promise<unknown>>> = {
  terminated: () =>
    owner.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and usename <> current_user and client_port = any($1)`,
      [proxy.farPorts()],
    ),
  reset: () => {
    proxy.reset();
    return Promise.resolve();
  },
  // The connections stay and nothing goes through them; the lease could be renewed over others.
  'black-holed': () => {
    proxy.stall();
    return Promise.resolve();
  },
};

describe.each(Object.keys(LOSSES))('with its connections %s', (loss) => {
  const lose = LOSSES[loss] ?? (() => Promise.reject(new Error(loss)));

  test.each(POINTS)('a run at %s, met %i times, ends or is taken over, exactly', async (point, nth) => {
    const region = await world.loseAt(world.electRun, point, nth, lose);
    await world.endAll(region);
    expect(await standing(owner, region)).toEqual(EXACT);
  });

  test.each(RESTORE_POINTS)(
    'a restore at %s, met %i times, ends or is taken over, exactly',
    async (point, nth) => {
      const region = await world.loseAt(world.electRestore, point, nth, lose);
      await world.endAll(region);
      expect(await standing(owner, region)).toEqual(RESTORED);
    },
  );
});

/** A run of a job that plans in its own way, in a region of its own. */
async function planning(
  progressMs: number,
  plan: JobDefinition['plan'],
): Promise<{ readonly region: string; readonly ended: Promise<unknown>; readonly underWay: RunsUnderWay }> {
  const region = await world.newRegion();
  const run = await world.electRun(region);
  const job = await loadTestJob(world.heir, { ...world.job.definition, plan });
  const underWay = new RunsUnderWay();
  const slow = { ...world.loser, progressMs, underWay };
  const policy = testPolicy('claims', [region], { leaseMs: 3 * progressMs });
  const signal = new AbortController().signal;
  const ended = executeRun(slow, job, policy, run, 'planning', { signal });
  return { region, ended, underWay };
}

describe('a lease means progress', () => {
  test('a run that shows none is given up, told by readiness, and taken over by another worker', async () => {
    const { region, ended, underWay } = await planning(500, async function* () {
      await new Promise(() => undefined);
    });
    const [told] = await until('the run counts as hanging', () => {
      const hanging = underWay.hanging();
      return hanging.length > 0 && hanging;
    });
    expect(told).toMatch(new RegExp(`^run [0-9a-f]{8} of claims in ${region} has shown no progress for `));
    expect(await ended).toBeUndefined();
    expect(underWay.hanging()).toEqual([]);
    await world.endAll(region);
    expect(await standing(owner, region)).toEqual(EXACT);
  });

  test('a plan whose query takes long makes progress while the server works on it', async () => {
    const { definition } = world.job;
    const { region, ended } = await planning(2_000, async function* (context) {
      for await (const row of context.rows('select pg_sleep(6)::text as slept')) expect(row).toBeDefined();
      yield* definition.plan(context);
    });
    await ended;
    expect(await standing(owner, region)).toEqual(EXACT);
  });
});
