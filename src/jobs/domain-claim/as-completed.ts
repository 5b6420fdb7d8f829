/**
 * Does `work` on each item, at most `limit` at once, and yields the results as they come, in no order.
 * Items are asked for only as room becomes free, so memory stays flat. A failure ends it; work that still
 * runs is waited for, and the source is closed.
 */
export async function* asCompleted<Item, Result>(
  source: AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const items = source[Symbol.asyncIterator]();
  const running = new Set<Promise<Result>>();
  const done: { task: Promise<Result>; result: Result }[] = [];
  const start = (item: Item): void => {
    const task = work(item);
    running.add(task);
    task.then(
      (result) => done.push({ task, result }),
      () => undefined, // thrown by the race below
    );
  };
  try {
    let exhausted = false;
    for (;;) {
      while (!exhausted && running.size < limit) {
        const next = await items.next();
        if (next.done === true) exhausted = true;
        else start(next.value);
      }
      if (running.size === 0) return;
      await Promise.race(running);
      for (const { task, result } of done.splice(0)) {
        running.delete(task);
        yield result;
      }
    }
  } finally {
    await Promise.allSettled(running);
    await items.return?.();
  }
}
