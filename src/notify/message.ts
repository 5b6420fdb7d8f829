import { Webhook } from 'standardwebhooks';
import { shorten } from '../kernel/text.js';
import type { NoticeKind } from './notice.js';

/** A notice as it goes out. */
export interface OutgoingNotice {
  readonly id: string;
  readonly kind: NoticeKind;
  readonly job: string | null;
  readonly region: string | null;
  readonly title: string;
  readonly lines: readonly string[];
  readonly details: Readonly<Record<string, unknown>>;
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** Slack refuses a message with a longer header or section. */
const HEADER_CHARACTERS = 150;
const SECTION_CHARACTERS = 3_000;

/**
 * The body of a notification: `text` and `blocks` as Slack's incoming webhooks and those who follow them read
 * them, and the notice itself under `portcullis` for programs. One line of JSON.
 */
export function messageOf(notice: OutgoingNotice): string {
  const lines = notice.lines.map(escaped).join('\n');
  const where = [notice.job, notice.region, notice.at].filter((each) => each !== null).join(' · ');
  return JSON.stringify({
    text: shortenEscaped([notice.title, ...notice.lines].map(escaped).join('\n'), SECTION_CHARACTERS),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: shorten(notice.title, HEADER_CHARACTERS) } },
      ...(lines === ''
        ? []
        : [{ type: 'section', text: { type: 'mrkdwn', text: shortenEscaped(lines, SECTION_CHARACTERS) } }]),
      { type: 'context', elements: [{ type: 'mrkdwn', text: escaped(where) }] },
    ],
    portcullis: notice,
  });
}

/** Slack's three characters with a meaning: a job's words must not become a link or a mention. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Cuts an escaped text, and none of its characters: half of `&amp;` would be shown as it stands. */
export function shortenEscaped(text: string, most: number): string {
  return shorten(text, most).replace(/&[a-z]*…$/, '…');
}

/**
 * The headers that prove where a body comes from, as Standard Webhooks has them (standardwebhooks.com): the signature
 * covers the id, the time of sending and the body, so that a receiver who refuses old ones cannot be shown a message of
 * yesterday. The id is the same at every attempt. A secret that begins with `whsec_` is Base64 behind that; any other
 * is its own bytes. Receivers check them with a library of their language; docs/reference/configuration.md shows one.
 */
export function signedHeaders(
  secret: string,
  id: string,
  body: string,
  sentAt: Date,
): Readonly<Record<string, string>> {
  const webhook = secret.startsWith('whsec_')
    ? new Webhook(secret)
    : new Webhook(Buffer.from(secret), { format: 'raw' });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1_000)),
    'webhook-signature': webhook.sign(id, sentAt, body),
  };
}
