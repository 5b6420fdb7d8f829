import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { cursorOf, keyOfCursor } from '../postgres/page.js';
import { isUnreachable } from '../postgres/pool.js';
import { type Event, type EventFilter, type Outbox, type Position, readOutbox } from './outbox.js';

export interface EventPage {
  /** Oldest first, over all databases. */
  readonly items: readonly Event[];
  /** Answers what comes behind these; never the last, for there will be more. */
  readonly next: string;
  /** Databases that could not be asked, or are to be migrated: their events are answered once they can be. */
  readonly unreachable: readonly string[];
  /** Databases of which events are gone that the cursor asks for: read again whatever you show of them. */
  readonly lost: readonly string[];
}

/** An event, and where its outbox was read from. */
interface Found {
  readonly event: Event;
  readonly position: Position;
  readonly name: string;
  readonly from: Position;
}

const START: Position = { xid: '0', id: 0, readAtMs: Number.MAX_SAFE_INTEGER };

/** How long one database may take: one behind a lost network must not keep the others' events back. */
const ANSWER_MS = 5_000;

const Cursor = z.record(
  z.string(),
  z.tuple([z.string().regex(/^\d{1,20}$/), z.int().min(0), z.int().min(0)]),
);
type Positions = Readonly<Record<string, Position>>;

/**
 * Reads events of every outbox from where a cursor says; without one, none, and a cursor from which everything is new.
 * The cursor names each database, and a database that it does not name yet begins now. An event may be answered twice,
 * and is never left out: take each id once. Throws REQUEST_INVALID for a cursor that is none.
 */
export async function readEvents(
  outboxes: readonly Outbox[],
  filter: EventFilter,
  page: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<EventPage> {
  const positions = positionsOf(page.cursor);
  const readings = await Promise.allSettled(
    outboxes.map((outbox) =>
      within(
        ANSWER_MS,
        () => readOutbox(outbox, positions[outbox.name], filter, page.limit),
        () => new PortcullisError('DATABASE_UNREACHABLE', `${outbox.database} did not answer`),
      ),
    ),
  );
  const next: Record<string, Position> = { ...positions };
  const unreachable = new Set<string>();
  const lost = new Set<string>();
  const found: Found[][] = [];
  for (const [index, { name, database }] of outboxes.entries()) {
    const reading = readings[index];
    if (reading?.status !== 'fulfilled') {
      if (!isUnreachable(reading?.reason) && !isOlder(reading?.reason)) throw reading?.reason;
      unreachable.add(database);
      continue;
    }
    const { events, end } = reading.value;
    if (reading.value.lost) lost.add(database);
    next[name] = end;
    const from = positions[name] ?? START;
    found.push(events.map((each) => ({ ...each, name, from })));
  }
  if (unreachable.size > 0 && readings.every(({ status }) => status === 'rejected')) {
    throw new PortcullisError('DATABASE_UNREACHABLE', 'no database answered', {
      hint: 'check that the servers run and that the network reaches them',
    });
  }
  const left = merge(found);
  const items = left.splice(0, page.limit);
  // A database of which something is left goes on behind what is answered of it.
  for (const { name, from } of left) next[name] = from;
  const cut = new Set(left.map(({ name }) => name));
  for (const { name, position } of items) if (cut.has(name)) next[name] = position;
  return {
    items: items.map(({ event }) => event),
    next: cursorOf(keyOf(next)),
    unreachable: [...unreachable],
    lost: [...lost],
  };
}

/** By time, but those of one database stay in the order in which it was read: a page may end anywhere. */
function merge(parts: readonly (readonly Found[])[]): Found[] {
  const timed = parts.flatMap((part) => {
    let latest = 0;
    return part.map((found) => ({ found, at: (latest = Math.max(latest, found.event.at.getTime())) }));
  });
  return timed.sort((one, other) => one.at - other.at).map(({ found }) => found);
}

/** A database that has not been migrated since events were added has none. */
function isOlder(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === '42P01';
}

/** Positions as a cursor has them. */
function keyOf(positions: Positions): z.input<typeof Cursor> {
  const all = Object.entries(positions).map(([name, { xid, id, readAtMs }]) => [name, [xid, id, readAtMs]]);
  return Object.fromEntries(all) as z.input<typeof Cursor>;
}

function positionsOf(cursor: string | undefined): Positions {
  const all = Object.entries(keyOfCursor(cursor, Cursor) ?? {});
  return Object.fromEntries(all.map(([name, [xid, id, readAtMs]]) => [name, { xid, id, readAtMs }]));
}
