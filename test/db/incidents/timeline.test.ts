import { afterAll, expect, test } from '@jest/globals';
import { recordAudit } from '../../../src/audit/record.js';
import type { Poller } from '../../../src/kernel/poller.js';
import { readGate } from '../../../src/gate/permit.js';
import { assessIncident } from '../../support/assess-incident.js';
import { closeIncident } from '../../../src/incidents/move-incident.js';
import { timelineOf, type Moment } from '../../../src/incidents/timeline.js';
import { notificationsOf, retryNotification } from '../../../src/notify/browse.js';
import { webhookAt } from '../../../src/notify/receivers.js';
import { startSender } from '../../../src/notify/sender.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { database, region, restore, run, VERSION } from '../../support/restoring.js';
import { OWN, trip } from '../../support/trip.js';
import { until } from '../../support/until.js';
import { receiving } from '../notify/receiving.js';

const { owner } = database;
const asked = { rule: 'asked-for', reason: 'asked-for: 3 rows', figures: {}, evidence: [] };
const logins = { rule: 'logins', reason: 'logins: 9 fail', figures: {}, evidence: [] };

let sender: Poller | undefined;
afterAll(async () => sender?.stop());

test('an incident’s timeline has all that happened, in order, and who did it', async () => {
  const short = (id: string): string => id.slice(0, 8);
  const other = `${region}-b`;
  await readGate(owner, 'claims', other);
  const bad = await run();
  const order = { job: 'claims', version: VERSION, stage: 'bake', restore: 'propose', closing: OWN } as const;
  const regionDatabases = { control: owner, ownerOf: () => owner };
  const { incident = '' } = await trip(regionDatabases, {
    ...{ ...order, region, run: bad.run.id },
    failed: [asked, logins],
  });
  await trip(regionDatabases, { ...order, region: other, run: null, failed: [logins] });

  // The receiver is away, is given up, and a person has it tried again once it is back.
  let away = true;
  const { url } = await receiving((response) => response.writeHead(away ? 503 : 200).end());
  sender = startSender(owner, createLogger({ level: 'silent' }), createMetrics(), {
    ...{ receivers: [webhookAt(url, 'sixteen or more of them')], timeoutMs: 2_000, everyMs: 5 },
    retryInMs: () => undefined,
  });
  const all = async (state: string) => {
    const notices = await notificationsOf(owner, incident);
    const deliveries = notices.flatMap((each) => each.deliveries);
    return deliveries.length === 2 && deliveries.every((each) => each.state === state) && notices;
  };
  const [dead] = await until('both are dead letters', async () => all('dead'));
  away = false;
  await retryNotification(owner, dead?.id ?? '', 'bob');
  await until('one is delivered', async () => {
    const [first] = await notificationsOf(owner, incident);
    return first?.deliveries.every(({ state }) => state === 'delivered');
  });

  await inTransaction(owner, (client) =>
    recordAudit(client, { principal: 'ann', action: 'restore', subject: bad.run.id, evidence: {} }),
  );
  await restore(bad.run.id);
  const looked = await assessIncident(owner, () => owner, incident, 'system:incidents');
  await closeIncident(owner, incident, { conclusion: 'a lost join', falseAlarm: false, by: 'ann' });

  const moments = await timelineOf(owner, looked);
  expect(moments.map(({ at }) => at)).toEqual(moments.map(({ at }) => at).toSorted());
  const { name } = webhookAt(url, '');
  const ran = `run ${short(bad.run.id)} of ${VERSION} in ${region}`;
  const told = (where: string, rule: string): string => `claims ${VERSION} tripped in ${where}: ${rule}`;
  const happened = (one: readonly string[], moment: Partial<Moment>): void => {
    expect(moments.filter(({ kind }) => one.includes(kind))).toEqual([expect.objectContaining(moment)]);
  };
  happened(['run-began'], { who: null, what: `${ran} began (manual)` });
  happened(['first-change'], { who: null, what: `${ran}: its first changes committed` });
  happened(['notified'], { who: 'system:notify', what: `notified ${name}: ${told(region, 'asked-for')}` });
  happened(['notification-dead'], {
    who: 'system:notify',
    what: `never reached ${name}, a dead letter after 1 attempt, HTTP 503: ${told(other, 'logins')}`,
  });
  happened(['retry-notification'], {
    who: 'bob',
    what: `sent again: ${told(region, 'asked-for')}`,
  });
  happened(['restore'], { who: 'ann', what: `asked for a restore of run ${short(bad.run.id)}` });
  happened(['restore-began'], { what: `restore of ${ran} began` });
  happened(['restore-succeeded'], { what: `restore of ${ran} ended as succeeded: 200 rows put back` });
  happened(['open-incident'], { who: 'guard:asked-for' });
  happened(['join-incident'], { who: 'guard:logins' });
  happened(['close-incident'], { who: 'ann', what: 'closed the incident: restored → closed; a lost join' });

  // What each trip did, by its own moments: the rule fails, the gate closes, and then it goes on record.
  const did = moments.filter(({ who }) => who === 'guard:asked-for');
  expect(did.map(({ kind }) => kind).slice(0, 3)).toEqual(['rule-failed', 'fenced', 'open-incident']);
  expect(did.map(({ what }) => what)).toEqual(
    expect.arrayContaining([
      `failed in ${region}: asked-for: 3 rows; logins: 9 fail`,
      `closed the gate claims.${region}: no change commits there any more`,
      `tripped claims.${region}`,
      `quarantined claims ${VERSION}: asked-for: 3 rows; logins: 9 fail`,
    ]),
  );
  expect(moments.filter(({ who }) => who === 'guard:logins').map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['rule-failed', 'fenced', 'join-incident', 'trip', 'quarantine']),
  );

  // In the order that the story has.
  const story = [
    'run-began',
    'first-change',
    'rule-failed',
    'fenced',
    'quarantine',
    'notified',
    'restore-began',
  ];
  const first = story.map((kind) => moments.findIndex((moment) => moment.kind === kind));
  expect(first).toEqual(first.toSorted((a, b) => a - b));
  expect(first).not.toContain(-1);
});
