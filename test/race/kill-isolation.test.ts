import { beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { lockGate } from '../../src/gate/lock.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { NAMED_LOCKS } from '../../src/postgres/locks.js';
import { testDatabase } from '../support/database.js';
import { portcullis, untilWith, type Running } from '../support/portcullis.js';
import { watchCommitOrder } from './commit-order.js';
import { batchesIn, expectKilled } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { halt, stopped, wake } from './standing-still.js';

const database = await testDatabase();
const { owner } = database;
const name = pg.escapeIdentifier(new URL(database.url).pathname.slice(1));

/** One lane: while the worker stands still, no other lane has the gate's lock, or waits for a connection. */
const POLICY = 'apply: { lanes: 1, batch: 10, firstBatches: [] }';
/** The batches that are in when the worker first stands still. */
const BATCHES = 4;
/** Any number that no advisory lock of ours uses. */
const LATCH = 11;

let world: SampleWorld;
beforeAll(async () => {
  world = await sampleWorld(database, POLICY);
  await watchCommitOrder(owner);
});

/**
 * Does `work` while the gate's lock is held alone by the kill's own login, in the middle of a statement: no kill ends
 * that, so a kill waits, and whoever asks for the lock after it waits behind it.
 */
async function whileGateMoves<T>(region: string, work: () => Promise<T>): Promise<T> {
  const latch = await owner.connect();
  await latch.query('select pg_advisory_lock($1)', [LATCH]);
  try {
    const mover = await owner.connect();
    await mover.query('begin');
    await lockGate(mover, 'domain-claim', region, 'exclusive');
    void mover
      .query('select pg_advisory_xact_lock($1)', [LATCH])
      .then(() => mover.query('commit'))
      .finally(() => mover.release(true))
      .catch(() => undefined);
    return await work();
  } finally {
    latch.release(true);
  }
}

/** Waits until a session waits for the gate's lock. */
async function untilQueued(running: Running, mode: 'ShareLock' | 'ExclusiveLock'): Promise<void> {
  await untilWith(running, `a session waits for the gate's ${mode}`, async () => {
    const { rowCount } = await owner.query(
      `select from pg_locks where locktype = 'advisory' and classid = $1 and mode = $2 and not granted
       and database = (select oid from pg_database where datname = current_database())`,
      [NAMED_LOCKS.gate, mode],
    );
    return rowCount === 1;
  });
}

describe('a kill whose worker stands still while its batch waits for the gate behind it', () => {
  const DEFAULTS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'];

  test.each(DEFAULTS.map((isolation, at) => [isolation, SAMPLE_REGIONS[at] ?? ''] as const))(
    'is the last word when the worker goes on, with %s as the default of the database',
    async (isolation, region) => {
      await owner.query(`alter database ${name} set default_transaction_isolation = '${isolation}'`);
      const args = ['run', 'domain-claim', '--region', region, '--json'];
      const worker = await stopped(world, args, 'apply.before-fence', BATCHES + 1);
      expect(await batchesIn(world, region)).toBe(BATCHES);
      // No permit that expires meanwhile stops the batch in the kill's place.
      await owner.query(
        `update portcullis_region.gate set permit_until = clock_timestamp() + interval '1 hour' where region = $1`,
        [region],
      );
      const killer = await whileGateMoves(region, async () => {
        const killing = portcullis(
          ['kill', 'domain-claim', '--region', region, '--reason', 'now', '--no-wait', '--json'],
          { env: world.env },
        );
        await untilQueued(killing, 'ExclusiveLock');
        worker.child.kill('SIGCONT');
        await untilQueued(worker, 'ShareLock');
        await halt(worker);
        return killing;
      });
      const { code, stdout } = await killer.finished;
      expect([code, JSON.parse(stdout)]).toMatchObject([0, { killed: [{ region }], failed: [] }]);
      const ended = await wake(worker);
      expect([ended.code, JSON.parse(ended.stdout)]).toMatchObject([3, { status: 'killed' }]);
      await expectKilled(world, region, 'now', BATCHES);
    },
  );
});
