import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { startEmbedded } from '../../src/postgres/embedded-server.js';
import { loginUrl, provisionLogins } from '../../src/postgres/logins.js';
import { migrate } from '../../src/postgres/migrate.js';
import { openPool } from '../../src/postgres/pool.js';
import { SCHEMAS } from '../support/database.js';
import { temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { EXACT, RESTORED, losing, standing } from './losing.js';

/** The database's server dies in the middle of a run or a restore, and comes back: nothing hangs, and nothing is lost. */

const server = await startEmbedded({
  folder: await temporaryFolder(),
  settings: ['synchronous_commit=off', 'max_connections=60'],
});
const pools: pg.Pool[] = [];
const pool = (url: string, name = 'test'): pg.Pool => {
  const opened = openPool(url, { name });
  pools.push(opened);
  return opened;
};
const owner = pool(server.url, 'test owner');
await migrate(owner, SCHEMAS);
await provisionLogins(owner);
const world = await losing(
  {
    ...{ url: server.url, owner, pool },
    workerUrl: await loginUrl(owner, server.url, 'worker'),
    plannerUrl: await loginUrl(owner, server.url, 'planner'),
  },
  (url) => url,
);
afterAll(async () => {
  await world.close();
  await Promise.all(pools.map((each) => each.end()));
  await server.stop();
});

const postmaster = (): number =>
  Number(readFileSync(join(server.data, 'postmaster.pid'), 'utf8').split('\n')[0]);

/** Ends the server by a signal, and starts it again once its last process is gone. */
async function restart(signal: 'SIGKILL' | 'SIGQUIT'): Promise<void> {
  process.kill(postmaster(), signal);
  await until('the server is back', () => server.revive().catch(() => false));
  await until(
    'it takes queries',
    async () => (await owner.query('select 1').catch(() => undefined)) !== undefined,
  );
}

const LOSSES = [
  ['SIGKILL', 'plan.judged', 1],
  ['SIGKILL', 'apply.written', 3],
  ['SIGQUIT', 'plan.copied', 1],
  ['SIGQUIT', 'apply.written', 3],
] as const;

describe('a run whose server is ended', () => {
  test.each(LOSSES)(
    'by %s at %s, met %i times, ends or is taken over, exactly',
    async (signal, point, nth) => {
      const region = await world.loseAt(world.electRun, point, nth, () => restart(signal));
      await world.endAll(region);
      expect(await standing(owner, region)).toEqual(EXACT);
    },
  );
});

test('a restore whose server is killed in a batch ends or is taken over, exactly', async () => {
  const region = await world.loseAt(world.electRestore, 'apply.written', 3, () => restart('SIGKILL'));
  await world.endAll(region);
  expect(await standing(owner, region)).toEqual(RESTORED);
});
