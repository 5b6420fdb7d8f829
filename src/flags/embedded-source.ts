import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { messageOf } from '../base/errors.js';
import { sessionOf } from '../store/session.js';
import { FlagRepository, type SourcedFlag } from './flag-repository.js';
import { type FlagRow, definitionOfRow, featureOf } from './flag-row.js';
import { Hearing, type MonotonicClock } from './hearing.js';
import type { ChangeListener, FlagSource, SourceProblem, SourceState } from './source.js';

export interface EmbeddedSourceOptions {
  /** How often the flags are read where no notification came. Default 1 s. */
  readonly pollMs?: number;
  /** The longest that one question to the database may take before the connection counts as lost. Default 5 s. */
  readonly timeoutMs?: number;
  readonly now?: MonotonicClock;
}

const LONGEST_BACKOFF_MS = 5_000;

/** How often flags are read where no notification came, or none comes. */
export const POLL_MS = 1_000;

/**
 * Flags from the control database. It keeps one of the pool's connections to itself, listens on it for
 * changes, and reads all the flags at each notification and at each poll, so that neither a lost
 * notification nor commits out of revision order leave anything unseen. A broken connection is replaced. A connection
 * pooler passes no notifications on: behind one, the flags are read at each poll alone.
 */
export class EmbeddedSource implements FlagSource {
  readonly name = 'embedded';
  readonly repository = new FlagRepository();
  readonly #control: pg.Pool;
  readonly #pollMs: number;
  readonly #timeoutMs: number;
  readonly #hearing: Hearing;
  #running: Promise<void> | undefined;
  #stopped = false;
  #nap = new AbortController();
  #due = false;
  #polled = false;

  constructor(control: pg.Pool, { pollMs = POLL_MS, timeoutMs = 5_000, now }: EmbeddedSourceOptions = {}) {
    this.#control = control;
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
    const { rows } = await client.query<FlagRow>(
      this.#question('select job, region, enabled, variants, revision from portcullis_control.flag'),
    );
    const changed = this.repository.replace(rows.map(sourced), newest(rows));
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

function sourced(row: FlagRow): SourcedFlag {
  const found = definitionOfRow(row);
  if ('malformed' in found) return { name: found.name, found };
  return { name: found.name, found, feature: featureOf(found.name, found.enabled, found.variants) };
}

function newest(rows: readonly FlagRow[]): number {
  return rows.reduce((most, { revision }) => Math.max(most, revision), 0);
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
