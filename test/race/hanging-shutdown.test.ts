import { afterAll, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, untilWith } from '../support/portcullis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { sampleWorld } from './sample.js';

/** Docs and compose give a process 25 s to end; the rest is what a busy machine takes to start and to notice. */
const BOUND_MS = 40_000;

const database = await testDatabase();
const server = new URL(database.url);
const proxy = new TcpProxy(server.hostname, Number(server.port));
await proxy.open();
afterAll(() => proxy.cut());
const world = await sampleWorld(database, 'apply: { lanes: 1, batch: 1, firstBatches: [] }');

test('a process whose connections hang ends in bounded time after SIGTERM', async () => {
  const env = {
    ...world.env,
    PORTCULLIS_DATABASE_URL: proxy.through(database.url),
    PORTCULLIS_HOME: await temporaryFolder(),
    PORTCULLIS_HTTP: '127.0.0.1:0',
  };
  const serving = portcullis(['start', '--run-now', '--json'], { env });
  await untilWith(serving, 'a run writes', async () => {
    const { rowCount } = await database.owner.query('select from portcullis_region.batch limit 1');
    return rowCount === 1;
  });
  // Open connections and new ones alike: nothing comes back, and nothing is refused.
  proxy.stall({ newToo: true });
  const toldAt = performance.now();
  serving.child.kill('SIGTERM');
  const bound = setTimeout(() => serving.child.kill('SIGKILL'), BOUND_MS);
  const { code, signal } = await serving.finished;
  clearTimeout(bound);
  expect([code === null, signal]).toEqual([false, null]);
  expect(performance.now() - toldAt).toBeLessThan(BOUND_MS);
}, 180_000);
