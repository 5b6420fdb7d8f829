import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { streamRows } from '../../src/journal/stream-rows.js';
import { CopyIn } from '../../src/postgres/copy-in.js';
import { beginTransaction, isUnreachable, openPool } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const { hostname, port } = new URL(database.url);
const proxy = new TcpProxy(hostname, Number(port));
const PATIENCE = { silentMs: 300, probeMs: 1_000 };

let pool: pg.Pool;
let name = '';
let opened = 0;

beforeAll(async () => {
  await database.owner.query(
    'create table filler as select repeat(md5(n::text), 30) as text from generate_series(1, 20000) n',
  );
  await database.owner.query('create table filled (text text)');
  await database.owner.query('grant all on filler, filled to public');
});

async function open(): Promise<pg.Pool> {
  await proxy.open();
  opened += 1;
  name = `bounded ${opened}`;
  pool = openPool(proxy.through(database.workerUrl), { name, max: 5, patience: PATIENCE });
  return pool;
}

afterEach(async () => {
  if (!pool.ended) await pool.end();
  await proxy.cut();
  await until('no backend of the test is left', async () => (await backends()).length === 0);
});

async function backends(): Promise<number[]> {
  const { rows } = await database.owner.query<{ pid: number }>(
    'select pid from pg_stat_activity where application_name = $1',
    [`portcullis ${name}`],
  );
  return rows.map(({ pid }) => pid);
}

/** What became of a wait. */
async function outcome(wait: Promise<unknown> | undefined): Promise<unknown> {
  try {
    await wait;
    return 'answered';
  } catch (error) {
    return isUnreachable(error) ? 'unreachable' : error;
  }
}

/** Ways to lose a connection. */
const LOSSES: Readonly<Record<string, () => Promise<void>>> = {
  'is terminated': async () => {
    await database.owner.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
      [`portcullis ${name}`],
    );
  },
  'is reset': () => {
    proxy.reset();
    return Promise.resolve();
  },
  'forwards nothing': () => {
    proxy.stall();
    return Promise.resolve();
  },
  'forwards nothing, nor any other': () => {
    proxy.stall({ newToo: true });
    return Promise.resolve();
  },
};

/** Waits that only an answer ends; `lose` is to be called once the wait has begun, or right before. */
const WAITS: Readonly<
  Record<string, (client: pg.PoolClient, lose: () => Promise<void>) => Promise<unknown>>
> = {
  'a query': async (client, lose) => {
    await lose();
    await client.query('select 1');
  },
  'a query under way': async (client, lose) => {
    const asked = client.query('select pg_sleep(0.5)');
    asked.catch(() => undefined);
    await lose();
    await asked;
  },
  'the rows of a COPY to the database': async (client, lose) => {
    const copy = new CopyIn(client, 'copy filled from stdin');
    await copy.write('one\n');
    await lose();
    for (let n = 0; n < 20_000; n += 1) await copy.write(`${'x'.repeat(1_000)}\n`);
    await copy.end();
  },
  'the next row of a COPY to the database, which comes late': async (client, lose) => {
    const copy = new CopyIn(client, 'copy filled from stdin');
    await copy.write('one\n');
    await lose();
    // What ended the connection is read meanwhile.
    await new Promise((resume) => setTimeout(resume, 2 * PATIENCE.silentMs));
    for (let n = 0; n < 20_000; n += 1) await copy.write(`${'x'.repeat(1_000)}\n`);
    await copy.end();
  },
  'the end of a COPY to the database': async (client, lose) => {
    const copy = new CopyIn(client, 'copy filled from stdin');
    await copy.write('one\n');
    await lose();
    await copy.end();
  },
  'a COPY from the database': async (client, lose) => {
    const copy = client.query(copyTo('copy (select f.text from filler f, generate_series(1, 5)) to stdout'));
    let lost: Promise<void> | undefined;
    for await (const chunk of copy) {
      expect(chunk).toBeDefined();
      await (lost ??= lose());
    }
  },
};

describe.each(Object.keys(LOSSES))('a connection that %s', (loss) => {
  const lose = LOSSES[loss] ?? (() => Promise.reject(new Error(loss)));

  test.each(Object.keys(WAITS))('ends the wait for %s with an error', async (wait) => {
    const client = await (await open()).connect();
    expect(await outcome(WAITS[wait]?.(client, lose))).toBe('unreachable');
    client.release(true);
  });

  test('ends a stream of rows, whether it is read or not', async () => {
    await open();
    const rows = streamRows<{ n: number }>(pool, 'select n from generate_series(1, 100000) n', []);
    expect((await rows.next()).value).toEqual({ n: 1 });
    await lose();
    const read = async (): Promise<void> => {
      for await (const row of rows) expect(row).toBeDefined();
    };
    expect(await outcome(read())).toBe('unreachable');
  });

  // Between the two the cursor waits for ReadyForQuery, and says nothing where that never comes.
  test('ends a stream of rows also between its last row and the last word', async () => {
    await open();
    const rows = streamRows(pool, 'select 1 as n', [], {
      begin: async (client) => {
        await beginTransaction(client, { readOnly: true });
        const { connection } = client as unknown as { connection: pg.Connection };
        connection.once('commandComplete', () => connection.stream.destroy());
      },
    });
    expect(await outcome(rows.next())).toBe('unreachable');
  });

  test('ends with the reader of a stream of rows', async () => {
    await open();
    for await (const row of streamRows(pool, 'select n from generate_series(1, 100000) n', [])) {
      expect(row).toEqual({ n: 1 });
      await lose();
      break;
    }
    expect(pool.idleCount).toBe(0);
  });

  test('does not hold up the end of its pool, idle or in use', async () => {
    await open();
    const [idle, used] = await Promise.all([pool.connect(), pool.connect()]);
    idle.release();
    const asked = used.query('select pg_sleep(600)').finally(() => used.release());
    asked.catch(() => undefined);
    await lose();
    await pool.end();
    expect(await outcome(asked)).toBe('unreachable');
  });
});

describe('a connection that is only slow', () => {
  const LONG_MS = 4 * PATIENCE.silentMs;

  test('is waited for while the server works', async () => {
    await open();
    const { rows } = await pool.query<{ n: number }>(`select 1 as n from pg_sleep(${LONG_MS / 1_000})`);
    expect(rows).toEqual([{ n: 1 }]);
  });

  test('is waited for while the server waits for a lock', async () => {
    await open();
    const holder = await database.owner.connect();
    await holder.query('begin');
    await holder.query('select pg_advisory_xact_lock(77)');
    const waiting = pool.query('select pg_advisory_lock_shared(77)');
    await new Promise((resume) => setTimeout(resume, LONG_MS));
    await holder.query('commit');
    holder.release();
    await waiting;
  });

  test('tells its reader that the server works', async () => {
    await open();
    const holder = await database.owner.connect();
    await holder.query('begin');
    await holder.query('select pg_advisory_xact_lock(79)');
    let told = 0;
    const rows = streamRows(pool, 'select 1 as n from pg_advisory_lock_shared(79)', [], {
      onProgress: () => (told += 1),
    });
    const first = rows.next();
    // No answer can have come: the query waits for the lock.
    await until('the reader is told', () => Promise.resolve(told > 0));
    await holder.query('commit');
    holder.release();
    expect(await first).toMatchObject({ value: { n: 1 } });
    await rows.return(undefined);
  });

  test('waits for a reader of rows and a sender of a COPY that take their time', async () => {
    await open();
    const rows = streamRows<{ n: number }>(pool, 'select n from generate_series(1, 600) n', []);
    await rows.next();
    const client = await pool.connect();
    const copy = new CopyIn(client, 'copy filled from stdin');
    await copy.write('slow\n');
    await new Promise((resume) => setTimeout(resume, LONG_MS));
    let read = 1;
    for await (const row of rows) read = row.n;
    expect(read).toBe(600);
    await copy.end();
    expect((await client.query("select from filled where text = 'slow'")).rowCount).toBe(1);
    client.release();
  });

  test('waits for whoever reads a COPY slowly', async () => {
    await open();
    const client = await pool.connect();
    const copy = client.query(copyTo('copy (select f.text from filler f, generate_series(1, 3)) to stdout'));
    let bytes = 0;
    for await (const chunk of copy) {
      if (bytes === 0) await new Promise((resume) => setTimeout(resume, LONG_MS));
      bytes += (chunk as Buffer).length;
    }
    expect(bytes).toBeGreaterThan(3 * 20_000 * 900);
    client.release();
  });
});

test('a query that is not wanted any more ends on the server too', async () => {
  await open();
  const unwanted = new AbortController();
  const rows = streamRows(pool, 'select pg_sleep(600)', [], { signal: unwanted.signal });
  const next = rows.next();
  await until('the query runs', async () => (await backends()).length === 1);
  unwanted.abort(new Error('the run was told to stop'));
  await expect(next).rejects.toThrow('the run was told to stop');
});

test('what a lost connection holds on the server is let go', async () => {
  await open();
  const client = await pool.connect();
  await client.query('begin');
  await client.query('select pg_advisory_xact_lock(78)');
  proxy.stall();
  expect(await outcome(client.query('select 1'))).toBe('unreachable');
  client.release(true);
  await database.owner.query('select pg_advisory_lock(78), pg_advisory_unlock(78)');
});
