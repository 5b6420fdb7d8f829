import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { sessionOf } from '../postgres/session.js';
import {
  Hearing,
  type ChangeListener,
  type MonotonicClock,
  type SourceProblem,
  type SourceState,
} from './hearing.js';

export interface ControlReaderOptions {
  /** How often to read where no notification came. Default 1 s. */
  readonly pollMs?: number;
  /** The longest that one question to the database may take before the connection counts as lost. Default 5 s. */
  readonly timeoutMs?: number;
  readonly now?: MonotonicClock;
}

/** Asks the control database once, on the reader's connection. */
export type Ask = <R extends pg.QueryResultRow>(text: string) => Promise<R[]>;

const LONGEST_BACKOFF_MS = 5_000;

/** How often flags are read where no notification came, or none comes. */
export const POLL_MS = 1_000;

/**
 * Reads something of the control database again and again. It keeps one of the pool's connections to itself, listens on
 * it for changes of flags and admissions, and reads all at each notification and at each poll, so that neither a lost
 * notification nor commits out of revision order leave anything unseen. A broken connection is replaced. A connection
 * pooler passes no notifications on: behind one, it reads at each poll alone.
 */
export class ControlReader {
  readonly #control: pg.Pool;
  readonly #pollMs: number;
  readonly #timeoutMs: number;
  readonly #hearing: Hearing;
  readonly #take: (ask: Ask) => Promise<readonly string[]>;
  #running: Promise<void> | undefined;
  #stopped = false;
  #nap = new AbortController();
  #due = false;
  #polled = false;

  /** `take` reads all and answers the names of the flags that changed. */
  constructor(
    control: pg.Pool,
    take: (ask: Ask) => Promise<readonly string[]>,
    { pollMs = POLL_MS, timeoutMs = 5_000, now }: ControlReaderOptions = {},
  ) {
    this.#control = control;
    this.#take = take;
    this.#pollMs = pollMs;
    this.#timeoutMs = timeoutMs;
    this.#hearing = new Hearing(now);
  }

  async start(): Promise<void> {
    this.#running ??= this.#run();
    await this.#hearing.first(this.#timeoutMs);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
  }

  state(): SourceState {
    return { ...this.#hearing.state(), ...(this.#polled && { polledMs: this.#pollMs }) };
  }

  onChange(listener: ChangeListener): () => void {
    return this.#hearing.onChange(listener);
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      try {
        await this.#follow(() => (failures = 0));
      } catch (error) {
        this.#hearing.trouble(problemOf(error));
        failures += 1;
        // What was due was to be read on the connection that is gone; it must not cut the wait short.
        this.#due = false;
        await this.#sleep(Math.min(LONGEST_BACKOFF_MS, 100 * 2 ** failures));
      }
    }
  }

  /** Listens and reads on one connection until it breaks or the source is stopped. */
  async #follow(onRead: () => void): Promise<void> {
    const client = await this.#control.connect();
    const broken = new AbortController();
    const onError = (error: Error): void => {
      broken.abort(error);
      this.#wake();
    };
    const onNotification = (): void => this.#wake();
    client.on('error', onError).on('notification', onNotification);
    try {
      const { pooled } = await sessionOf(client);
      this.#polled = pooled;
      if (!pooled) await client.query(this.#question('listen portcullis_flag'));
      while (!this.#stopped) {
        this.#due = false;
        await this.#read(client);
        onRead();
        await this.#sleep(this.#pollMs);
        broken.signal.throwIfAborted();
      }
    } finally {
      client.off('notification', onNotification);
      // Never back into the pool: it listens, and may be broken. Its last words must still find an ear.
      client.release(true);
    }
  }

  async #read(client: pg.PoolClient): Promise<void> {
    const askedAtMs = this.#hearing.now();
    const changed = await this.#take(async <R extends pg.QueryResultRow>(text: string) => {
      const { rows } = await client.query<R>(this.#question(text));
      return rows;
    });
    this.#hearing.heard(askedAtMs, changed);
  }

  #question(text: string): { text: string; query_timeout: number } {
    return { text, query_timeout: this.#timeoutMs };
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#due || this.#stopped) return;
    this.#nap = new AbortController();
    await setTimeout(ms, undefined, { signal: this.#nap.signal, ref: false }).catch(() => undefined);
  }

  #wake(): void {
    this.#due = true;
    this.#nap.abort();
  }
}

/** Classes 28 (who are you) and 42501 (you may not) are the database saying no, not its being away. */
function problemOf(error: unknown): SourceProblem {
  const code = (error as { code?: unknown } | null)?.code;
  const refused = typeof code === 'string' && /^(28...|42501)$/.test(code);
  return {
    code: refused ? 'flag-unauthorised' : 'flag-unreachable',
    reason: `the control database: ${messageOf(error)}`,
  };
}
