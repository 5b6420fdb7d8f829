import { z } from 'zod';
import { stillHolds } from '../access/sessions.js';
import type { EventFeed } from '../events/follow.js';
import { EVENT_KINDS, type Event } from '../events/outbox.js';
import { type EventPage, readEvents } from '../events/read-events.js';
import { PortcullisError } from '../kernel/errors.js';
import { outboxesOf } from '../regions/outboxes.js';
import { operation } from './operation.js';
import { readControl } from './without-control.js';
import { named, isoTime } from '../kernel/schema.js';
import { jobQuery, pageQuery, regionQuery } from './schemas.js';

/** The most connections that follow events at a time, of one process. */
const MOST_FOLLOWERS = 100;
/** A stream ends after that, and its client goes on where it was. */
const STREAM_MS = 10 * 60_000;
/** How often a stream says that it is current, where nothing changes. */
const ALIVE_MS = 1_000;

const Item = named(
  'Event',
  z.strictObject({
    id: z.string().describe('the same whenever the event is answered: take each once'),
    at: isoTime,
    kind: z.enum(EVENT_KINDS),
    job: z.string().nullable(),
    region: z.string().nullable(),
    subject: z
      .string()
      .nullable()
      .describe(
        'the run, version, request, incident, ... that changed; null where job and region say it all',
      ),
    data: z.record(z.string(), z.unknown()).readonly().describe('what it is now'),
  }),
);

const Events = named(
  'Events',
  z.strictObject({
    items: z.array(Item).readonly().describe('oldest first'),
    next: z.string().describe('pass as cursor for what comes behind these, for 24 h'),
    unreachable: z
      .array(z.string())
      .readonly()
      .describe('databases that could not be asked: their events are answered once they can be'),
    lost: z
      .array(z.string())
      .readonly()
      .describe('databases whose events since the cursor are gone: read what you show of them again'),
  }),
);

/** It names every database. */
const cursor = z
  .string()
  .min(1)
  .max(8_000)
  .optional()
  .describe('`next` of the answer before, unchanged; absent: from now on');

const filter = {
  job: jobQuery,
  region: regionQuery,
  kind: z.enum(EVENT_KINDS).optional().describe('only of this kind'),
};

/** What changes, as it changes. */
export const eventOperations = {
  listEvents: operation({
    at: 'GET /api/v1/events',
    example: { job: 'dormant-cleanup' },
    summary:
      'What changed in any database, oldest first, of the last 24 h; without cursor and since, what comes from now on',
    action: 'read',
    query: z.strictObject({
      ...filter,
      since: z.iso.datetime({ offset: true }).optional().describe('only from this moment on'),
      cursor,
      limit: pageQuery.limit,
    }),
    result: Events,
    run: async ({ control, regionDatabases }, { since, cursor: from, limit: most, ...which }) => {
      const moment = since === undefined ? undefined : new Date(since);
      const page = { limit: most, cursor: from };
      return shown(await readEvents(outboxesOf(control, regionDatabases), { ...which, since: moment }, page));
    },
  }),
  followEvents: operation({
    at: 'GET /api/v1/events/stream',
    kind: 'follow',
    example: { job: 'dormant-cleanup' },
    summary: 'The same as Server-Sent Events, from now on, or from a cursor or Last-Event-ID',
    action: 'read',
    query: z.strictObject({ ...filter, cursor }),
    contentType: 'text/event-stream',
    result: z
      .string()
      .describe(
        'event "change" with an Event; "gap" with the lists unreachable and lost; a comment every second while the databases answer',
      ) as unknown as z.ZodType<Followed>,
    errors: ['STREAMS_FULL'],
    run: ({ control, feed }, { cursor: from, ...which }, caller) => {
      if (feed.followers >= MOST_FOLLOWERS) {
        throw new PortcullisError(
          'STREAMS_FULL',
          `${MOST_FOLLOWERS} connections follow events here already`,
          {
            hint: 'close one, ask GET /api/v1/events every few seconds, or follow at another process',
          },
        );
      }
      return (signal) => {
        const end = AbortSignal.any([signal, AbortSignal.timeout(STREAM_MS)]);
        // Whoever is known stays so while the control database is silent: no longer than the stream lasts.
        const holds = async (): Promise<boolean> =>
          (await readControl(caller, () => stillHolds(control, caller))) ?? true;
        return frames(feed, feed.follow(which, from, end), holds);
      };
    },
  }),
};

/** Text that is sent as it comes, until the signal is aborted. */
export type Followed = (signal: AbortSignal) => AsyncIterable<string>;

/** Ends where whoever follows may do so no longer. */
async function* frames(
  feed: Pick<EventFeed, 'looked'>,
  pages: AsyncGenerator<EventPage, void>,
  holds: () => Promise<boolean>,
): AsyncGenerator<string, void> {
  yield 'retry: 1000\n\n';
  let gap = JSON.stringify({ unreachable: [], lost: [] });
  let toldMs = performance.now();
  let page = pages.next();
  try {
    for (;;) {
      const read = await Promise.race([page, feed.looked()]);
      if (read === undefined) {
        if (performance.now() - toldMs >= ALIVE_MS) {
          toldMs = performance.now();
          yield ': current\n\n';
        }
        continue;
      }
      if (read.done === true || !(await holds())) return;
      const { items, next, unreachable, lost } = read.value;
      // Before the events: whoever shows a database that is lost reads it again first.
      const now = JSON.stringify({ unreachable, lost });
      if (now !== gap) yield frame('gap', now);
      gap = now;
      for (const item of items) yield frame('change', JSON.stringify(shownEvent(item)));
      // An id and nothing else: where to go on after all of these. It is the heartbeat as well.
      yield `id: ${next}\n\n`;
      toldMs = performance.now();
      page = pages.next();
    }
  } finally {
    await pages.return();
  }
}

const frame = (event: string, data: string): string => `event: ${event}\ndata: ${data}\n\n`;

const shown = (page: EventPage) => ({ ...page, items: page.items.map(shownEvent) });

const shownEvent = ({ at, ...event }: Event) => ({ ...event, at: at.toISOString() });
