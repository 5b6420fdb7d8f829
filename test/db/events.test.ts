import { afterEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { EventFeed } from '../../src/events/follow.js';
import { forgetEvents, type Outbox } from '../../src/events/outbox.js';
import { readEvents } from '../../src/events/read-events.js';
import { seededRandom } from '../../src/demo/random.js';
import { beginTransaction } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const { owner } = database;
const control: Outbox = { name: 'control', database: 'control', schema: 'portcullis_control', pool: owner };
const regions: Outbox = { ...control, name: 'regions', schema: 'portcullis_region' };
const outboxes: readonly Outbox[] = [control, regions];

async function setFlag(client: pg.Pool | pg.PoolClient, job: string): Promise<void> {
  await client.query(
    `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
     values ($1, 'eu-west-1', true, '[]', 'test', 'ann')
     on conflict (job, region) do update set enabled = not flag.enabled`,
    [job],
  );
}

const openGate = (job: string): Promise<unknown> =>
  owner.query(
    `insert into portcullis_region.gate (job, region, state, reason) values ($1, 'eu-west-1', 'open', 'the flag is on')
     on conflict (job, region) do update set state = 'open', permit_until = clock_timestamp()`,
    [job],
  );

interface Known {
  readonly cursor: string;
  readonly ids: ReadonlySet<string>;
}

/** Where reading begins now; with the events that are answered again, while an older transaction is under way anywhere. */
async function now(): Promise<Known> {
  const { next: cursor } = await readEvents(outboxes, {}, { limit: 200 });
  const { items } = await readEvents(outboxes, {}, { limit: 200, cursor });
  return { cursor, ids: new Set(items.map(({ id }) => id)) };
}

async function newSince({ cursor, ids }: Known): Promise<(string | null)[]> {
  const { items } = await readEvents(outboxes, {}, { limit: 200, cursor });
  return items.filter(({ id }) => !ids.has(id)).map(({ job }) => job);
}

/** Reads on, page by page, until all of these are read; other databases' transactions may keep it waiting. */
async function readAll(
  jobs: ReadonlySet<string>,
  cursor: string,
  limit: number,
): Promise<Set<string | null>> {
  const read = new Set<string | null>();
  let next = cursor;
  await until('every event is read', async () => {
    const page = await readEvents(outboxes, {}, { limit, cursor: next });
    for (const { job } of page.items) read.add(job);
    next = page.next;
    return [...jobs].every((job) => read.has(job));
  });
  return read;
}

const open = new Set<pg.PoolClient>();
async function begun(): Promise<pg.PoolClient> {
  const client = await owner.connect();
  open.add(client);
  await beginTransaction(client);
  return client;
}
async function end(client: pg.PoolClient, how: 'commit' | 'rollback'): Promise<void> {
  await client.query(how);
  open.delete(client);
  client.release();
}
afterEach(async () => {
  for (const client of open) await end(client, 'rollback');
});

describe('events', () => {
  test('tell what changed in either database, oldest first, and what it is now', async () => {
    const { cursor } = await now();
    await setFlag(owner, 'told');
    await openGate('told');
    await owner.query(
      `update portcullis_region.gate set state = 'killed', reason = 'wrong claims' where job = 'told'`,
    );
    const { items, unreachable, lost } = await readEvents(outboxes, { job: 'told' }, { limit: 200, cursor });
    expect(items).toMatchObject([
      {
        kind: 'flag',
        region: 'eu-west-1',
        subject: null,
        data: { enabled: true, changedBy: 'ann', reason: 'test' },
      },
      { kind: 'gate', region: 'eu-west-1', data: { state: 'open', stopped: false } },
      { kind: 'gate', region: 'eu-west-1', data: { state: 'killed', reason: 'wrong claims' } },
    ]);
    expect([unreachable, lost]).toEqual([[], []]);
  });

  test('do not tell that a permit was renewed, or a row was written as it was', async () => {
    await openGate('renewed');
    const known = await now();
    await openGate('renewed');
    expect(await newSince(known)).toEqual([]);
  });

  test('follow a run from its election to its end', async () => {
    const { cursor } = await now();
    await owner.query(
      `insert into portcullis_region.run (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
       values (gen_random_uuid(), 'ran', '1.0.0_a', 'eu-west-1', now(), 'manual', 'planning', 'planning', 'under way', 'w', now())`,
    );
    await owner.query(`update portcullis_region.run set lease_until = clock_timestamp() where job = 'ran'`);
    await owner.query(
      `update portcullis_region.run set status = 'held', reason_code = 'flag-off', reason = 'off' where job = 'ran'`,
    );
    const { items } = await readEvents(outboxes, { kind: 'run' }, { limit: 200, cursor });
    expect(items.map(({ data }) => data)).toMatchObject([
      { status: 'planning', version: '1.0.0_a', dryRun: false },
      { status: 'held', reasonCode: 'flag-off' },
    ]);
  });

  test('of a transaction that commits late are not missed, and what came meanwhile is not kept back', async () => {
    const known = await now();
    const late = await begun();
    await setFlag(late, 'late');
    await setFlag(owner, 'early');
    const first = await readEvents(outboxes, {}, { limit: 200, cursor: known.cursor });
    expect(await newSince(known)).toEqual(['early']);
    await end(late, 'commit');
    expect(await newSince({ cursor: first.next, ids: known.ids })).toContain('late');
  });

  test.each([1, 2, 3, 4, 5])('are all read, whatever commits in whatever order (seed %i)', async (seed) => {
    const draw = seededRandom(`events ${seed}`);
    let { cursor } = await now();
    const under: { client: pg.PoolClient; jobs: string[] }[] = [];
    const committed = new Set<string>();
    const read = new Set<string | null>();
    for (let step = 0; step < 60; step += 1) {
      const act = draw.between(0, 3);
      if (act === 0 && under.length < 3) under.push({ client: await begun(), jobs: [] });
      else if (act === 1 && under.length > 0) {
        const job = `s${seed}-${step}`;
        const some = draw.pick(under);
        await setFlag(some.client, job);
        some.jobs.push(job);
      } else if (act === 2 && under.length > 0) {
        const ended = draw.pick(under);
        under.splice(under.indexOf(ended), 1);
        const commits = draw.between(0, 3) > 0;
        await end(ended.client, commits ? 'commit' : 'rollback');
        if (commits) for (const job of ended.jobs) committed.add(job);
      } else {
        const page = await readEvents(outboxes, {}, { limit: draw.between(1, 5), cursor });
        for (const { job } of page.items) read.add(job);
        cursor = page.next;
      }
    }
    for (const { client } of under) await end(client, 'rollback');
    const unread = new Set([...committed].filter((job) => !read.has(job)));
    for (const job of await readAll(unread, cursor, 3)) read.add(job);
    const own = [...read].filter((job) => job?.startsWith(`s${seed}-`));
    expect(own.toSorted()).toEqual([...committed].toSorted());
  });

  test('come page by page out of several databases', async () => {
    const { cursor } = await now();
    const jobs = new Set<string>();
    for (let at = 0; at < 6; at += 1) {
      await setFlag(owner, `flag-${at}`);
      await openGate(`gate-${at}`);
      jobs.add(`flag-${at}`).add(`gate-${at}`);
    }
    await readAll(jobs, cursor, 5);
  });

  test('since a moment need no cursor', async () => {
    const { rows } = await owner.query<{ now: Date }>('select clock_timestamp() as now');
    await setFlag(owner, 'since');
    const { items } = await readEvents(outboxes, { since: rows[0]?.now, job: 'since' }, { limit: 200 });
    expect(items).toHaveLength(1);
  });

  test('that are older than 24 hours are gone, and a cursor that asks for them is told so', async () => {
    await setFlag(owner, 'old');
    const known = await now();
    await owner.query(`update portcullis_control.event set at = at - interval '25 hours' where job = 'old'`);
    await setFlag(owner, 'fresh');
    expect(await forgetEvents(control)).toBe(1);
    expect(await newSince(known)).toEqual(['fresh']);
    const positions = JSON.parse(Buffer.from(known.cursor, 'base64url').toString()) as Record<
      string,
      [string, number, number]
    >;
    const [xid, id, readAtMs] = positions['control'] ?? ['', 0, 0];
    positions['control'] = [xid, id, readAtMs - 25 * 3_600_000];
    const stale = Buffer.from(JSON.stringify(positions)).toString('base64url');
    expect(await readEvents(outboxes, {}, { limit: 200, cursor: stale })).toMatchObject({
      lost: ['control'],
    });
    // Another cluster's transactions: the database was restored elsewhere, and counts from lower numbers.
    positions['control'] = ['18000000000000000000', 0, readAtMs];
    const foreign = Buffer.from(JSON.stringify(positions)).toString('base64url');
    expect(await readEvents(outboxes, {}, { limit: 200, cursor: foreign })).toMatchObject({
      lost: ['control'],
    });
  });

  test.each(['', 'bm8', Buffer.from('{"control":["x",1,1]}').toString('base64url')])(
    'refuse %j as a cursor',
    async (cursor) => {
      await expect(readEvents(outboxes, {}, { limit: 200, cursor })).rejects.toMatchObject({
        code: 'REQUEST_INVALID',
      });
    },
  );

  test('of a database that cannot be asked are named as missing, and come once it can be', async () => {
    const away: Outbox = {
      ...{ name: 'away', database: 'PORTCULLIS_DATABASE_URL_EU', schema: 'portcullis_region' },
      pool: {
        query: () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })),
      } as never,
    };
    const { cursor } = await now();
    await openGate('away');
    const without = await readEvents(
      [control, { ...away, name: 'regions' }],
      { job: 'away' },
      { limit: 200, cursor },
    );
    expect(without).toMatchObject({ items: [], unreachable: ['PORTCULLIS_DATABASE_URL_EU'] });
    const { items } = await readEvents(
      [control, regions],
      { job: 'away' },
      { limit: 200, cursor: without.next },
    );
    expect(items).toMatchObject([{ kind: 'gate', job: 'away' }]);
    await expect(readEvents([away], {}, { limit: 200 })).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
    });
  });

  test('reach all who follow them, each once, until the feed ends', async () => {
    const feed = new EventFeed(() => outboxes);
    const { cursor } = await now();
    const follow = async (): Promise<string[]> => {
      const ids: string[] = [];
      const enough = new AbortController();
      for await (const { items } of feed.follow({ job: 'followed' }, cursor, enough.signal)) {
        ids.push(...items.map(({ id }) => id));
        if (ids.length >= 2) enough.abort();
      }
      return ids;
    };
    const both = Promise.all([follow(), follow()]);
    const ended = (async () => {
      for await (const page of feed.follow({ job: 'nobody' }, cursor, new AbortController().signal)) {
        expect(page.items).toEqual([]);
      }
    })();
    await setFlag(owner, 'followed');
    const late = await begun();
    await setFlag(late, 'followed');
    await end(late, 'commit');
    for (const ids of await both) expect(new Set(ids).size).toBe(2);
    expect(feed.followers).toBe(1);
    feed.end();
    await ended;
    expect(feed.followers).toBe(0);
  });
});
