import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import type { Poller } from '../../../src/kernel/poller.js';
import { listNotifications, retryNotification, type Delivery } from '../../../src/notify/browse.js';
import { listReceivers } from '../../../src/notify/known-receivers.js';
import { notify, testNotice, type Notice } from '../../../src/notify/notice.js';
import type { Receiver } from '../../../src/notify/receivers.js';
import { startSender } from '../../../src/notify/sender.js';
import { closeIncident, moveIncident } from '../../../src/incidents/move-incident.js';
import { openIncident } from '../../../src/incidents/open-incident.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { until } from '../../support/until.js';
import { receiving, type Receiving } from './receiving.js';

/**
 * No real PagerDuty: a server on loopback that takes what the Events API v2 documents (PagerDuty/api-schema,
 * reference/events-v2) and refuses, as it does, what does not fit.
 */
const Event = z.strictObject({
  routing_key: z.string().length(32),
  event_action: z.enum(['trigger', 'acknowledge', 'resolve']),
  dedup_key: z.string().min(1).max(255),
  client: z.string().optional(),
  client_url: z.url().optional(),
  links: z.array(z.strictObject({ href: z.url(), text: z.string().optional() })).optional(),
  payload: z
    .strictObject({
      summary: z.string().min(1).max(1_024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'warning', 'error', 'info']),
      timestamp: z.iso.datetime(),
      component: z.string().optional(),
      group: z.string().optional(),
      class: z.string().optional(),
      custom_details: z.record(z.string(), z.unknown()),
    })
    .optional(),
});
type Event = z.output<typeof Event>;

const KEY = 'e93facc04764012d7bfb002500d5d1a6';
const { owner } = await testDatabase();
let logged = '';
const log = createLogger({ level: 'debug', to: { write: (line) => void (logged += line) } });
const senders: Poller[] = [];

interface PagerDuty extends Receiving {
  readonly taken: Event[];
}

/** `instead`: an answer that it gives to the `nth` request in place of taking it. */
async function pagerDuty(
  instead: (nth: number) => { status: number; headers?: Record<string, string> } | undefined = () =>
    undefined,
): Promise<PagerDuty> {
  const taken: Event[] = [];
  const server: Receiving = await receiving((response, nth) => {
    const other = instead(nth);
    if (other !== undefined) {
      response.writeHead(other.status, other.headers).end('{"status":"no","message":"not now"}');
      return;
    }
    const event = Event.safeParse(JSON.parse(server.received[nth - 1]?.body ?? ''));
    if (!event.success || (event.data.event_action === 'trigger' && event.data.payload === undefined)) {
      const errors = event.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [
        'no payload',
      ];
      response
        .writeHead(400)
        .end(
          JSON.stringify({ status: 'invalid event', message: `Event object is invalid for ${KEY}`, errors }),
        );
      return;
    }
    taken.push(event.data);
    response
      .writeHead(202)
      .end(
        JSON.stringify({ status: 'success', message: 'Event processed', dedup_key: event.data.dedup_key }),
      );
  });
  return { ...server, taken };
}

function send(url: string, wishes: Partial<Receiver> = {}): void {
  const receiver = {
    ...{ name: 'oncall', kind: 'pagerduty', url, routingKey: KEY, kinds: null, jobs: null },
    ...{ severities: ['critical', 'warning'], ...wishes },
  } as Receiver;
  senders.push(
    startSender(owner, log, createMetrics(), {
      ...{ receivers: [receiver], publicUrl: 'https://portcullis.example', timeoutMs: 2_000, everyMs: 5 },
      retryInMs: (attempts) => (attempts >= 5 ? undefined : 1),
    }),
  );
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

const trip = (incident: string): Notice => ({
  ...{ kind: 'trip', job: 'domain-claim', region: 'eu-west-1', title: '😀'.repeat(900) },
  ...{ lines: ['why'], details: { incident } },
});

async function incidentAndTrip(): Promise<string> {
  return inTransaction(owner, async (client) => {
    const { id } = await openIncident(client, {
      ...{
        job: `job-${Math.random().toString(36).slice(2)}`,
        cause: 'trip',
        title: 'it tripped',
        evidence: {},
        by: 'guard',
      },
      regions: [
        { region: 'eu-west-1', since: new Date().toISOString(), containedAt: new Date().toISOString() },
      ],
    });
    await notify(client, trip(id));
    return id;
  });
}

describe('PagerDuty', () => {
  test('has one alert an incident: triggered, acknowledged by a restore, resolved when it is closed', async () => {
    const there = await pagerDuty();
    send(there.url);
    const id = await incidentAndTrip();
    await notify(owner, { ...trip(id), kind: 'hold', title: 'and held' });
    await moveIncident(owner, id, 'restoring', { by: 'ann', reason: 'put it back' });
    await closeIncident(owner, id, { conclusion: 'fixed', falseAlarm: false, by: 'ann' });
    await until('the alert resolved', () => there.taken.some((each) => each.event_action === 'resolve'));
    expect(there.taken.map((each) => each.event_action)).toEqual([
      'trigger',
      'trigger',
      'acknowledge',
      'resolve',
    ]);
    expect(new Set(there.taken.map((each) => each.dedup_key))).toEqual(
      new Set([`portcullis/incident/${id}`]),
    );
    const href = `https://portcullis.example/incidents/${id}`;
    expect(there.taken[0]).toMatchObject({
      client_url: href,
      links: [{ href }],
      payload: { severity: 'critical', source: 'domain-claim.eu-west-1', custom_details: { lines: ['why'] } },
    });
    expect(there.taken[1]).toMatchObject({ payload: { severity: 'warning', summary: 'and held' } });
    expect(logged).toBe('');
  });

  test('that is away is told of an incident in order, so that nothing stays open', async () => {
    const there = await pagerDuty((nth) => (nth <= 2 ? { status: 500 + nth } : undefined));
    const id = await incidentAndTrip();
    await closeIncident(owner, id, { conclusion: 'fixed', falseAlarm: false, by: 'ann' });
    send(there.url);
    await until('both taken', () => there.taken.length === 2);
    expect(there.taken.map((each) => each.event_action)).toEqual(['trigger', 'resolve']);
    expect(there.received).toHaveLength(4);
  });

  test('that answers 429 is left alone for as long as it asks', async () => {
    const there = await pagerDuty((nth) =>
      nth === 1 ? { status: 429, headers: { 'retry-after': '90' } } : undefined,
    );
    await incidentAndTrip();
    send(there.url);
    const [waiting] = await until('a try', async () => {
      const all = await deliveries();
      return all.some(({ lastProblem }) => lastProblem !== null) && all;
    });
    expect(waiting).toMatchObject({ state: 'pending', attempts: 1, lastProblem: 'HTTP 429: not now' });
    const inS = (Date.parse(waiting?.nextAt ?? '') - Date.now()) / 1_000;
    expect(inS).toBeGreaterThan(60);
    expect(inS).toBeLessThan(91);
  });

  test('that answers 400 is not asked again, and what it says is kept without the key', async () => {
    const there = await pagerDuty();
    await incidentAndTrip();
    send(there.url, { routingKey: KEY.slice(1) });
    const dead = await until('a dead one', async () =>
      (await deliveries()).find(({ state }) => state === 'dead'),
    );
    expect(dead).toMatchObject({
      attempts: 1,
      lastProblem: expect.stringContaining('HTTP 400: Event object is invalid'),
    });
    expect(there.taken).toEqual([]);
    expect(logged).not.toContain(KEY.slice(1));
    expect(dead.lastProblem).not.toContain(KEY.slice(1));
  });

  test('opens nothing for what is tried again after the incident has ended', async () => {
    let up = false;
    const there = await pagerDuty(() => (up ? undefined : { status: 503 }));
    const id = await incidentAndTrip();
    send(there.url);
    await until('given up', async () => (await deliveries()).some(({ state }) => state === 'dead'));
    up = true;
    await closeIncident(owner, id, { conclusion: 'fixed', falseAlarm: false, by: 'ann' });
    await until('resolved', () => there.taken.length === 1);
    await until('noted', async () => (await deliveries()).some(({ state }) => state === 'delivered'));
    const { items } = await listNotifications(owner, { state: 'dead' }, { limit: 1 });
    await retryNotification(owner, items[0]?.id ?? '', 'ann');
    await until('the late one', () => there.taken.length === 2);
    expect(there.taken.map((each) => each.event_action)).toEqual(['resolve', 'resolve']);
  });

  test('gets what its severities, kinds and jobs say; a test by its name; and is shown without its key', async () => {
    const there = await pagerDuty();
    send(there.url, { severities: ['critical'], jobs: ['domain-claim'] });
    await notify(owner, { kind: 'hold', job: 'domain-claim', title: 'a warning' });
    await notify(owner, { kind: 'trip', job: 'other', title: 'of another job' });
    await notify(owner, { kind: 'kill', job: 'domain-claim', title: 'a drill', details: { drill: true } });
    await notify(owner, testNotice('ann', 'elsewhere'));
    await notify(owner, { kind: 'kill', job: 'domain-claim', title: 'killed' });
    await notify(owner, testNotice('ann', 'oncall'));
    await until('two taken', () => there.taken.length === 2);
    expect(there.taken.map((each) => each.payload?.summary).sort()).toEqual(['Portcullis: a test', 'killed']);
    const shown = await until('its health', async () => {
      const [one] = await listReceivers(owner);
      return one?.pending === 0 && one.deliveredAt !== null && one;
    });
    expect(shown).toMatchObject({ name: 'oncall', kind: 'pagerduty', served: true, dead: 0, pending: 0 });
    expect(JSON.stringify(shown)).not.toContain(KEY);
  });
});
