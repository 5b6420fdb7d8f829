import { setTimeout as wait } from 'node:timers/promises';
import type pg from 'pg';
import { startEmbedded } from '../postgres/embedded-server.js';
import { LOCKS } from '../postgres/locks.js';
import { connectAlone } from '../postgres/pool.js';
import { at, SETTINGS } from './server.js';
import { dropLeftovers } from './test-database.js';

/**
 * A process of its own: stops the test kit's server when no test has used it for a while, however the tests ended.
 * Its argument is the server's folder.
 */

const IDLE_MS = 15_000;
const LOOK_MS = 500;

const [, , folder = ''] = process.argv;
const server = await startEmbedded({ folder, settings: SETTINGS });
const admin = await connectAlone({ connectionString: at(server.url, 'postgres') });
if (await locked(admin, LOCKS.testKeeper)) {
  let usedAt = performance.now();
  for (;;) {
    if (await isUsed(admin)) usedAt = performance.now();
    // From here on no test gets in: it waits until the server is gone, and starts it again.
    else if (performance.now() - usedAt > IDLE_MS && (await locked(admin, LOCKS.testServer))) break;
    await wait(LOOK_MS);
  }
  await dropLeftovers(admin);
  await server.stop();
}
await admin.end().catch(() => undefined);

async function locked(client: pg.Client, number: number): Promise<boolean> {
  const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [
    number,
  ]);
  return rows[0]?.taken === true;
}

async function isUsed(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1`,
  );
  return rowCount !== 0;
}
