import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { MOST_ATTEMPTS, retryInMs } from '../../../src/notify/sender.js';
import { messageOf, type OutgoingNotice } from '../../../src/notify/message.js';
import { receiverOf } from '../../../src/notify/sender.js';
import { signedHeaders } from '../../../src/notify/sender.js';

const notice: OutgoingNotice = {
  id: '0b6d3c1e-58b4-4c0f-9f0e-3a53f6f0a1de',
  kind: 'trip',
  job: 'domain-claim',
  region: 'eu-west-1',
  title: 'domain-claim tripped in eu-west-1',
  lines: ['claims-per-run: 4,812 planned where 40 were expected'],
  details: { rule: 'claims-per-run' },
  at: '2026-03-01T09:30:00.000Z',
};

interface Body {
  text: string;
  blocks: { type: string; text?: { text: string } }[];
  portcullis: unknown;
}
const bodyOf = (given: OutgoingNotice): Body => JSON.parse(messageOf(given)) as Body;

describe('the body of a notification', () => {
  test('has what Slack reads, and the notice itself for programs', () => {
    expect(bodyOf(notice)).toEqual({
      text: 'domain-claim tripped in eu-west-1\nclaims-per-run: 4,812 planned where 40 were expected',
      blocks: [
        { type: 'header', text: { type: 'plain_text', text: 'domain-claim tripped in eu-west-1' } },
        {
          type: 'section',
          text: { type: 'mrkdwn', text: 'claims-per-run: 4,812 planned where 40 were expected' },
        },
        {
          type: 'context',
          elements: [{ type: 'mrkdwn', text: 'domain-claim · eu-west-1 · 2026-03-01T09:30:00.000Z' }],
        },
      ],
      portcullis: notice,
    });
  });

  test('cannot be made to mention or link by the words in it, and keeps within what Slack takes', () => {
    const { text, blocks } = bodyOf({
      ...notice,
      title: 't'.repeat(200),
      lines: ['<!channel> & more'.repeat(500)],
    });
    expect(text).not.toContain('<');
    expect(text).toHaveLength(3_000);
    expect(blocks[0]?.text?.text).toHaveLength(150);
    expect(blocks[1]?.text?.text).toMatch(/^&lt;!channel&gt; &amp; more.*…$/);
    expect(blocks[1]?.text?.text).toHaveLength(3_000);
  });

  test('has no empty section', () => {
    expect(bodyOf({ ...notice, lines: [] }).blocks.map(({ type }) => type)).toEqual(['header', 'context']);
  });
});

describe('the headers', () => {
  test('sign the time of sending and the body, with the secret', () => {
    const mac = createHmac('sha256', 'a secret of ours').update('1772357400.{"a":1}').digest('hex');
    expect(signedHeaders('a secret of ours', 'id-1', '{"a":1}', 1_772_357_400)).toEqual({
      'portcullis-id': 'id-1',
      'portcullis-timestamp': '1772357400',
      'portcullis-signature': `v1=${mac}`,
    });
  });
});

describe('the waiting time behind an attempt', () => {
  test('doubles from 2 s to half an hour, and ends', () => {
    const waits = Array.from({ length: MOST_ATTEMPTS }, (_, at) => retryInMs(at + 1, 0));
    expect(waits.slice(0, 4)).toEqual([2_000, 4_000, 8_000, 16_000]);
    expect(waits.at(-2)).toBe(30 * 60_000);
    expect(waits.at(-1)).toBeUndefined();
  });

  test('is shortened by chance, by half at the most', () => {
    expect(retryInMs(3, 0.5)).toBe(6_000);
    expect(retryInMs(3, 1)).toBe(4_000);
  });
});

test('a receiver is shown by its host, and told apart by a fingerprint that gives nothing away', () => {
  const { name } = receiverOf('https://hooks.example/services/T0/B0/very-secret');
  expect(name).toMatch(/^hooks\.example#[0-9a-f]{8}$/);
  expect(receiverOf('https://hooks.example/services/T0/B0/other').name).not.toBe(name);
});
