import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { createClient } from '../../src/client/client.js';
import { PortcullisError } from '../../src/kernel/errors.js';
import { forgetKeys, once, type Answered, type KeyedAct } from '../../src/operations/idempotency.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { hearFlags, serving, type Answer, type JsonCall } from './serving.js';

/** An act with an Idempotency-Key is carried out once. */

const { owner } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });

const FLAG = '/api/v1/flags/domain-claim/eu-west-1';
const OFF = { enabled: false, reason: 'try' };

const keyed = (key: string, path: string, body: object, call: JsonCall = served.json): Promise<Answer> => {
  const headers = { 'content-type': 'application/json', 'idempotency-key': key };
  return call(path, { method: 'POST', headers, body: JSON.stringify(body) });
};
const replayed = ({ headers }: Answer): string | null => headers.get('idempotent-replayed');

async function changes(): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(
    'select count(*) as n from portcullis_control.flag_change',
  );
  return rows[0]?.n ?? 0;
}

describe('the same call with the same key', () => {
  test('is carried out once, and answered the same, whatever the order of its members', async () => {
    const key = randomUUID();
    const before = await changes();
    const first = await keyed(key, FLAG, OFF);
    expect([first.status, replayed(first)]).toEqual([200, null]);
    const again = await keyed(key, FLAG, { reason: 'try', enabled: false });
    expect([again.status, replayed(again), again.body]).toEqual([200, 'true', first.body]);
    expect(await changes()).toBe(before + 1);
  });

  test('is refused as it was the first time, although it would be carried out now', async () => {
    const key = randomUUID();
    const stale = { ...OFF, ifRevision: 0 };
    const first = await keyed(key, FLAG, stale);
    expect(first.body['code']).toBe('FLAG_REVISION_STALE');
    const again = await keyed(key, FLAG, stale);
    expect([again.status, again.body['code'], replayed(again)]).toEqual([409, 'FLAG_REVISION_STALE', 'true']);
    expect(again.body['detail']).toBe(first.body['detail']);
  });

  test('is judged again where it did not fit, or was not allowed', async () => {
    const key = randomUUID();
    expect((await keyed(key, FLAG, { nonsense: true })).body['code']).toBe('REQUEST_INVALID');
    const viewer = await served.as('viv', 'viewer');
    expect((await keyed(key, FLAG, OFF, viewer)).body['code']).toBe('FORBIDDEN');
    await owner.query(`update portcullis_control.api_token set role = 'operator' where name = 'viv'`);
    const allowed = await keyed(key, FLAG, OFF, viewer);
    expect([allowed.status, replayed(allowed)]).toEqual([200, null]);
    await owner.query(`update portcullis_control.api_token set role = 'viewer' where name = 'viv'`);
    expect((await keyed(key, FLAG, OFF, viewer)).body['code']).toBe('FORBIDDEN');
  });

  test('of another caller is another act', async () => {
    const key = randomUUID();
    const before = await changes();
    await keyed(key, FLAG, OFF);
    const other = await keyed(key, FLAG, OFF, await served.as('otto', 'operator'));
    expect([other.status, replayed(other)]).toEqual([200, null]);
    expect(await changes()).toBe(before + 2);
  });

  test('is carried out again after 24 hours, when its key is forgotten', async () => {
    const key = randomUUID();
    await keyed(key, FLAG, OFF);
    await owner.query(
      `update portcullis_control.idempotency_key set begun_at = begun_at - interval '24 hours' where key = $1`,
      [key],
    );
    expect(replayed(await keyed(key, FLAG, { ...OFF, reason: 'other' }))).toBeNull();
    await owner.query(
      `update portcullis_control.idempotency_key set begun_at = begun_at - interval '24 hours' where key = $1`,
      [key],
    );
    expect(await forgetKeys(owner)).toBe(1);
  });
});

test('the same key with another input or operation is refused, and nothing is done', async () => {
  const key = randomUUID();
  await keyed(key, FLAG, OFF);
  const before = await changes();
  for (const [path, body] of [
    [FLAG, { ...OFF, reason: 'other' }],
    ['/api/v1/flags/domain-claim/us-east-1', OFF],
    ['/api/v1/notifications/test', {}],
  ] as const) {
    const refused = await keyed(key, path, body);
    expect([path, refused.status, refused.body['code']]).toEqual([path, 422, 'IDEMPOTENCY_KEY_REUSED']);
  }
  expect(await changes()).toBe(before);
});

test('a key is 1 to 200 printable characters', async () => {
  for (const key of ['x'.repeat(201), 'k\u00e9y']) {
    expect((await keyed(key, FLAG, OFF)).body['code']).toBe('REQUEST_INVALID');
  }
  expect((await keyed('x'.repeat(200), FLAG, OFF)).status).toBe(200);
});

test('a new token is not kept for whoever asks again', async () => {
  const key = randomUUID();
  const order = { name: 'ci', role: 'operator', owner: 'machine' };
  const { body } = await keyed(key, '/api/v1/tokens', order);
  expect(body['token']).toMatch(/^pcl_/);
  const again = await keyed(key, '/api/v1/tokens', order);
  expect([again.status, again.body['code']]).toEqual([409, 'IDEMPOTENCY_ANSWER_NOT_KEPT']);
  const { rows } = await owner.query<{ kept: string }>(
    'select to_jsonb(k)::text as kept from portcullis_control.idempotency_key k where key = $1',
    [key],
  );
  expect(rows[0]?.kept).not.toContain(String(body['token']));
});

test('a kill kills each time, whatever its key was given for before', async () => {
  const key = randomUUID();
  await keyed(key, FLAG, OFF);
  const epochs = [];
  for (const reason of ['wrong', 'wrong', 'worse']) {
    const killed = await keyed(key, '/api/v1/jobs/domain-claim/kill', { region: 'eu-west-1', reason });
    expect([killed.status, replayed(killed)]).toEqual([200, null]);
    epochs.push((killed.body['killed'] as { epoch: number }[])[0]?.epoch ?? 0);
  }
  expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
});

describe('an act that is under way', () => {
  const act = (): KeyedAct => ({
    ...{
      caller: 'caller',
      key: randomUUID(),
      operation: 'setFlag',
      input: { body: { a: 1 } },
      secret: false,
      oneCommit: false,
    },
  });
  const ANSWER: Answered = { status: 200, contentType: 'application/json', body: '{"n":1}' };
  const never = (): Promise<Answered> => Promise.reject(new Error('carried out twice'));
  const ignore = (): void => undefined;

  /** One that is under way until it is told to answer. */
  async function underWay(of: KeyedAct) {
    let end: (answer: Answered) => void = ignore;
    const ended = new Promise<Answered>((resolve) => (end = resolve));
    const first = once(owner, of, () => ended, ignore);
    await until('the key to be claimed', async () => {
      const { rowCount } = await owner.query(
        'select from portcullis_control.idempotency_key where key = $1',
        [of.key],
      );
      return rowCount === 1;
    });
    return { first, end: () => end(ANSWER) };
  }

  test('is waited for by the same call, which answers the same', async () => {
    const of = act();
    const { first, end } = await underWay(of);
    let replays = 0;
    const patience = { waitMs: 120_000, lostMs: 120_000 };
    const second = once(owner, of, never, () => (replays += 1), patience);
    end();
    expect(await Promise.all([first, second])).toEqual([ANSWER, ANSWER]);
    expect(replays).toBe(1);
  });

  test('is said to be under way to whoever waits no longer, and to be lost after a while', async () => {
    const of = act();
    const { first, end } = await underWay(of);
    const impatient = once(owner, of, never, ignore, { waitMs: 0, lostMs: 120_000 });
    await expect(impatient).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE' });
    const late = once(owner, of, never, ignore, { waitMs: 0, lostMs: 0 });
    await expect(late).rejects.toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
    end();
    await first;
    expect(await once(owner, of, never, ignore)).toEqual(ANSWER);
  });

  test('and fails here is carried out by the next call', async () => {
    const of = act();
    for (const error of [new Error('a fault'), new PortcullisError('DATABASE_UNREACHABLE', 'it is away')]) {
      await expect(once(owner, of, () => Promise.reject(error), ignore)).rejects.toBe(error);
    }
    expect(await once(owner, of, () => Promise.resolve(ANSWER), ignore)).toEqual(ANSWER);
  });
});

test('the client repeats an act whose answer was lost, and it is carried out once', async () => {
  const before = await changes();
  const keys = new Set<string | null>();
  const client = createClient({
    url: served.url,
    token: served.token,
    fetch: async (url, init) => {
      keys.add(new Headers(init?.headers).get('idempotency-key'));
      const response = await fetch(url, init);
      if (response.headers.get('idempotent-replayed') === null) throw new TypeError('fetch failed');
      return response;
    },
  });
  const input = { job: 'domain-claim', region: 'eu-west-1', enabled: false, reason: 'lost' };
  expect(await client.call('setFlag', input)).toMatchObject({
    name: 'domain-claim.eu-west-1',
    reason: 'lost',
  });
  expect([await changes(), keys.size]).toEqual([before + 1, 1]);
});
