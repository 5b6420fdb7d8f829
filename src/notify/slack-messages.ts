import type pg from 'pg';
import { approvalState, findApproval } from '../access/approvals.js';
import { time } from '../kernel/words.js';
import type { Log } from '../telemetry/log.js';
import { findNotice } from './browse.js';
import type { SlackPlace, Taken } from './post.js';
import type { Receiver } from './receivers.js';
import { callSlack, slackMessageOf } from './slack.js';

/** A notice's message in Slack. */
export interface SlackMessage extends SlackPlace {
  readonly notice: string;
  readonly receiver: string;
}

/** Updates at a time. Slack takes some fifty a minute. */
const AT_ONCE = 10;

/** Keeps where a message stands, and adds what was done by its buttons. What has no request need not be looked after. */
export async function noteSlackMessage(
  control: pg.Pool,
  { notice, receiver, channel, ts }: SlackMessage,
  done: readonly string[] = [],
): Promise<void> {
  await control.query(
    `insert into portcullis_control.slack_message as known (notice, receiver, channel, ts, done, settled_at)
     select id, $2, $3, $4, $5, case when details ? 'request' then null else clock_timestamp() end
     from portcullis_control.notice where id = $1
     on conflict (notice, receiver) do update
     set channel = excluded.channel, ts = excluded.ts, done = known.done || excluded.done`,
    [notice, receiver, channel, ts, done],
  );
}

/** The message as it is to be now: what was done by its buttons, and what became of its request. */
async function messageNow(
  control: pg.Pool,
  { notice: id, receiver }: SlackMessage,
  publicUrl: string | undefined,
): Promise<{ readonly message: object; readonly over: boolean }> {
  const notice = await findNotice(control, id);
  const { rows } = await control.query<{ done: string[] }>(
    'select done from portcullis_control.slack_message where notice = $1 and receiver = $2',
    [id, receiver],
  );
  const done = rows[0]?.done ?? [];
  const { request } = notice.details;
  const outcome = typeof request === 'string' ? await outcomeOf(control, request) : undefined;
  const since = {
    lines: outcome === undefined ? done : [...done, outcome],
    decided: outcome !== undefined,
    killed: done.length > 0,
  };
  return { message: slackMessageOf(notice, publicUrl, since), over: outcome !== undefined };
}

/** What became of a request, in a line; undefined while it waits. */
async function outcomeOf(control: pg.Pool, request: string): Promise<string | undefined> {
  const { state, decidedPerson, decidedBy, decidedAt } = await findApproval(control, request);
  if (state === 'pending') return undefined;
  if (state === 'expired') return `⌛ Request ${request} has expired: nobody decided it`;
  const who = decidedPerson ?? decidedBy ?? 'nobody';
  return `${state === 'approved' ? '✅ Approved' : '❌ Rejected'} by ${who} at ${time(decidedAt ?? '')}`;
}

type SlackReceiver = Extract<Receiver, { kind: 'slack' }>;

/** Has a message say what is so now. */
export async function updateSlackMessage(
  control: pg.Pool,
  app: Pick<SlackReceiver, 'api' | 'token'>,
  message: SlackMessage,
  options: {
    readonly publicUrl?: string | undefined;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<Taken> {
  const { channel, ts, notice, receiver } = message;
  const now = await messageNow(control, message, options.publicUrl);
  const taken = await callSlack(app, 'chat.update', { channel, ts, ...now.message }, options);
  if (taken.taken && now.over) await settleMessage(control, { notice, receiver }, null);
  return taken;
}

interface Due extends SlackMessage {
  readonly attempts: number;
}

/**
 * Updates the messages whose requests were decided, or have expired, wherever that was: by command line, console or in
 * another channel. Each by one process at a time.
 */
export async function updateSlackMessages(
  control: pg.Pool,
  receivers: readonly Receiver[],
  options: {
    readonly publicUrl?: string | undefined;
    readonly timeoutMs: number;
    readonly leaseMs: number;
    readonly retryInMs: (attempts: number) => number | undefined;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const apps = new Map(receivers.flatMap((each) => (each.kind === 'slack' ? [[each.name, each]] : [])));
  if (apps.size === 0) return;
  const { rows } = await control.query<Due>(
    `with due as (
       select m.notice, m.receiver
       from portcullis_control.slack_message m
       join portcullis_control.notice n on n.id = m.notice
       join portcullis_control.approval a on a.id = n.details ->> 'request'
       where m.settled_at is null and m.due_at <= clock_timestamp() and m.receiver = any($1)
         and ${approvalState('a')} <> 'pending'
       order by m.due_at limit $2 for update of m skip locked
     )
     update portcullis_control.slack_message m
     set attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     from due where (m.notice, m.receiver) = (due.notice, due.receiver)
     returning m.notice, m.receiver, m.channel, m.ts, m.attempts`,
    [[...apps.keys()], AT_ONCE, options.leaseMs],
  );
  await Promise.all(
    rows.map(async (due) => {
      const app = apps.get(due.receiver);
      if (app === undefined) return;
      const taken = await updateSlackMessage(control, app, due, options);
      if (taken.taken) return;
      const { problem, final, retryAfterMs = 0 } = taken;
      const waitMs = options.retryInMs(due.attempts);
      const isOver = waitMs === undefined || final === true;
      if (isOver) await settleMessage(control, due, problem);
      else await putOff(control, due, problem, Math.max(waitMs, retryAfterMs));
      options.log[isOver ? 'error' : 'warn'](
        { code: isOver ? 'slack-stale' : 'slack-untold', notice: due.notice, receiver: due.receiver },
        `${due.receiver}, update ${due.attempts}: ${problem}${isOver ? '; the message keeps its buttons' : ''}`,
      );
    }),
  );
}

async function settleMessage(
  control: pg.Pool,
  { notice, receiver }: Pick<SlackMessage, 'notice' | 'receiver'>,
  problem: string | null,
): Promise<void> {
  await control.query(
    `update portcullis_control.slack_message set settled_at = clock_timestamp(), last_problem = $3
     where notice = $1 and receiver = $2`,
    [notice, receiver, problem],
  );
}

async function putOff(
  control: pg.Pool,
  { notice, receiver }: Due,
  problem: string,
  ms: number,
): Promise<void> {
  await control.query(
    `update portcullis_control.slack_message
     set due_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000), last_problem = $3
     where notice = $1 and receiver = $2`,
    [notice, receiver, problem, ms],
  );
}
