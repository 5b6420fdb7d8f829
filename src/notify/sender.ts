import type pg from 'pg';
import { startBeat, type Beat } from '../kernel/beat.js';
import { messageOf as errorText } from '../kernel/errors.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { retryInMs } from './backoff.js';
import { messageOf } from './message.js';
import { address, backlog, claim, settle, type Attempted, type Claimed } from './outbox.js';
import { post, type Taken } from './post.js';
import { receiverOf } from './receiver.js';

export interface SenderOptions {
  /** Where notifications go; empty: nowhere, and they stay in the outbox to be read. */
  readonly urls: readonly string[];
  /** What they are signed with. */
  readonly secret: string;
  /** The longest that one attempt may take. */
  readonly timeoutMs: number;
  /** How often the outbox is looked into. Default: 1 s. */
  readonly everyMs?: number;
  /** Waiting time behind an attempt; see backoff.ts. For tests, which have no hours to wait. */
  readonly retryInMs?: (attempts: number, chance: number) => number | undefined;
}

/** Deliveries at a time: one receiver that hangs keeps so many back, and no more. */
const AT_ONCE = 20;
/** Beyond the attempt's own limit, so that a delivery is not taken from somebody who is about to settle it. */
const LEASE_MARGIN_MS = 10_000;

/**
 * Sends what is in the outbox, again and again until `stop`. Any number of processes may do so side by side:
 * each delivery is tried by one at a time. A receiver may get one twice, when a process ends between its
 * answer and the note of it: the id tells.
 */
export function startSender(control: pg.Pool, log: Log, metrics: Metrics, options: SenderOptions): Beat {
  const receivers = new Map(options.urls.map(receiverOf).map(({ name, url }) => [name, url]));
  const names = [...receivers.keys()];

  const attempt = async (claimed: Claimed, signal: AbortSignal): Promise<void> => {
    const { notice, receiver } = claimed;
    const parcel = { id: notice.id, body: messageOf(notice) };
    const url = receivers.get(receiver) ?? '';
    const taken = await post(url, options.secret, parcel, options.timeoutMs, signal);
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
    return waitMs === undefined
      ? { state: 'dead', problem: taken.problem }
      : { state: 'pending', problem: taken.problem, retryInMs: waitMs };
  };

  const sendDue = async (signal: AbortSignal): Promise<void> => {
    if (names.length === 0) return;
    const givenUp = await address(control, names);
    if (givenUp > 0) log.error({ code: 'notification-dead' }, `${givenUp} deliveries were given up`);
    const due = await claim(control, names, AT_ONCE, options.timeoutMs + LEASE_MARGIN_MS);
    const ends = await Promise.allSettled(due.map((each) => attempt(each, signal)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (due.length === AT_ONCE && !signal.aborted) await sendDue(signal);
  };

  metrics.onScrape(async () => metrics.notificationBacklog(await backlog(control)));
  return startBeat(options.everyMs ?? 1_000, sendDue, (error) => {
    log.error({ code: 'notifications-unsent', err: error }, `notifications: ${errorText(error)}`);
  });
}
