/** Work that comes round again and again, never twice at once. */
export interface Poller {
  /** Comes round no more; tells the work under way to stop, and answers when it has. */
  stop(): Promise<void>;
}

export interface PollerOptions {
  /** The first time comes after `everyMs` too: for work that was done once before the beat began. */
  readonly restFirst?: boolean;
}

/**
 * Does `work` at once and then every `everyMs` milliseconds, counted from the end of the time before. What it
 * throws goes to `onError`, unless it is stopped by then, and the next beat tries again.
 */
export function startPoller(
  everyMs: number,
  work: (signal: AbortSignal) => Promise<unknown>,
  onError: (error: unknown) => void,
  { restFirst = false }: PollerOptions = {},
): Poller {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stopped = (): boolean => signal.aborted;
  let timer: NodeJS.Timeout | undefined;
  let wake = (): void => undefined;
  const rest = (): Promise<void> =>
    new Promise((resume) => {
      wake = resume;
      timer = setTimeout(resume, everyMs);
    });
  const beating = (async () => {
    if (restFirst) await rest();
    while (!stopped()) {
      try {
        await work(signal);
      } catch (error) {
        if (!stopped()) onError(error);
      }
      if (!stopped()) await rest();
    }
  })();
  return {
    stop: () => {
      stopping.abort();
      clearTimeout(timer);
      wake();
      return beating;
    },
  };
}
