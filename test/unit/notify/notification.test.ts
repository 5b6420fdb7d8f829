import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from '@jest/globals';
import { MOST_ATTEMPTS, retryInMs } from '../../../src/notify/sender.js';
import { messageOf, type OutgoingNotice } from '../../../src/notify/message.js';
import { webhookAt } from '../../../src/notify/receivers.js';
import { signedHeaders } from '../../../src/notify/message.js';

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
    // As long as Slack takes, and no half of an escaped character at its end.
    expect(blocks[1]?.text?.text).toHaveLength(2_998);
    expect(blocks[1]?.text?.text).toMatch(/ more…$/);
  });

  test('has no empty section', () => {
    expect(bodyOf({ ...notice, lines: [] }).blocks.map(({ type }) => type)).toEqual(['header', 'context']);
  });
});

describe('the headers', () => {
  const body = '{"a":"é"}';
  const sentAt = new Date();

  test.each([
    ['any text', 'a secret of ours: ä', new Webhook(Buffer.from('a secret of ours: ä'), { format: 'raw' })],
    ['Base64 behind whsec_', 'whsec_c2l4dGVlbiBieXRlcyAhIQ==', new Webhook('whsec_c2l4dGVlbiBieXRlcyAhIQ==')],
  ])('are those that receivers of Standard Webhooks accept, with a secret of %s', (_, secret, receiver) => {
    const headers = signedHeaders(secret, 'id-1', body, sentAt);
    expect(headers['webhook-id']).toBe('id-1');
    expect(receiver.verify(body, headers)).toEqual({ a: 'é' });
    expect(() => receiver.verify(body.replace('a', 'b'), headers)).toThrow('No matching signature');
    expect(() => receiver.verify(body, { ...headers, 'webhook-id': 'id-2' })).toThrow(
      'No matching signature',
    );
  });

  test('sign the time of sending', () => {
    const secret = 'a secret of ours';
    const receiver = new Webhook(Buffer.from(secret), { format: 'raw' });
    const old = signedHeaders(secret, 'id-1', body, new Date(sentAt.getTime() - 600_000));
    expect(() => receiver.verify(body, old)).toThrow('too old');
    const now = String(Math.floor(sentAt.getTime() / 1_000));
    expect(() => receiver.verify(body, { ...old, 'webhook-timestamp': now })).toThrow(
      'No matching signature',
    );
  });

  test('cover id, time and body', () => {
    // HMAC-SHA256 over `msg_1.1700000000.{}` under the bytes `0123456789abcdef`.
    const mac = createHmac('sha256', '0123456789abcdef').update('msg_1.1700000000.{}').digest('base64');
    const headers = signedHeaders('0123456789abcdef', 'msg_1', '{}', new Date(1_700_000_000_500));
    expect(headers['webhook-signature']).toBe(`v1,${mac}`);
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
  const { name } = webhookAt('https://hooks.example/services/T0/B0/very-secret', '');
  expect(name).toMatch(/^hooks\.example#[0-9a-f]{8}$/);
  expect(webhookAt('https://hooks.example/services/T0/B0/other', '').name).not.toBe(name);
});
