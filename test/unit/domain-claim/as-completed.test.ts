import { describe, expect, test } from '@jest/globals';
import { asCompleted } from '../../../src/jobs/domain-claim/as-completed.js';

function source(count: number) {
  const seen = { asked: 0, closed: false };
  async function* items() {
    try {
      for (let item = 0; item < count; item += 1) {
        seen.asked += 1;
        yield await Promise.resolve(item);
      }
    } finally {
      seen.closed = true;
    }
  }
  return { seen, items: items() };
}

async function all<T>(results: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const result of results) collected.push(result);
  return collected;
}

describe('work on a stream', () => {
  test('is done for each item once', async () => {
    const { items } = source(100);
    const results = await all(asCompleted(items, 7, (item) => Promise.resolve(item * 2)));
    expect(results.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, item) => item * 2));
  });

  test('of no items ends at once', async () => {
    expect(await all(asCompleted(source(0).items, 7, (item) => Promise.resolve(item)))).toEqual([]);
  });

  test('runs as many at once as allowed, and no more', async () => {
    let running = 0;
    let most = 0;
    const work = async (item: number) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resume) => setImmediate(resume));
      running -= 1;
      return item;
    };
    await all(asCompleted(source(50).items, 8, work));
    expect(most).toBe(8);
  });

  test('asks for no more items than it can work on while nobody takes the results', async () => {
    const { items, seen } = source(1_000);
    const results = asCompleted(items, 4, (item) => Promise.resolve(item));
    await results.next();
    expect(seen.asked).toBeLessThanOrEqual(4);
    await results.return(undefined);
    expect(seen.closed).toBe(true);
  });

  test('yields what is done first, first: a slow item holds up nobody', async () => {
    let finishSlow: (result: number) => void = () => undefined;
    const slow = new Promise<number>((resolve) => (finishSlow = resolve));
    const results = asCompleted(source(20).items, 2, (item) => (item === 0 ? slow : Promise.resolve(item)));
    for (let turn = 1; turn < 20; turn += 1)
      expect(await results.next()).toEqual({ done: false, value: turn });
    finishSlow(0);
    expect(await results.next()).toEqual({ done: false, value: 0 });
    expect((await results.next()).done).toBe(true);
  });

  test('that fails ends the stream with the failure and closes the source', async () => {
    const { items, seen } = source(1_000);
    const work = (item: number) => (item === 5 ? Promise.reject(new Error('broken')) : Promise.resolve(item));
    await expect(all(asCompleted(items, 3, work))).rejects.toThrow('broken');
    expect(seen.closed).toBe(true);
  });
});
