import { InvalidArgumentError } from 'commander';
import type { Page, PageRequest } from '../store/page.js';

/** The most that one page has. */
const PAGE = 200;

/** Reads an option that says how many to list: a whole number from 1 to `most`. */
export function limitUpTo(most: number): (text: string) => number {
  return (text) => {
    const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
    if (limit >= 1 && limit <= most) return limit;
    throw new InvalidArgumentError(`A limit is a whole number from 1 to ${most}.`);
  };
}

/** The first `limit` items of a list that comes in pages. */
export async function listUpTo<Item>(
  limit: number,
  pageOf: (request: PageRequest) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await pageOf({ limit: Math.min(PAGE, limit - items.length), cursor });
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && items.length < limit);
  return items;
}
