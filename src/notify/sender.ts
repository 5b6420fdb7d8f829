import type pg from 'pg';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf as errorText } from '../kernel/errors.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { messageOf } from './message.js';
import { address, backlog, claim, settle, type Attempted, type Claimed } from './outbox.js';
import { createHash } from 'node:crypto';
import { Webhook } from 'standardwebhooks';

export interface SenderOptions {
  /** Where notifications go; empty: nowhere, and they stay in the outbox to be read. */
  readonly urls: readonly string[];
  /** What they are signed with. */
  readonly secret: string;
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

/**
 * Sends what is in the outbox, again and again until `stop`. Any number of processes may do so side by side:
 * each delivery is tried by one at a time. A receiver may get one twice, when a process ends between its
 * answer and the note of it: the id tells.
 */
export function startSender(control: pg.Pool, log: Log, metrics: Metrics, options: SenderOptions): Poller {
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
  return startPoller(options.everyMs ?? 1_000, sendDue, (error) => {
    log.error({ code: 'notifications-unsent', err: error }, `notifications: ${errorText(error)}`);
  });
}

export interface Parcel {
  /** The notice's id. */
  readonly id: string;
  readonly body: string;
}

/** Whether a receiver took it, or what it said instead. */
export type Taken = { readonly taken: true } | { readonly taken: false; readonly problem: string };

/**
 * Posts one parcel. Any 2xx takes it. A redirect does not: the signature is meant for the address that was
 * configured. Never throws, and never takes longer than `timeoutMs`, whatever the other side does.
 */
export async function post(
  url: string,
  secret: string,
  { id, body }: Parcel,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Taken> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'portcullis',
        ...signedHeaders(secret, id, body, new Date()),
      },
      body,
      signal: AbortSignal.any([signal, limit]),
    });
    // What it answers besides is of no use, and might never end.
    await response.body?.cancel();
    if (response.ok) return { taken: true };
    const redirect = response.status >= 300 && response.status < 400;
    return {
      taken: false,
      problem: `HTTP ${response.status}${redirect ? ', and redirects are not followed' : ''}`,
    };
  } catch (error) {
    if (limit.aborted) return { taken: false, problem: `no answer within ${timeoutMs} ms` };
    if (signal.aborted) return { taken: false, problem: 'interrupted by a shutdown' };
    // What fetch throws says only that it failed; its cause says why. The address is in neither.
    return { taken: false, problem: errorText((error as { cause?: unknown }).cause ?? error) };
  }
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

/** Where notifications go. */
export interface Receiver {
  /** May be shown: the host, and a fingerprint of the whole address, which may be a secret itself. */
  readonly name: string;
  readonly url: string;
}

export function receiverOf(url: string): Receiver {
  const fingerprint = createHash('sha256').update(url).digest('hex').slice(0, 8);
  return { name: `${new URL(url).host}#${fingerprint}`, url };
}
