import { afterAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Poller } from '../../../src/kernel/poller.js';
import { readGate } from '../../../src/gate/permit.js';
import { findIncident } from '../../../src/incidents/browse-incidents.js';
import {
  carryOutWishes,
  killWithIncident,
  stopWithIncidents,
} from '../../../src/containment/kill-incident.js';
import { openByHand } from '../../../src/incidents/open-by-hand.js';
import { notificationsOf, type Notification } from '../../../src/notify/browse.js';
import { webhookAt } from '../../../src/notify/receivers.js';
import { startSender } from '../../../src/notify/sender.js';
import { openPool } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { until } from '../../support/until.js';
import { receiving } from '../notify/receiving.js';
import { person } from '../../support/people.js';

const { owner } = await testDatabase();
const ann = person('ann', 'admin');
let sender: Poller | undefined;
afterAll(async () => sender?.stop());

const titles = (notices: readonly Notification[]): string[] => notices.map(({ title }) => title);
const kill = (job: string, regions: readonly string[], ownerOf: (region: string) => pg.Pool = () => owner) =>
  killWithIncident(owner, ownerOf, { job, regions, reason: 'customers call' }, ann);

test('a kill that went straight to the database is told by whatever process sends', async () => {
  await readGate(owner, 'claims', 'eu');
  const { incident } = await kill('claims', ['eu']);
  expect(await notificationsOf(owner, incident ?? '')).toMatchObject([{ kind: 'kill', deliveries: [] }]);

  const { url, received } = await receiving((response) => response.end());
  const receiver = webhookAt(url, 'sixteen or more of them');
  const options = { receivers: [receiver], timeoutMs: 2_000, everyMs: 5 };
  sender = startSender(owner, createLogger({ level: 'silent' }), createMetrics(), options);
  const [first] = await until('the kill is told', () => Promise.resolve(received.length > 0 && received));
  expect(JSON.parse(first?.body ?? '{}')).toMatchObject({
    text: expect.stringMatching(/^ann killed claims in eu\ncustomers call\n/),
    portcullis: { kind: 'kill', job: 'claims', region: 'eu', details: { incident, by: 'ann' } },
  });
  const told = await until('that is noted', async () => {
    const [notice] = await notificationsOf(owner, incident ?? '');
    return notice?.deliveries.some(({ state }) => state === 'delivered') && notice;
  });
  expect(told.deliveries).toMatchObject([{ receiver: receiver.name, attempts: 1 }]);
});

test('a gate that could not be reached is told of as such, and once more when somebody has killed it', async () => {
  await readGate(owner, 'late', 'eu');
  await readGate(owner, 'late', 'us');
  const nowhere = openPool('postgres://nobody@127.0.0.1:1/none', { name: 'nowhere' });
  const { incident } = await kill('late', ['eu', 'us'], (region) => (region === 'us' ? nowhere : owner));
  const [notice] = await notificationsOf(owner, incident ?? '');
  expect(notice?.title).toBe('ann killed late in eu');
  expect(notice?.lines[2]).toMatch(/^late in us could not be killed yet/);
  // Who tries again in vain tells nobody: it has been said.
  await carryOutWishes(owner, () => nowhere);
  await nowhere.end();
  expect(titles(await notificationsOf(owner, incident ?? ''))).toHaveLength(1);

  await owner.query(`update portcullis_control.kill_wish set claimed_until = '-infinity'`);
  expect(await carryOutWishes(owner, () => owner)).toHaveLength(1);
  expect(titles(await notificationsOf(owner, incident ?? ''))).toEqual([
    'ann killed late in eu',
    'ann killed late in us',
  ]);
});

test('what a person reports is told, and where it goes on', async () => {
  await readGate(owner, 'seen', 'eu');
  await kill('seen', ['us']);
  const report = { job: 'seen', regions: ['eu', 'us'], title: 'customers call' };
  const { id } = await openByHand(owner, () => owner, report, 'bob');
  expect((await notificationsOf(owner, id)).at(-1)).toMatchObject({
    ...{ kind: 'incident', job: 'seen', title: 'bob reports seen: customers call' },
    lines: [
      'Nothing was stopped: it may still write in eu.',
      `What to do now: portcullis incident runbook ${id}`,
    ],
  });
});

test('to stop everything tells of each job, and that restores are stopped too', async () => {
  await readGate(owner, 'other', 'eu');
  const reports = await stopWithIncidents(owner, () => owner, { reason: 'everything' }, ann, {
    jobs: new Map([
      ['other', ['eu']],
      ['claims', ['eu']],
    ]),
  });
  expect(reports).toHaveLength(2);
  for (const { job, incident } of reports) {
    const notices = await notificationsOf(owner, incident ?? '');
    expect(notices.at(-1)).toMatchObject({ title: `ann killed ${job} in eu`, kind: 'kill' });
    expect(notices.at(-1)?.lines).toContain('No change of it commits there any more, and no restore.');
  }
});

test('to stop everything for practice stops everything, and says drill in each incident and notice', async () => {
  const jobs = new Map([['drilled', ['eu']]]);
  const order = { reason: 'game day', drill: true };
  const [report] = await stopWithIncidents(owner, () => owner, order, ann, { jobs });
  expect(await readGate(owner, 'drilled', 'eu')).toMatchObject({
    state: 'killed',
    reason: 'drill: game day',
  });
  const incident = report?.incident ?? '';
  expect(await findIncident(owner, incident)).toMatchObject({
    drill: true,
    title: 'Drill: ann killed drilled',
  });
  expect((await notificationsOf(owner, incident)).at(-1)?.title).toBe('Drill: ann killed drilled in eu');
  // A real stop is no drill, and joins none.
  const [real] = await stopWithIncidents(owner, () => owner, { reason: 'now' }, ann, { jobs });
  expect(real?.incident).not.toBe(incident);
});
