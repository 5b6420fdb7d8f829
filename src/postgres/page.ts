import type pg from 'pg';
import { z } from 'zod';
import { compareText } from '../kernel/text.js';
import { PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';

/** One page of a list that is walked by key: rows added meanwhile neither repeat nor hide any other. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Asks for the page behind this one; null on the last. */
  readonly next: string | null;
}

export interface PageRequest {
  /** The most items, 1 to 200. */
  readonly limit: number;
  /** `next` of the page before; absent for the first. */
  readonly cursor?: string | undefined;
}

/**
 * A moment as a part of a key: PostgreSQL's own text of a timestamptz at UTC, to the microsecond, which a Date
 * cannot hold and a walk must not lose.
 */
export const MomentKey = z.string().regex(/^\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/);

/**
 * Makes a page of `limit` out of the `limit + 1` rows that were asked for: the one too many tells whether
 * there is more. `keyOf` is the key of a row, in the order of the list.
 */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => Item,
  keyOf: (row: Row) => readonly (string | number)[],
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next = rows.length > limit && last !== undefined ? cursorOf(keyOf(last)) : null;
  return { items: shown.map(item), next };
}

/** A list that is walked by key, and may lie in several databases: each is read alike and the rows are merged. */
export interface Walk<Row, Item> {
  /** The rows behind the page's cursor, in order: `limit + 1` of them, where there are so many. */
  readonly rows: (pool: pg.Pool, page: PageRequest) => Promise<readonly Row[]>;
  /** The order of the list: what `rows` orders by, over rows of different databases. */
  readonly compare: (one: Row, other: Row) => number;
  readonly item: (row: Row) => Item;
  readonly keyOf: (row: Row) => readonly (string | number)[];
}

/** A page of a list that lies in one database. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function walk<Row, Item>(
  pool: pg.Pool,
  list: Walk<Row, Item>,
  page: PageRequest,
): Promise<Page<Item>> {
  return pageOf(await list.rows(pool, page), page.limit, list.item, list.keyOf);
}

/** A page out of what several databases have behind the same cursor. */
export function mergedPage<Row, Item>(
  parts: readonly (readonly Row[])[],
  list: Pick<Walk<Row, Item>, 'compare' | 'item' | 'keyOf'>,
  page: PageRequest,
): Page<Item> {
  const rows = parts.flat().sort((one, other) => list.compare(one, other));
  return pageOf(rows, page.limit, list.item, list.keyOf);
}

/** A page of a list that is held in memory: those behind the cursor, in the order of their keys. */
export function pageOfList<Item>(
  items: readonly Item[],
  page: PageRequest,
  keyOf: (item: Item) => readonly string[],
): Page<Item> {
  const behind = keyOfCursor(page.cursor, z.array(z.string()));
  const sorted = items
    .filter((item) => behind === undefined || compareKeys(keyOf(item), behind) > 0)
    .sort((a, b) => compareKeys(keyOf(a), keyOf(b)));
  return pageOf(sorted, page.limit, (item) => item, keyOf);
}

function compareKeys(a: readonly string[], b: readonly string[]): number {
  for (const [index, part] of a.entries()) {
    const other = b[index] ?? '';
    if (part !== other) return compareText(part, other);
  }
  return 0;
}

/** The key that a cursor carries, or undefined where there is none. Throws REQUEST_INVALID for any other text. */
export function keyOfCursor<Key extends z.ZodType>(
  cursor: string | undefined,
  key: Key,
): z.output<Key> | undefined {
  if (cursor === undefined) return undefined;
  const parsed = key.safeParse(decode(cursor));
  // No list gives a key that its database cannot hold.
  if (parsed.success && JSON.stringify([parsed.data]) === storableJson([parsed.data])) return parsed.data;
  throw new PortcullisError('REQUEST_INVALID', 'that cursor is not one that this list gave', {
    hint: 'pass `next` of the page before, unchanged, or leave the cursor out for the first page',
  });
}

/** A key as the text that {@link keyOfCursor} reads. */
export function cursorOf(key: unknown): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
