import { createHmac } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { slackIssuer } from '../../src/access/slack-people.js';
import { webhookAt, type Receiver } from '../../src/notify/receivers.js';
import type { Poller } from '../../src/kernel/poller.js';
import { startSender } from '../../src/notify/sender.js';
import { tokenOf } from '../support/people.js';
import { testDatabase } from '../support/database.js';
import { SLACK_TOKEN, startSlackServer, type Asked } from '../support/slack-server.js';
import { until } from '../support/until.js';
import { hearFlags, post, serving, type JsonCall, type Served } from './serving.js';

const { api, asked, refused, refuse } = await startSlackServer();

const SECRET = '8f742231b10e8888abcd99bbbddd85a5';
const APP: Extract<Receiver, { kind: 'slack' }> = {
  ...{ name: 'team', kind: 'slack', severities: null, kinds: ['approval'], jobs: ['domain-claim'] },
  ...{ api, token: SLACK_TOKEN },
  ...{ signingSecret: SECRET, team: 'T0123ABCD', channel: 'C0123ABCD' },
};
const { owner } = await testDatabase();
let served: Served;
let ann: JsonCall;
let admin: JsonCall;

beforeAll(async () => {
  await hearFlags(owner);
  served = await serving(
    owner,
    {},
    { slack: { apps: [APP], publicUrl: 'https://portcullis.example', timeoutMs: 5_000 } },
  );
  admin = served.json;
  ann = await served.as('ann', 'operator');
  await linked('ann', 'U0ANN', 'operator');
  await linked('bob', 'U0BOB', 'approver');
  await linked('vic', 'U0VIC', 'viewer');
});
beforeEach(() => {
  asked.length = 0;
  refused.length = 0;
  refuse(undefined);
});

async function linked(
  name: string,
  subject: string,
  role: 'operator' | 'approver' | 'viewer',
): Promise<void> {
  if (name !== 'ann') await tokenOf(owner, { name, role });
  const { status } = await admin(
    `/api/v1/people/${name}/link`,
    post({ issuer: slackIssuer(APP.team), subject }),
  );
  expect(status).toBe(200);
  // Whoever is linked counts as introduced by the admin, and an hour later as somebody who may be a second person.
  await owner.query(
    `update portcullis_control.person set known_since = clock_timestamp() - interval '2 hours' where name = $1`,
    [name],
  );
}

interface Signing {
  readonly secret?: string;
  readonly agoS?: number;
  /** What is sent in place of what was signed. */
  readonly sent?: string;
}

let nth = 0;

/** Sends it as Slack does: a form, signed over its raw body. */
async function interact(
  payload: object,
  { secret = SECRET, agoS = 0, sent }: Signing = {},
): Promise<Response> {
  nth += 1;
  const body = `payload=${encodeURIComponent(JSON.stringify({ ...payload, trigger_id: `trigger-${nth}` }))}`;
  const at = String(Math.floor(Date.now() / 1_000) - agoS);
  const hmac = createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex');
  return send(sent ?? body, { at, signature: `v0=${hmac}` });
}

let last: Parameters<typeof send> | undefined;
function send(body: string, { at, signature }: { at: string; signature: string }): Promise<Response> {
  last = [body, { at, signature }];
  return fetch(`${served.url}/slack/interactions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': at,
      'x-slack-signature': signature,
    },
    body,
  });
}

const press = (action: string, notice: string, user: string): object => ({
  ...{ type: 'block_actions', team: { id: APP.team }, user: { id: user, team_id: APP.team } },
  container: { channel_id: APP.channel, message_ts: '1503435956.000247' },
  actions: [{ action_id: `portcullis-${action}`, value: JSON.stringify({ notice }) }],
});

/** A gate that is killed, and ann's request to re-arm it: the notice of it, and the request. */
async function rearmAsked(): Promise<{ notice: string; request: string }> {
  const region = 'eu-west-1';
  const killed = await admin('/api/v1/jobs/domain-claim/kill', post({ region, reason: 'test' }));
  expect(killed.status).toBe(200);
  const { status, body } = await ann('/api/v1/jobs/domain-claim/rearm', post({ region, reason: 'fixed' }));
  expect(status).toBe(200);
  const request = String(body['id']);
  const { rows } = await owner.query<{ id: string }>(
    `select id from portcullis_control.notice where details ->> 'request' = $1`,
    [request],
  );
  return { notice: rows[0]?.id ?? '', request };
}

const state = async (request: string): Promise<unknown> =>
  (
    await owner.query<{ decision: string | null }>(
      'select decision from portcullis_control.approval where id = $1',
      [request],
    )
  ).rows[0]?.decision;
const saidTo = (user: string): Promise<string> =>
  until(`an answer to ${user}`, () =>
    asked.find(({ method, body }) => method === 'chat.postEphemeral' && body.user === user),
  ).then(({ body }) => body.text ?? '');
const updated = (): Promise<Asked> =>
  until('the message updated', () => asked.find(({ method }) => method === 'chat.update'));
const buttonsOf = ({ body }: Asked): string[] =>
  (body.blocks ?? []).flatMap(({ type, elements = [] }) =>
    type === 'actions' ? elements.map((each) => each.action_id) : [],
  );

describe('a button of a notice', () => {
  test('approves as the person whom its user is linked to; the message says so; nobody approves twice', async () => {
    const { notice, request } = await rearmAsked();
    expect((await interact(press('approve', notice, 'U0BOB'))).status).toBe(200);
    const message = await updated();
    expect(message.body).toMatchObject({ channel: APP.channel, ts: '1503435956.000247' });
    expect(JSON.stringify(message.body.blocks)).toContain('Approved by bob');
    expect(buttonsOf(message)).toEqual(['portcullis-kill']);
    expect(await state(request)).toBe('approve');
    const { body } = await admin(`/api/v1/approvals?state=approved`);
    expect(body['items']).toMatchObject([{ id: request, decidedBy: 'slack:bob', decidedPerson: 'bob' }]);
    await interact(press('reject', notice, 'U0BOB'));
    expect(await saidTo('U0BOB')).toContain('approved');
  });

  test('does not approve what the same person asked for by a token: four eyes count across both', async () => {
    const { notice, request } = await rearmAsked();
    await owner.query(`update portcullis_control.person set role = 'admin' where name = 'ann'`);
    await interact(press('approve', notice, 'U0ANN'));
    expect(await saidTo('U0ANN')).toContain('ann asked for');
    expect(await state(request)).toBeNull();
    await interact(press('reject', notice, 'U0BOB'));
    expect(JSON.stringify((await updated()).body.blocks)).toContain('Rejected by bob');
    expect(await state(request)).toBe('reject');
  });

  test('tells whoever is no person, or may not, why and what to do; to them alone, and nothing changes', async () => {
    const { notice, request } = await rearmAsked();
    await interact(press('approve', notice, 'U0EVE'));
    expect(await saidTo('U0EVE')).toContain(
      'portcullis people link NAME --issuer https://app.slack.com/client/T0123ABCD --subject U0EVE',
    );
    await interact(press('approve', notice, 'U0VIC'));
    expect(await saidTo('U0VIC')).toContain('is a viewer, and approve takes');
    asked.length = 0;
    await interact(press('kill', notice, 'U0VIC'));
    expect(await saidTo('U0VIC')).toContain('is a viewer, and kill takes');
    expect(await state(request)).toBeNull();
    expect(asked.map(({ method }) => method)).toEqual(['chat.postEphemeral']);
    // The same user id in another workspace is somebody else.
    await interact({ ...press('approve', notice, 'U0BOB'), user: { id: 'U0BOB', team_id: 'T0OTHER' } });
    expect(await saidTo('U0BOB')).toContain('does not know who you are');
    const { body } = await admin('/api/v1/audit?action=refused');
    expect(JSON.stringify(body['items'])).toContain('slack:vic');
  });

  test('ends with the person: removed, or without a token that holds', async () => {
    const { notice, request } = await rearmAsked();
    await linked('dan', 'U0DAN', 'approver');
    await owner.query(
      `update portcullis_control.api_token set revoked_at = clock_timestamp() where name = 'dan'`,
    );
    await interact(press('approve', notice, 'U0DAN'));
    expect(await saidTo('U0DAN')).toContain('dan has no token that holds');
    asked.length = 0;
    // What the provider gave two days ago holds no longer.
    await owner.query(
      `insert into portcullis_control.identity (issuer, subject, person, role, signed_in_at, linked_by)
       select 'https://id.example', 'dan', id, 'approver', clock_timestamp() - interval '2 days', 'test'
       from portcullis_control.person where name = 'dan'`,
    );
    await interact(press('approve', notice, 'U0DAN'));
    expect(await saidTo('U0DAN')).toContain('has not signed in by the identity provider for 24 hours');
    expect(await state(request)).toBeNull();
  });

  test('kills with a reason that a form asks for, and only where the notice is about', async () => {
    const { notice } = await rearmAsked();
    const bob = await owner.query('select id from portcullis_control.notice where id = $1', [notice]);
    expect(bob.rows).toHaveLength(1);
    await interact(press('kill', notice, 'U0BOB'));
    const opened = await until('the form', () => asked.find(({ method }) => method === 'views.open'));
    expect(opened.body.trigger_id).toBe(`trigger-${nth}`);
    const epochOf = async (): Promise<number> =>
      (
        await owner.query<{ epoch: number }>(
          `select epoch from portcullis_region.gate where job = 'domain-claim' and region = 'eu-west-1'`,
        )
      ).rows[0]?.epoch ?? 0;
    const before = await epochOf();
    const form = {
      ...{ type: 'view_submission', team: { id: APP.team }, user: { id: 'U0BOB' } },
      view: {
        ...{ callback_id: 'portcullis-kill', private_metadata: opened.body.view?.private_metadata },
        state: {
          values: { reason: { reason: { type: 'plain_text_input', value: 'it deletes <everything>' } } },
        },
      },
    };
    expect((await interact(form)).status).toBe(200);
    const message = await updated();
    expect(JSON.stringify(message.body.blocks)).toContain(
      'bob killed domain-claim in eu-west-1: it deletes &lt;everything&gt;',
    );
    expect(await epochOf()).toBeGreaterThan(before);
    const { rows } = await owner.query<{ reason: string }>(
      `select reason from portcullis_region.gate where job = 'domain-claim' and region = 'eu-west-1'`,
    );
    expect(rows).toEqual([{ reason: 'it deletes <everything>' }]);
  });
});

describe('a request that is not Slack’s is refused, and does nothing', () => {
  test.each<[string, Signing]>([
    ['signed with another secret', { secret: '0'.repeat(32) }],
    ['more than five minutes old', { agoS: 301 }],
    ['from more than five minutes ahead', { agoS: -302 }],
    ['with another body than was signed', { sent: 'payload=%7B%7D' }],
  ])('%s', async (_, signing) => {
    const { notice, request } = await rearmAsked();
    const answer = await interact(press('approve', notice, 'U0BOB'), signing);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ code: 'SLACK_REFUSED' });
    expect(await state(request)).toBeNull();
    expect(asked).toEqual([]);
  });

  test('sent again', async () => {
    const { notice } = await rearmAsked();
    expect((await interact(press('approve', notice, 'U0BOB'))).status).toBe(200);
    await updated();
    const again = last === undefined ? undefined : await send(...last);
    expect(again?.status).toBe(401);
    expect(await again?.json()).toMatchObject({ detail: 'this is no request of Slack: it was taken before' });
  });

  test('without a signature, or by another method', async () => {
    const bare = await fetch(`${served.url}/slack/interactions`, { method: 'POST', body: 'payload={}' });
    expect(bare.status).toBe(401);
    expect((await fetch(`${served.url}/slack/interactions`)).status).toBe(405);
  });
});

const sending = (retryInMs?: () => number): Poller =>
  startSender(owner, served.deps.log, served.deps.metrics, {
    ...{ receivers: [APP, { ...webhookAt(APP.api, SECRET), kinds: ['hold'] }], timeoutMs: 5_000, everyMs: 5 },
    ...{ publicUrl: 'https://portcullis.example', ...(retryInMs && { retryInMs }) },
  });
const postedOf = (notice: string): Promise<Asked> =>
  until('the message', () =>
    asked.find(({ method, body }) => method === 'chat.postMessage' && JSON.stringify(body).includes(notice)),
  );

test('a Slack receiver gets the message with its buttons, and its token shows nowhere', async () => {
  const { notice } = await rearmAsked();
  const sender = sending();
  const message = await postedOf(notice);
  await sender.stop();
  expect(buttonsOf(message)).toEqual(['portcullis-approve', 'portcullis-reject', 'portcullis-kill']);
  expect(JSON.stringify(message.body.blocks)).toContain('https://portcullis.example/inbox/');
  expect(served.logged.join('')).not.toMatch(/xoxb|8f742231/);
});

describe('a message whose request is decided elsewhere', () => {
  interface Kept {
    readonly ts: string;
    readonly attempts: number;
    readonly settled: boolean;
    readonly problem: string | null;
    readonly waits: boolean;
  }
  const kept = async (notice: string): Promise<Kept | undefined> =>
    (
      await owner.query<Kept>(
        `select ts, attempts, settled_at is not null as settled, last_problem as problem,
                due_at > clock_timestamp() + interval '25 seconds' as waits
         from portcullis_control.slack_message where notice = $1`,
        [notice],
      )
    ).rows[0];
  const updateOf = (ts: string | undefined): Promise<Asked> =>
    until('the message updated', () =>
      asked.find(({ method, body }) => method === 'chat.update' && body.ts === ts),
    );
  let bob: JsonCall;
  beforeAll(async () => {
    bob = await served.as('bob-cli', 'approver');
  });
  let sender: Poller | undefined;
  afterEach(async () => {
    await sender?.stop();
    sender = undefined;
  });

  async function sent(): Promise<{ notice: string; request: string; ts: string }> {
    const asking = await rearmAsked();
    sender ??= sending(() => 1);
    await postedOf(asking.notice);
    const { ts } = await until('where it stands', () => kept(asking.notice));
    return { ...asking, ts };
  }
  const reject = async (request: string): Promise<void> => {
    const { status } = await bob(`/api/v1/approvals/${request}/reject`, post({ reason: 'no' }));
    expect(status).toBe(200);
  };

  test('says who decided, and loses its buttons; once', async () => {
    const { notice, request, ts } = await sent();
    expect(asked.some(({ method }) => method === 'chat.update')).toBe(false);
    await reject(request);
    const message = await updateOf(ts);
    expect(message.body.channel).toBe(APP.channel);
    expect(JSON.stringify(message.body.blocks)).toContain('Rejected by bob-cli');
    expect(buttonsOf(message)).toEqual(['portcullis-kill']);
    await until('it is settled', async () => ((await kept(notice))?.settled === true ? true : undefined));
    expect(await kept(notice)).toMatchObject({ attempts: 1, problem: null });
  });

  test('says so when it has expired', async () => {
    const { request, ts } = await sent();
    await owner.query(
      `update portcullis_control.approval set expires_at = clock_timestamp(), requested_at = requested_at - interval '2 hours'
       where id = $1`,
      [request],
    );
    expect(JSON.stringify((await updateOf(ts)).body.blocks)).toContain('has expired');
  });

  test('keeps what was done by its buttons', async () => {
    const { notice, request, ts } = await sent();
    await owner.query(
      `update portcullis_control.slack_message set done = '{⛔ bob killed it}' where notice = $1`,
      [notice],
    );
    await reject(request);
    const message = await updateOf(ts);
    expect(JSON.stringify(message.body.blocks)).toMatch(/bob killed it.*Rejected by bob-cli/);
    expect(buttonsOf(message)).toEqual([]);
  });

  test('is left alone for as long as Slack asks with 429', async () => {
    refuse('ratelimited');
    const { notice, request } = await sent();
    await reject(request);
    const put = await until('it waits', async () => {
      const now = await kept(notice);
      return now?.problem == null ? undefined : now;
    });
    expect(put).toMatchObject({ attempts: 1, settled: false, waits: true });
    refuse(undefined);
    await owner.query(
      `update portcullis_control.slack_message set due_at = clock_timestamp() where notice = $1`,
      [notice],
    );
    await updateOf(put.ts);
  });

  test.each([
    ['missing_scope', false, 'chat.update: missing_scope, needed: chat:write'],
    ['message_not_found', true, 'chat.update: message_not_found'],
  ])('refused with %s is said, and given up: %s', async (error, settled, problem) => {
    refuse(error);
    const { notice, request } = await sent();
    await reject(request);
    const put = await until('it was refused', async () => {
      const now = await kept(notice);
      return now?.problem == null ? undefined : now;
    });
    expect(put).toMatchObject({ settled, problem });
    expect(served.logged.join('')).toContain(problem);
  });
});
