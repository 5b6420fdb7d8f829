/**
 * What `work` comes to. Where it takes longer than `ms` milliseconds, throws the error that `late` makes; the work
 * itself goes on, and what becomes of it is nobody's concern any more.
 */
export async function within<T>(ms: number, work: () => Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(late()), ms);
  });
  try {
    return await Promise.race([work(), limit]);
  } finally {
    clearTimeout(timer);
  }
}
