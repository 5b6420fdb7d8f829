import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { eventOf } from '../../../src/notify/pagerduty.js';
import { readReceivers, type Receiver } from '../../../src/notify/receivers.js';
import { slackMessageOf } from '../../../src/notify/slack.js';
import { messageOf, type OutgoingNotice } from '../../../src/notify/message.js';

const folder = mkdtempSync(join(tmpdir(), 'receivers-'));
afterAll(() => rmSync(folder, { recursive: true }));

function read(text: string, secrets: Record<string, string> = {}): readonly Receiver[] {
  const file = join(folder, 'receivers.yaml');
  writeFileSync(file, text);
  return readReceivers({ file, urls: [], secret: '', secrets });
}

function faults(text: string, secrets: Record<string, string> = {}): readonly string[] {
  try {
    read(text, secrets);
  } catch (error) {
    const { details } = error as { details: { faults: string[] } };
    return details.faults.map((fault) => fault.replace(`${folder}/`, ''));
  }
  return [];
}

const ALL = `
receivers:
  - { name: oncall, kind: pagerduty, routingKey: PORTCULLIS_RECEIVER_ONCALL, severities: [critical] }
  - name: team
    kind: slack
    token: PORTCULLIS_RECEIVER_SLACK_TOKEN
    signingSecret: PORTCULLIS_RECEIVER_SLACK_SECRET
    team: T0123ABCD
    channel: C0123ABCD
    jobs: [domain-claim]
  - { name: own, kind: webhook, url: PORTCULLIS_RECEIVER_OWN_URL, secret: PORTCULLIS_RECEIVER_OWN_SECRET }
`;
const SECRETS = {
  PORTCULLIS_RECEIVER_ONCALL: 'e93facc04764012d7bfb002500d5d1a6',
  PORTCULLIS_RECEIVER_SLACK_TOKEN: 'xoxb-12345678-abc',
  PORTCULLIS_RECEIVER_SLACK_SECRET: '8f742231b10e8888abcd99yyyzzz85a5'.replaceAll(/[^0-9a-f]/g, '0'),
  PORTCULLIS_RECEIVER_OWN_URL: 'https://own.example/hook',
  PORTCULLIS_RECEIVER_OWN_SECRET: 'sixteen or more of them',
};

describe('a receivers file', () => {
  test('names each receiver, what it gets, and the variables that have its secrets', () => {
    const [oncall, team, own] = read(ALL, SECRETS);
    expect(oncall).toMatchObject({
      ...{ kind: 'pagerduty', severities: ['critical'], kinds: null, jobs: null },
      ...{ routingKey: SECRETS.PORTCULLIS_RECEIVER_ONCALL, url: 'https://events.pagerduty.com/v2/enqueue' },
    });
    expect(team).toMatchObject({ kind: 'slack', api: 'https://slack.com/api/', jobs: ['domain-claim'] });
    expect(own).toMatchObject({ kind: 'webhook', url: 'https://own.example/hook' });
  });

  test('is refused with all its faults at once, and no secret in any', () => {
    const broken = `
receivers:
  - { name: oncall, kind: pagerduty, routingKey: PORTCULLIS_RECEIVER_ONCALL }
  - { name: oncall, kind: mail }
  - { name: Team, kind: webhook, url: 'https://secret.example', secret: PORTCULLIS_RECEIVER_S, kinds: [] }
`;
    expect(faults(broken)).toEqual([
      'receivers.yaml: receivers[2].kind: must be one of webhook, slack, pagerduty',
      'receivers.yaml: receivers[3].name: must be up to 40 small letters, digits and hyphens',
      'receivers.yaml: receivers[3].kinds: must not be empty; leave it out for all',
      'receivers.yaml: receivers[3].url: must name a variable such as PORTCULLIS_RECEIVER_ONCALL: the file holds no secrets',
    ]);
    expect(
      faults(ALL, {
        ...SECRETS,
        PORTCULLIS_RECEIVER_ONCALL: 'hidden',
        PORTCULLIS_RECEIVER_SLACK_TOKEN: 'xoxp-hidden',
        PORTCULLIS_RECEIVER_OWN_SECRET: 'short',
        PORTCULLIS_RECEIVER_STRAY: 'hidden',
      }),
    ).toEqual([
      'PORTCULLIS_RECEIVER_ONCALL must be an integration key of 32 letters and digits',
      'PORTCULLIS_RECEIVER_SLACK_TOKEN must be a bot token, which begins with xoxb-',
      'PORTCULLIS_RECEIVER_OWN_SECRET must have at least 16 characters',
      'PORTCULLIS_RECEIVER_STRAY is given, and no receivers file (PORTCULLIS_RECEIVERS) names it',
    ]);
    expect(faults(ALL)[0]).toBe('PORTCULLIS_RECEIVER_ONCALL is not set: receiver oncall needs it');
  });

  test('leaves the webhooks of PORTCULLIS_NOTIFY_URLS as they are', () => {
    const [only] = readReceivers({
      ...{ file: undefined, urls: ['https://a.example/x'], secret: '0123456789abcdef', secrets: {} },
    });
    expect(only).toMatchObject({ kind: 'webhook', severities: null, url: 'https://a.example/x' });
    expect(only?.name).toMatch(/^a\.example#[0-9a-f]{8}$/);
  });
});

const NOTICE: OutgoingNotice = {
  ...{ id: '0b6d3c1e-58b4-4c0f-9f0e-3a53f6f0a1de', kind: 'rollout', job: 'domain-claim', region: null },
  ...{ title: '👩‍👩‍👧'.repeat(400), lines: ['<!channel> & co', '👩‍👩‍👧'.repeat(1_000)] },
  ...{ details: { request: 'APR-7K2M' }, at: '2026-03-01T09:30:00.000Z' },
};

test('texts are cut between characters, at the limits of Slack and of PagerDuty', () => {
  const { blocks, text } = slackMessageOf(NOTICE, 'https://portcullis.example');
  const [header, lines, , actions] = blocks as unknown as [
    { text: { text: string } },
    { text: { text: string } },
    unknown,
    { elements: { action_id: string; value: string }[] },
  ];
  expect(header.text.text.length).toBeLessThanOrEqual(150);
  expect(header.text.text).toMatch(/^(👩‍👩‍👧)+…$/u);
  expect(lines.text.text.length).toBeLessThanOrEqual(3_000);
  expect(lines.text.text).toMatch(/^&lt;!channel&gt; &amp; co\n(👩‍👩‍👧)+…$/u);
  expect(text.length).toBeLessThanOrEqual(3_000);
  expect(actions.elements.map(({ action_id, value }) => [action_id, value])).toEqual([
    ['portcullis-approve', `{"notice":"${NOTICE.id}"}`],
    ['portcullis-reject', `{"notice":"${NOTICE.id}"}`],
    ['portcullis-kill', `{"notice":"${NOTICE.id}"}`],
  ]);
  expect(eventOf(NOTICE, undefined, false).payload?.['summary']).toMatch(/^(👩‍👩‍👧)+…$/u);
  // Each character that Slack needs escaped is five of its own: none is cut in two, wherever the limit falls.
  for (const before of ['', 'a', 'ab', 'abc', 'abcd']) {
    const [, section] = slackMessageOf({ ...NOTICE, lines: [before + '&'.repeat(700)] }, undefined).blocks;
    const { text: cut } = section?.['text'] as { text: string };
    expect(cut).toMatch(/^[a-d]*(&amp;)+…$/);
    expect(cut.length).toBeGreaterThan(2_990);
    expect(cut.length).toBeLessThanOrEqual(3_000);
    const webhook = JSON.parse(messageOf({ ...NOTICE, lines: [before + '&'.repeat(700)] })) as {
      readonly text: string;
    };
    expect(webhook.text).toMatch(/(&amp;)+…$|👩‍👩‍👧…$/u);
  }
});

test('an event of the longest lines, each character escaped, is smaller than the 512 KB that PagerDuty takes', () => {
  // Three bytes a UTF-16 unit are the most, but for control characters, which JSON writes with six.
  for (const character of ['界', '\u0007', '👩‍👩‍👧']) {
    const lines = Array.from({ length: 500 }, () => character.repeat(5_000));
    const event = eventOf({ ...NOTICE, lines }, 'https://portcullis.example', false);
    expect(Buffer.byteLength(JSON.stringify(event))).toBeLessThan(512_000);
    expect(event.dedup_key.length).toBeLessThanOrEqual(255);
  }
});
