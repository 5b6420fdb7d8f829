import { z } from 'zod';
import { shorten } from '../kernel/text.js';
import type { OutgoingNotice } from './message.js';
import { severityOf } from './notice.js';
import { post, statusText, type Taken } from './post.js';

/** Where events go for accounts in the US; those in the EU have https://events.eu.pagerduty.com/v2/enqueue. */
export const PAGERDUTY_EVENTS = 'https://events.pagerduty.com/v2/enqueue';

/** PagerDuty's own limits, in characters. */
const SUMMARY = 1_024;
const LINK_TEXT = 100;
/** It takes 512 KB in all: lines and details are ours to bound. */
const LINE = 1_000;
const LINES = 50;

/** An event of the Events API v2. */
export interface PagerDutyEvent {
  readonly event_action: 'trigger' | 'acknowledge' | 'resolve';
  readonly dedup_key: string;
  readonly client?: string;
  readonly client_url?: string;
  readonly links?: readonly { readonly href: string; readonly text: string }[];
  readonly payload?: Readonly<Record<string, unknown>>;
}

/**
 * The event that tells PagerDuty of a notice. All notices of an incident have one key, so that they are one alert: the
 * first opens it, what a person does about it acknowledges it, and the incident's end resolves it. `over`: its end was
 * told already, so that an older notice which is tried again opens nothing. Any other notice is an alert of its own,
 * which somebody resolves in PagerDuty.
 */
export function eventOf(
  notice: OutgoingNotice,
  publicUrl: string | undefined,
  over: boolean,
): PagerDutyEvent {
  const { id, kind, job, region, title, lines, details, at } = notice;
  const incident = incidentOf(notice);
  const dedup_key = incident === undefined ? `portcullis/notice/${id}` : `portcullis/incident/${incident}`;
  const moved = details['moved'];
  if (moved === 'closed' || over) return { event_action: 'resolve', dedup_key };
  if (moved === 'restoring') return { event_action: 'acknowledge', dedup_key };
  const href = linkOf(notice, publicUrl);
  return {
    event_action: 'trigger',
    dedup_key,
    client: 'Portcullis',
    ...(href !== undefined && {
      client_url: href,
      links: [
        { href, text: shorten(incident === undefined ? 'Portcullis' : `Incident ${incident}`, LINK_TEXT) },
      ],
    }),
    payload: {
      summary: shorten(title, SUMMARY),
      source: [job, region].filter((each) => each !== null).join('.') || 'portcullis',
      severity: severityOf(notice),
      timestamp: at,
      class: kind,
      ...(job !== null && { component: job }),
      ...(region !== null && { group: region }),
      custom_details: {
        lines: lines.slice(0, LINES).map((line) => shorten(line, LINE)),
        notification: id,
        ...(incident !== undefined && { incident }),
      },
    },
  };
}

export function incidentOf({ details }: Pick<OutgoingNotice, 'details'>): string | undefined {
  const incident = details['incident'];
  return typeof incident === 'string' ? incident : undefined;
}

/** The view of the console that a notice is about; undefined where no public address is configured. */
export function linkOf(notice: OutgoingNotice, publicUrl: string | undefined): string | undefined {
  if (publicUrl === undefined) return undefined;
  const incident = incidentOf(notice);
  if (incident !== undefined) return `${publicUrl}/incidents/${encodeURIComponent(incident)}`;
  const request = notice.details['request'];
  return typeof request === 'string' ? `${publicUrl}/inbox/${encodeURIComponent(request)}` : `${publicUrl}/`;
}

const Refusal = z.looseObject({ message: z.string().optional(), errors: z.array(z.string()).optional() });

/**
 * Sends an event. PagerDuty answers 202 to what it takes and 400 to what it never will; after 429, 5xx and errors of the
 * network its documentation asks to try again.
 */
export async function sendToPagerDuty(
  { url, routingKey }: { readonly url: string; readonly routingKey: string },
  event: PagerDutyEvent,
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Taken> {
  const body = JSON.stringify({ routing_key: routingKey, ...event });
  const answer = await post({ url, headers: {}, body }, { ...limits, reads: true });
  if ('taken' in answer) return answer;
  const { status, text, retryAfterMs } = answer;
  if (status >= 200 && status < 300) return { taken: true };
  // It may name the key that it refuses.
  const problem = `${statusText(status)}${whyOf(text)}`.replaceAll(routingKey, '…');
  return { taken: false, problem, final: status === 400, retryAfterMs };
}

function whyOf(text: string): string {
  try {
    const { message, errors = [] } = Refusal.parse(JSON.parse(text));
    const why = [message, ...errors].filter((each) => each !== undefined).join('; ');
    return why === '' ? '' : `: ${shorten(why, 300)}`;
  } catch {
    return '';
  }
}
