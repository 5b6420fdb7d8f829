import { describe, expect, test } from '@jest/globals';
import { ChangePages, PAGE_ROWS, type PageAsked } from '../../../src/console/runs/change-pages.js';
import { until } from '../../support/until.js';

/** Which of a run's changes are read, and kept. */

/** Two lanes of so many changes, read as the API reads them. */
function reading(lanes: readonly number[], known: boolean) {
  const all = lanes.flatMap((changes, lane) =>
    Array.from({ length: changes }, (_, at) => `${lane}.${at + 1}`),
  );
  const asked: PageAsked[] = [];
  let failing = false;
  const pages = new ChangePages<string>({
    lanes: known ? lanes.map((changes, lane) => ({ lane, changes })) : undefined,
    changed: () => undefined,
    read: (page) => {
      asked.push(page);
      if (failing) return Promise.reject(new Error('cut off'));
      const first =
        page.cursor === undefined ? Math.max(0, all.indexOf(page.from ?? '')) : Number(page.cursor);
      const items = all.slice(first, first + page.limit);
      const behind = first + items.length;
      return Promise.resolve({ items, next: behind < all.length ? String(behind) : null });
    },
  });
  const fail = (now: boolean): void => void (failing = now);
  return { pages, asked, fail };
}

describe('where the lanes are known', () => {
  test('any place is read at once, over the border of lanes too', async () => {
    const { pages, asked } = reading([250_150, 749_850], true);
    expect([pages.total, pages.more]).toEqual([1_000_000, false]);
    pages.want(999_990, 1_000_000);
    await until('the last is there', () => Promise.resolve(pages.row(999_999) !== undefined));
    expect(pages.row(999_999)).toBe('1.749850');
    pages.want(250_140, 250_160);
    await until('the border is there', () => Promise.resolve(pages.row(250_160) !== undefined));
    expect([pages.row(250_149), pages.row(250_150)]).toEqual(['0.250150', '1.1']);
    expect(asked.map(({ from }) => from)).toEqual(['1.749651', '0.250001']);
  });

  test('of a million, those that are looked at are kept', async () => {
    const { pages, asked } = reading([1_000_000], true);
    for (let page = 0; page < 60; page += 1) {
      pages.want(page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
      await until('the page is there', () => Promise.resolve(pages.row(page * PAGE_ROWS) !== undefined));
    }
    expect(pages.row(59 * PAGE_ROWS)).toBeDefined();
    expect(pages.row(0)).toBeUndefined();
    pages.want(0, PAGE_ROWS);
    await until('the first is there again', () => Promise.resolve(pages.row(0) !== undefined));
    expect(asked).toHaveLength(61);
  });
});

describe('where they are not known', () => {
  test('pages follow one another, up to the last', async () => {
    const { pages, asked } = reading([450], false);
    pages.want(0, 20);
    await until('the first page is there', () => Promise.resolve(pages.row(0) !== undefined));
    expect([pages.total, pages.more]).toEqual([200, true]);
    pages.want(440, 450);
    await until('the last page is there', () => Promise.resolve(pages.row(449) !== undefined));
    expect([pages.total, pages.more]).toEqual([450, false]);
    expect(asked.map(({ cursor }) => cursor)).toEqual([undefined, '200', '400']);
  });

  test('there may be none', async () => {
    const { pages } = reading([], false);
    pages.want(0, 1);
    await until('it is known', () => Promise.resolve(!pages.more));
    expect(pages.total).toBe(0);
  });
});

test('a reading that fails is not repeated until it is asked for', async () => {
  const { pages, asked, fail } = reading([300], true);
  fail(true);
  pages.want(0, 10);
  await until('it failed', () => Promise.resolve(pages.error !== undefined));
  pages.want(0, 20);
  expect(asked).toHaveLength(1);
  fail(false);
  pages.retry();
  await until('it is there', () => Promise.resolve(pages.row(0) !== undefined));
  expect(pages.error).toBeUndefined();
});
