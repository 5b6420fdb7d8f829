import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { testDatabase } from '../support/database.js';
import { post, serving } from './serving.js';

const { owner } = await testDatabase();
const served = await serving(owner);

test('notifications are listed with their deliveries, and a dead one is tried again, on the record', async () => {
  const sent = await served.json('/api/v1/notifications/test', post({}));
  expect(sent.status).toBe(200);
  const id = String(sent.body['id']);
  await owner.query(
    `insert into portcullis_control.delivery (notice, receiver, state, attempts, last_problem, ended_at)
     values ($1, 'hooks.example#01234567', 'dead', 12, 'HTTP 500', clock_timestamp())`,
    [id],
  );
  const listed = await served.json('/api/v1/notifications?state=dead');
  expect(listed.body).toEqual({
    items: [
      {
        ...{ id, kind: 'test', job: null, region: null, title: 'Portcullis: a test' },
        ...{ lines: [expect.stringContaining('nothing has happened')], at: expect.stringMatching(/Z$/) },
        deliveries: [
          {
            ...{ receiver: 'hooks.example#01234567', state: 'dead', attempts: 12, lastProblem: 'HTTP 500' },
            ...{ nextAt: null, endedAt: expect.stringMatching(/Z$/) },
          },
        ],
      },
    ],
    next: null,
  });
  const retried = await served.json(`/api/v1/notifications/${id}/retry`, post({}));
  expect(retried.body['deliveries']).toMatchObject([{ state: 'pending', attempts: 0 }]);
  const audit = await served.json('/api/v1/audit?action=retry-notification');
  expect(audit.body['items']).toMatchObject([
    { subject: id, evidence: { receivers: ['hooks.example#01234567'] } },
  ]);
  expect((await served.json(`/api/v1/notifications/${id}/retry`, post({}))).body['code']).toBe(
    'NOTIFICATION_NOT_DEAD',
  );
  expect((await served.json(`/api/v1/notifications/${randomUUID()}/retry`, post({}))).body['code']).toBe(
    'NOTIFICATION_UNKNOWN',
  );
});

test('a test notification that nobody would receive is not sent, and says so', async () => {
  const alone = await serving(owner, { receivers: 0 });
  const { rows: before } = await owner.query('select id from portcullis_control.notice');
  expect(await alone.json('/api/v1/notifications/test', post({}))).toMatchObject({
    status: 409,
    body: { code: 'NOTHING_REACHED', detail: 'no notification sent: no receiver is configured' },
  });
  expect((await owner.query('select id from portcullis_control.notice')).rows).toEqual(before);
});

test('receivers are listed with what they get and whether they take it; one is tried by its name', async () => {
  await owner.query(
    `insert into portcullis_control.receiver (name, kind, target, severities, seen_at)
     values ('oncall', 'pagerduty', 'events.example', '{critical}', clock_timestamp()),
            ('away', 'webhook', 'hooks.example', null, clock_timestamp() - interval '5 minutes')`,
  );
  const { body } = await served.json('/api/v1/receivers');
  expect(body['items']).toMatchObject([
    { name: 'away', served: false, severities: null },
    {
      ...{
        name: 'oncall',
        kind: 'pagerduty',
        target: 'events.example',
        severities: ['critical'],
        jobs: null,
      },
      ...{ served: true, pending: 0, dead: 0, deliveredAt: null, lastProblem: null },
    },
  ]);
  const sent = await served.json('/api/v1/notifications/test', post({ receiver: 'oncall' }));
  const { rows } = await owner.query('select details from portcullis_control.notice where id = $1', [
    sent.body['id'],
  ]);
  expect(rows).toEqual([{ details: { receiver: 'oncall' } }]);
  expect(await served.json('/api/v1/notifications/test', post({ receiver: 'oncal' }))).toMatchObject({
    status: 404,
    body: { code: 'RECEIVER_UNKNOWN', hint: 'did you mean oncall?' },
  });
  await owner.query('delete from portcullis_control.notice where id = $1', [sent.body['id']]);
});

test('notifications come in pages, newest first', async () => {
  for (let nth = 0; nth < 4; nth += 1) await served.json('/api/v1/notifications/test', post({}));
  const seen: unknown[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor === null ? '' : `&cursor=${cursor}`;
    const { body } = await served.json(`/api/v1/notifications?limit=2${more}`);
    seen.push(...(body['items'] as { id: string }[]).map(({ id }) => id));
    cursor = body['next'] as string | null;
  } while (cursor !== null);
  expect(new Set(seen).size).toBe(5);
  expect(seen).toHaveLength(5);
});
