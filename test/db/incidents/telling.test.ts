import { afterAll, expect, test } from '@jest/globals';
import type { Poller } from '../../../src/kernel/poller.js';
import { examineIncident } from '../../../src/incidents/assess-incident.js';
import { postMortemOf } from '../../../src/incidents/post-mortem.js';
import { timelineOf, type Moment } from '../../../src/incidents/timeline.js';
import { readGate } from '../../../src/gate/permit.js';
import { webhookAt } from '../../../src/notify/receivers.js';
import { startSender } from '../../../src/notify/sender.js';
import { notify } from '../../../src/notify/notice.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { until } from '../../support/until.js';
import { OWN, trip } from '../../support/trip.js';
import { receiving } from '../notify/receiving.js';

const { owner } = await testDatabase();
const REGION = 'eu-west-1';
const TITLE = `claims 1.1.0_00000001 tripped in ${REGION}: asked-for`;
const rule = { rule: 'asked-for', reason: 'asked-for: 3 rows', figures: {}, evidence: [] };

const senders: Poller[] = [];
afterAll(async () => {
  await Promise.all(senders.map((sender) => sender.stop()));
});

function send(urls: readonly string[], retryInMs: () => number | undefined): Poller {
  const secret = 'sixteen or more of them';
  const options = {
    receivers: urls.map((url) => webhookAt(url, secret)),
    timeoutMs: 2_000,
    everyMs: 5,
    retryInMs,
  };
  const sender = startSender(owner, createLogger({ level: 'silent' }), createMetrics(), options);
  senders.push(sender);
  return sender;
}

async function told(incident: string): Promise<Moment[]> {
  const looked = await examineIncident(owner, () => owner, incident);
  const moments = await timelineOf(owner, looked);
  expect(moments.map(({ at }) => at)).toEqual(moments.map(({ at }) => at).sort());
  const draft = postMortemOf(looked, moments);
  const notices = moments.filter(({ who }) => who === 'system:notify');
  for (const { what } of notices) expect(draft).toContain(`| ${what} | system:notify |`);
  return notices;
}

test('the timeline says whom an incident was told to and when, whom it never reached, and that nobody was told', async () => {
  await readGate(owner, 'claims', REGION);
  const { incident = '' } = await trip(
    { control: owner, ownerOf: () => owner },
    {
      ...{ job: 'claims', region: REGION, version: '1.1.0_00000001', run: null, stage: 'bake' },
      ...{ failed: [rule], restore: 'propose', closing: OWN },
    },
  );
  await notify(owner, { kind: 'hold', job: 'claims', title: 'of something else' });
  expect(await told(incident)).toMatchObject([
    { kind: 'notification-unaddressed', what: `no notification sent, no receiver is configured: ${TITLE}` },
  ]);

  const well = await receiving((response) => response.end());
  const broken = await receiving((response) => response.writeHead(500).end());
  const [wellName, brokenName] = [webhookAt(well.url, '').name, webhookAt(broken.url, '').name];
  const is = (text: string, from: readonly Moment[]): Moment | undefined =>
    from.find(({ what }) => what === `${text}: ${TITLE}`);
  const patient = send([well.url, broken.url], () => 600_000);
  const notified = await until('one told and one tried', async () => {
    const moments = await told(incident);
    const waits = is(`has not reached ${brokenName} yet, 1 attempt so far, HTTP 500`, moments);
    return waits && is(`notified ${wellName}`, moments);
  });
  expect(notified.kind).toBe('notified');
  expect(Math.abs(Date.parse(notified.at) - Date.now())).toBeLessThan(30_000);

  await patient.stop();
  await owner.query(
    `update portcullis_control.delivery set due_at = clock_timestamp() where state = 'pending'`,
  );
  send([well.url, broken.url], () => undefined);
  const moments = await until('a dead letter', async () => {
    const now = await told(incident);
    return now.some(({ kind }) => kind === 'notification-dead') && now;
  });
  expect(is(`never reached ${brokenName}, a dead letter after 2 attempts, HTTP 500`, moments)).toBeDefined();
  expect(moments).toHaveLength(2);
});
