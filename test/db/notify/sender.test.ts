import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Poller } from '../../../src/kernel/poller.js';
import { listNotifications, retryNotification, type Delivery } from '../../../src/notify/browse.js';
import { notify, type Notice } from '../../../src/notify/notice.js';
import { webhookAt } from '../../../src/notify/receivers.js';
import { startSender, type SenderOptions } from '../../../src/notify/sender.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { until } from '../../support/until.js';
import { freePort } from '../../support/prometheus.js';
import { receiving } from './receiving.js';

const { owner } = await testDatabase();
const SECRET = 'sixteen or more of them';
const NOTICE: Notice = { kind: 'trip', job: 'domain-claim', region: 'eu-west-1', title: 'it tripped' };

let logged = '';
const log = createLogger({ level: 'debug', to: { write: (line) => void (logged += line) } });
const metrics = createMetrics();
const senders: Poller[] = [];

function send(urls: readonly string[], options: Partial<SenderOptions> = {}): Poller {
  const sender = startSender(owner, log, metrics, {
    ...{ receivers: urls.map((url) => webhookAt(url, SECRET)), timeoutMs: 2_000, everyMs: 5 },
    retryInMs: (attempts) => (attempts >= 3 ? undefined : 1),
    ...options,
  });
  senders.push(sender);
  return sender;
}

beforeEach(async () => {
  logged = '';
  await owner.query('delete from portcullis_control.notice');
});
afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.stop()));
});

async function deliveries(): Promise<Delivery[]> {
  const { items } = await listNotifications(owner, {}, { limit: 200 });
  return items.flatMap((each) => each.deliveries);
}
const ended = (state: string) =>
  until(`a ${state} delivery`, async () => (await deliveries()).find((each) => each.state === state));

describe('a notification', () => {
  test('reaches every receiver once, signed, with any number of senders', async () => {
    const one = await receiving((response) => response.end());
    const other = await receiving((response) => response.end());
    const urls = [one.url, other.url];
    for (let nth = 0; nth < 30; nth += 1) await notify(owner, NOTICE);
    for (let nth = 0; nth < 4; nth += 1) send(urls);
    await until('all delivered', async () => {
      const all = await deliveries();
      return all.length === 60 && all.every(({ state }) => state === 'delivered');
    });
    for (const { received } of [one, other]) {
      expect(received).toHaveLength(30);
      expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(30);
      for (const { headers, body } of received) {
        // Throws where it is forged, or more than five minutes old.
        const genuine = new Webhook(Buffer.from(SECRET), { format: 'raw' }).verify(
          body,
          headers as Record<string, string>,
        );
        expect(genuine).toMatchObject({ text: 'it tripped', portcullis: { job: 'domain-claim' } });
      }
    }
    expect(logged).toBe('');
  });

  test('is told in the transaction that it tells of, or not at all', async () => {
    await expect(
      inTransaction(owner, async (client) => {
        await notify(client, NOTICE);
        throw new Error('it did not happen');
      }),
    ).rejects.toThrow('it did not happen');
    expect((await listNotifications(owner, {}, { limit: 10 })).items).toEqual([]);
  });

  test('of a key is made once, by however many at once', async () => {
    const ids = await Promise.all(Array.from({ length: 5 }, () => notify(owner, NOTICE, 'incident-7')));
    const again = await notify(owner, NOTICE, 'incident-7');
    const { items } = await listNotifications(owner, {}, { limit: 10 });
    expect(items.map(({ id }) => id)).toEqual([again]);
    expect(ids).toContain(again);
  });

  test('stays in the outbox where there is nobody to receive it', async () => {
    await notify(owner, NOTICE);
    await send([]).stop();
    const { items } = await listNotifications(owner, {}, { limit: 10 });
    expect(items).toMatchObject([{ title: 'it tripped', deliveries: [] }]);
  });
});

describe('a receiver', () => {
  test('that fails is tried again until it takes it, always with the same id', async () => {
    const hook = await receiving((response, nth) => response.writeHead(nth < 3 ? 503 : 204).end());
    await notify(owner, NOTICE);
    send([hook.url]);
    expect(await ended('delivered')).toMatchObject({ attempts: 3, lastProblem: null, nextAt: null });
    expect(new Set(hook.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  test('that goes on failing is given up, which shows; a person has it tried again', async () => {
    let mended = false;
    const hook = await receiving((response) => response.writeHead(mended ? 200 : 500).end());
    const id = await notify(owner, NOTICE);
    send([hook.url]);
    expect(await ended('dead')).toMatchObject({ attempts: 3, lastProblem: 'HTTP 500', nextAt: null });
    expect(await metrics.text()).toContain('portcullis_notification_backlog{state="dead"} 1');
    expect((await listNotifications(owner, { state: 'dead' }, { limit: 10 })).items).toHaveLength(1);
    mended = true;
    await retryNotification(owner, id, 'ann');
    expect(await ended('delivered')).toMatchObject({ attempts: 1 });
    expect((await listNotifications(owner, { state: 'dead' }, { limit: 10 })).items).toEqual([]);
    await expect(retryNotification(owner, id, 'ann')).rejects.toMatchObject({
      code: 'NOTIFICATION_NOT_DEAD',
    });
    await expect(retryNotification(owner, 'no-such', 'ann')).rejects.toMatchObject({
      code: 'NOTIFICATION_UNKNOWN',
    });
  });

  test('that hangs is left behind, and keeps nobody else from hearing', async () => {
    const hanging = await receiving(() => undefined);
    const well = await receiving((response) => response.end());
    await notify(owner, NOTICE);
    send([hanging.url, well.url], { timeoutMs: 100 });
    expect(await ended('dead')).toMatchObject({ lastProblem: 'no answer within 100 ms' });
    expect(await ended('delivered')).toMatchObject({ attempts: 1 });
    expect(well.received).toHaveLength(1);
  });

  test('that answers and then never ends has taken it', async () => {
    const endless = await receiving((response) => {
      response.writeHead(200).write('o');
    });
    await notify(owner, NOTICE);
    send([endless.url]);
    expect(await ended('delivered')).toMatchObject({ attempts: 1 });
  });

  test('that sends elsewhere is not followed', async () => {
    const elsewhere = await receiving((response) => response.end());
    const hook = await receiving((response) => response.writeHead(307, { location: elsewhere.url }).end());
    await notify(owner, NOTICE);
    send([hook.url]);
    expect(await ended('dead')).toMatchObject({ lastProblem: 'HTTP 307, and redirects are not followed' });
    expect(elsewhere.received).toEqual([]);
  });

  test('that is gone is named in the log, but neither its address nor the secret', async () => {
    await notify(owner, NOTICE);
    const port = await freePort();
    send([`http://127.0.0.1:${port}/services/hidden-path`]);
    expect(await ended('dead')).toMatchObject({ lastProblem: expect.stringContaining('ECONNREFUSED') });
    expect(logged).toContain(`127.0.0.1:${port}#`);
    expect(logged).not.toMatch(/hidden-path|sixteen or more/);
  });
});

describe('a sender that stops', () => {
  test('does not wait for a receiver that hangs; the next one goes on at once', async () => {
    const slow = await receiving((response, nth) => {
      if (nth > 1) response.end();
    });
    await notify(owner, NOTICE);
    const first = send([slow.url], { timeoutMs: 60_000 });
    await until('the first attempt', () => slow.received.length === 1);
    const startedAt = performance.now();
    await first.stop();
    expect(performance.now() - startedAt).toBeLessThan(30_000);
    send([slow.url]);
    await ended('delivered');
    expect(slow.received).toHaveLength(2);
  });

  test('at once, without settling its attempt, leaves it to another when its time is over', async () => {
    const hook = await receiving((response) => response.end());
    await notify(owner, NOTICE);
    await owner.query('update portcullis_control.notice set addressed_at = clock_timestamp()');
    await owner.query(
      `insert into portcullis_control.delivery (notice, receiver, attempts, due_at)
       select id, $1, 1, clock_timestamp() + interval '300 milliseconds' from portcullis_control.notice`,
      [webhookAt(hook.url, SECRET).name],
    );
    send([hook.url]);
    expect(await ended('delivered')).toMatchObject({ attempts: 2 });
  });
});

test('a delivery whose receiver nobody knows any more is given up after a day, and forgotten after a month', async () => {
  const hook = await receiving((response) => response.end());
  await notify(owner, NOTICE);
  const old = await notify(owner, NOTICE);
  await owner.query(
    `update portcullis_control.notice set addressed_at = clock_timestamp(), at = case when id = $1
       then at - interval '31 days' else at end`,
    [old],
  );
  await owner.query(
    `insert into portcullis_control.delivery (notice, receiver, due_at)
     select id, 'gone.example#00000000', clock_timestamp() - interval '25 hours' from portcullis_control.notice`,
  );
  send([hook.url]);
  expect(await ended('dead')).toMatchObject({ lastProblem: 'no process knows this receiver any more' });
  await until('the old one gone', async () => (await deliveries()).length === 1);
  expect(hook.received).toEqual([]);
});
