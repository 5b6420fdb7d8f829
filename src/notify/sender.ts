import type pg from 'pg';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf as errorText } from '../kernel/errors.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { announceReceivers } from './known-receivers.js';
import { messageOf, signedHeaders } from './message.js';
import { address, backlog, claim, settle, type Attempted, type Claimed } from './outbox.js';
import { eventOf, sendToPagerDuty } from './pagerduty.js';
import { post, statusText, type Taken } from './post.js';
import type { Receiver } from './receivers.js';
import { callSlack, slackMessageOf } from './slack.js';
import { noteSlackMessage, updateSlackMessages } from './slack-messages.js';

export interface SenderOptions {
  /** Where notifications go; empty: nowhere, and they stay in the outbox to be read. */
  readonly receivers: readonly Receiver[];
  /** Where people open the console; absent: messages have no links. */
  readonly publicUrl?: string | undefined;
  /** The longest that one attempt may take. */
  readonly timeoutMs: number;
  /** How often the outbox is looked into. Default: 1 s. */
  readonly everyMs?: number;
  /** Waiting time behind an attempt; absent: `retryInMs`. For tests, which have no hours to wait. */
  readonly retryInMs?: (attempts: number, chance: number) => number | undefined;
}

/** Deliveries at a time: one receiver that hangs keeps so many back, and no more. */
const AT_ONCE = 20;
/** Beyond the attempt's own limit, so that a delivery is not taken from somebody who is about to settle it. */
const LEASE_MARGIN_MS = 10_000;
/** How often a process says to which receivers it sends. */
const ANNOUNCE_MS = 30_000;

/**
 * Sends what is in the outbox, again and again until `stop`. Any number of processes may do so side by side:
 * each delivery is tried by one at a time. A receiver may get one twice, when a process ends between its
 * answer and the note of it: the id tells.
 */
export function startSender(control: pg.Pool, log: Log, metrics: Metrics, options: SenderOptions): Poller {
  const receivers = new Map(options.receivers.map((each) => [each.name, each]));
  let announcedMs = -Infinity;

  const attempt = async (claimed: Claimed, signal: AbortSignal): Promise<void> => {
    const { notice, receiver } = claimed;
    const known = receivers.get(receiver);
    if (known === undefined) return;
    const taken = await deliver(known, claimed, options, signal);
    if (taken.taken && taken.at !== undefined)
      await noteSlackMessage(control, { notice: notice.id, receiver, ...taken.at });
    const attempted = afterAttempt(taken, claimed.attempt, signal);
    await settle(control, claimed, attempted);
    metrics.notificationTried(attempted.state === 'pending' ? 'failed' : attempted.state);
    if (attempted.state !== 'delivered') {
      log[attempted.state === 'dead' ? 'error' : 'warn'](
        {
          code: `notification-${attempted.state === 'dead' ? 'dead' : 'failed'}`,
          notice: notice.id,
          receiver,
        },
        `${receiver}, attempt ${claimed.attempt}: ${attempted.problem}`,
      );
    }
  };

  const afterAttempt = (taken: Taken, attempts: number, signal: AbortSignal): Attempted => {
    if (taken.taken) return { state: 'delivered' };
    // Not the receiver's fault: the next process may try at once.
    if (signal.aborted) return { state: 'pending', problem: taken.problem, retryInMs: 0 };
    const waitMs = (options.retryInMs ?? retryInMs)(attempts, Math.random());
    return waitMs === undefined || taken.final === true
      ? { state: 'dead', problem: taken.problem }
      : { state: 'pending', problem: taken.problem, retryInMs: Math.max(waitMs, taken.retryAfterMs ?? 0) };
  };

  const sendDue = async (signal: AbortSignal): Promise<void> => {
    if (receivers.size === 0) return;
    if (performance.now() - announcedMs > ANNOUNCE_MS) {
      await announceReceivers(control, options.receivers);
      announcedMs = performance.now();
    }
    const givenUp = await address(control, options.receivers);
    if (givenUp > 0) log.error({ code: 'notification-dead' }, `${givenUp} deliveries were given up`);
    const due = await claim(control, options.receivers, AT_ONCE, options.timeoutMs + LEASE_MARGIN_MS);
    const ends = await Promise.allSettled(due.map((each) => attempt(each, signal)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    await updateSlackMessages(control, options.receivers, {
      ...{ publicUrl: options.publicUrl, timeoutMs: options.timeoutMs, log, signal },
      leaseMs: options.timeoutMs + LEASE_MARGIN_MS,
      retryInMs: (attempts) => (options.retryInMs ?? retryInMs)(attempts, Math.random()),
    });
    if (due.length === AT_ONCE && !signal.aborted) await sendDue(signal);
  };

  metrics.onScrape(async () => metrics.notificationBacklog(await backlog(control)));
  return startPoller(options.everyMs ?? 1_000, sendDue, (error) => {
    log.error({ code: 'notifications-unsent', err: error }, `notifications: ${errorText(error)}`);
  });
}

/** Tries one delivery, as its receiver's kind has it. */
async function deliver(
  receiver: Receiver,
  { notice, over }: Claimed,
  { publicUrl, timeoutMs }: SenderOptions,
  signal: AbortSignal,
): Promise<Taken> {
  const limits = { timeoutMs, signal };
  switch (receiver.kind) {
    case 'pagerduty':
      return sendToPagerDuty(receiver, eventOf(notice, publicUrl, over), limits);
    case 'slack': {
      const message = {
        channel: receiver.channel,
        ...slackMessageOf(notice, publicUrl),
        unfurl_links: false,
      };
      return callSlack(receiver, 'chat.postMessage', message, limits);
    }
    case 'webhook': {
      const body = messageOf(notice);
      const headers = signedHeaders(receiver.secret, notice.id, body, new Date());
      const answer = await post({ url: receiver.url, headers, body }, { ...limits, reads: false });
      if ('taken' in answer) return answer;
      const { status, retryAfterMs } = answer;
      // Any 2xx takes it.
      if (status >= 200 && status < 300) return { taken: true };
      return { taken: false, problem: statusText(status), retryAfterMs };
    }
  }
}

/** Attempts at one delivery, before it is given up for a person to look at: about two hours of them. */
export const MOST_ATTEMPTS = 12;
const FIRST_MS = 2_000;
const LONGEST_MS = 30 * 60_000;

/**
 * How long to wait behind the `attempts`-th attempt: doubling from 2 s up to 30 min, of which chance (0 to 1)
 * takes up to half away, so that receivers which failed together are not all tried together. Undefined: no more.
 */
export function retryInMs(attempts: number, chance: number): number | undefined {
  if (attempts >= MOST_ATTEMPTS) return undefined;
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempts - 1));
  return Math.round(fullMs * (1 - chance / 2));
}
