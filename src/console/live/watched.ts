import { signal, type ReadonlySignal } from '@preact/signals';
import { me } from '../api.js';
import { onChanges } from './live.js';
import type { Change } from './stream.js';

/** Something that is read from the server, and again whenever it may have changed. */
export interface Watched<T> {
  readonly data: ReadonlySignal<T | undefined>;
  /** What the last reading failed with; undefined: it did not. What was read before stays. */
  readonly error: ReadonlySignal<unknown>;
  /** When what is shown was asked for, in milliseconds since 1970. */
  readonly readMs: ReadonlySignal<number>;
  refresh(): void;
  stop(): void;
}

export interface WatchOptions<T> {
  /**
   * Reads it; `changes` are those since the last reading, undefined: all of it may have changed. `show` shows what has come
   * so far, where it comes by parts.
   */
  readonly read: (
    changes: readonly Change[] | undefined,
    before: T | undefined,
    show: (part: T) => void,
  ) => Promise<T>;
  readonly affects: (change: Change) => boolean;
  /** How often it is read where no change is told, such as of a permit that is renewed. */
  readonly everyMs: number;
}

/** Changes that come within so long are read together. */
const TOGETHER_MS = 60;

/** Reads at once, and again as things change, never twice at a time, until `stop`. */
export function watch<T>({ read, affects, everyMs }: WatchOptions<T>): Watched<T> {
  const data = signal<T | undefined>(undefined);
  const error = signal<unknown>(undefined);
  const readMs = signal(0);
  let pending: Change[] = [];
  let all = true;
  let wanted = false;
  let busy = false;
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const soon = (ms: number): void => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => void run(), ms);
  };
  const run = async (): Promise<void> => {
    if (busy) return;
    if (document.visibilityState === 'hidden' || me.value == null) {
      soon(everyMs);
      return;
    }
    busy = true;
    const changes = wanted && !all ? pending : undefined;
    [pending, all, wanted] = [[], false, false];
    const askedMs = Date.now();
    try {
      const show = (part: T): void => {
        data.value = part;
        readMs.value = askedMs;
      };
      show(await read(changes, data.value, show));
      error.value = undefined;
    } catch (thrown) {
      all = true;
      error.value = thrown;
    }
    busy = false;
    // What takes long to read is read less often.
    soon(isWanted() ? TOGETHER_MS : Math.max(everyMs, 20 * (Date.now() - askedMs)));
  };
  // It changes while something is awaited, which the compiler does not see.
  const isWanted = (): boolean => wanted;
  const want = (): void => {
    if (wanted) return;
    wanted = true;
    if (!busy) soon(TOGETHER_MS);
  };
  const refresh = (): void => {
    all = true;
    want();
  };
  const end = onChanges((changes, lost) => {
    const own = changes.filter(affects);
    if (lost) refresh();
    else if (own.length > 0) {
      pending.push(...own);
      want();
    }
  });
  const seen = (): void => {
    if (document.visibilityState === 'visible') refresh();
  };
  document.addEventListener('visibilitychange', seen);
  void run();
  return {
    data,
    error,
    readMs,
    refresh,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      end();
      document.removeEventListener('visibilitychange', seen);
    },
  };
}
