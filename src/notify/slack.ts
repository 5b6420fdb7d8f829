import { z } from 'zod';
import { REASON_LETTERS } from '../kernel/reason.js';
import { shorten } from '../kernel/text.js';
import { escaped, shortenEscaped, type OutgoingNotice } from './message.js';
import { linkOf } from './pagerduty.js';
import { post, statusText, type Taken } from './post.js';
import type { SlackApp } from './receivers.js';

/** Slack's own limits, in characters. */
const HEADER = 150;
const SECTION = 3_000;
const BUTTON = 75;

/** What the buttons of a message do. */
export const SLACK_ACTIONS = {
  approve: 'portcullis-approve',
  reject: 'portcullis-reject',
  kill: 'portcullis-kill',
} as const;

export interface Block {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** What has become of a message's notice since: the buttons for it are gone, and lines say it. */
export interface Since {
  readonly lines: readonly string[];
  readonly decided: boolean;
  readonly killed: boolean;
}

/** A notice as a message of a Slack app, with a button for each thing that whoever reads it may want to do at once. */
export function slackMessageOf(
  notice: OutgoingNotice,
  publicUrl: string | undefined,
  since: Since = { lines: [], decided: false, killed: false },
): { readonly text: string; readonly blocks: readonly Block[] } {
  const { title, job, region, at } = notice;
  const lines = notice.lines.map(escaped).join('\n');
  const href = linkOf(notice, publicUrl);
  const where = [job, region, at].filter((each) => each !== null).map(escaped);
  const buttons = buttonsOf(notice, since);
  return {
    text: shortenEscaped([title, ...notice.lines].map(escaped).join('\n'), SECTION),
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: shorten(title, HEADER) } },
      ...(lines === '' ? [] : [section(lines)]),
      context([...where, ...(href === undefined ? [] : [`<${href}|Open the console>`])].join(' · ')),
      ...since.lines.map((line) => section(escaped(line))),
      ...(buttons.length === 0 ? [] : [{ type: 'actions', elements: buttons }]),
    ],
  };
}

function section(mrkdwn: string): Block {
  return { type: 'section', text: { type: 'mrkdwn', text: shortenEscaped(mrkdwn, SECTION) } };
}

function context(mrkdwn: string): Block {
  return { type: 'context', elements: [{ type: 'mrkdwn', text: shortenEscaped(mrkdwn, SECTION) }] };
}

function buttonsOf({ id, kind, job, region, details }: OutgoingNotice, { decided, killed }: Since): object[] {
  const decide =
    typeof details['request'] === 'string' && details['decided'] !== true && !decided
      ? [
          button(SLACK_ACTIONS.approve, 'Approve', 'primary', id),
          button(SLACK_ACTIONS.reject, 'Reject', undefined, id),
        ]
      : [];
  // What is killed needs no other kill, and what is over has nothing to stop.
  const stops = job !== null && !killed && kind !== 'kill' && details['moved'] !== 'closed';
  const where = region === null ? 'everywhere' : `in ${region}`;
  return [...decide, ...(stops ? [button(SLACK_ACTIONS.kill, `Kill ${job} ${where}…`, 'danger', id)] : [])];
}

function button(
  action_id: string,
  text: string,
  style: 'primary' | 'danger' | undefined,
  notice: string,
): object {
  return {
    ...{ type: 'button', action_id, text: { type: 'plain_text', text: shorten(text, BUTTON) } },
    ...(style !== undefined && { style }),
    value: JSON.stringify({ notice }),
  };
}

/** What asks for the reason of a kill. Slack's limits: a title of 24 characters, and `private_metadata` of 3,000. */
export function killModal({ job, region }: OutgoingNotice, metadata: string): object {
  const where = region === null ? 'in every region' : `in ${region}`;
  return {
    ...{ type: 'modal', callback_id: SLACK_ACTIONS.kill, private_metadata: metadata },
    title: { type: 'plain_text', text: 'Kill' },
    submit: { type: 'plain_text', text: 'Kill' },
    close: { type: 'plain_text', text: 'Cancel' },
    blocks: [
      section(
        escaped(
          `Kills ${job ?? ''} ${where}: no change of it commits there any more until a second person re-arms it.`,
        ),
      ),
      {
        ...{ type: 'input', block_id: 'reason', label: { type: 'plain_text', text: 'Reason' } },
        element: { type: 'plain_text_input', action_id: 'reason', min_length: 1, max_length: REASON_LETTERS },
      },
    ],
  };
}

const WebAnswer = z.looseObject({
  ok: z.boolean(),
  error: z.string().optional(),
  /** What the token lacks. */
  needed: z.string().optional(),
  channel: z.string().max(40).optional(),
  ts: z.string().max(40).optional(),
  team_id: z.string().max(40).optional(),
});

/** Errors of Slack's Web API that are the message's own: it would refuse the same again. */
const FINAL = new Set([
  ...['invalid_blocks', 'invalid_blocks_format', 'msg_too_long', 'msg_blocks_too_long', 'no_text'],
  ...[
    'message_not_found',
    'cant_update_message',
    'edit_window_closed',
    'expired_trigger_id',
    'invalid_trigger_id',
  ],
]);

/** Calls a method of Slack's Web API. It says no with 200 and `ok: false`, and 429 with `Retry-After`. */
export async function callSlack(
  { api, token }: Pick<SlackApp, 'api' | 'token'>,
  method: 'auth.test' | 'chat.postMessage' | 'chat.update' | 'chat.postEphemeral' | 'views.open',
  message: object,
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Taken> {
  const parcel = {
    url: new URL(method, api).href,
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(message),
  };
  const answer = await post(parcel, { ...limits, reads: true });
  if ('taken' in answer) return answer;
  const { status, text, retryAfterMs } = answer;
  if (status < 200 || status >= 300) return { taken: false, problem: statusText(status), retryAfterMs };
  const said = answerIn(text);
  if (said === undefined) return { taken: false, problem: 'it did not answer as Slack does' };
  const { channel, ts, needed, team_id: team } = said;
  if (said.ok)
    return channel === undefined || ts === undefined
      ? { taken: true, team }
      : { taken: true, at: { channel, ts } };
  const lacks = needed === undefined ? '' : `, needed: ${needed}`;
  const error = said.error ?? 'no reason';
  const problem = shorten(`${method}: ${error}${lacks}`, 150);
  return { taken: false, problem, final: FINAL.has(error), retryAfterMs };
}

function answerIn(text: string): z.output<typeof WebAnswer> | undefined {
  try {
    return WebAnswer.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
