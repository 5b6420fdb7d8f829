import { shorten } from '../kernel/text.js';

/** A notice as it goes out. */
export interface OutgoingNotice {
  readonly id: string;
  readonly kind: string;
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
    text: shorten([notice.title, ...notice.lines].map(escaped).join('\n'), SECTION_CHARACTERS),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: shorten(notice.title, HEADER_CHARACTERS) } },
      ...(lines === ''
        ? []
        : [{ type: 'section', text: { type: 'mrkdwn', text: shorten(lines, SECTION_CHARACTERS) } }]),
      { type: 'context', elements: [{ type: 'mrkdwn', text: escaped(where) }] },
    ],
    portcullis: notice,
  });
}

/** Slack's three characters with a meaning: a job's words must not become a link or a mention. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
