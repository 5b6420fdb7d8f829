import { once } from 'node:events';
import type pg from 'pg';
import { from as copyFrom, type CopyStreamQuery } from 'pg-copy-streams';
import { copySent } from './bounded-pool.js';

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** A value of a row in COPY's text format; null is SQL's null. */
export function copyField(value: string | null): string {
  if (value === null) return '\\N';
  return SPECIAL.test(value) ? value.replaceAll(/[\\\t\n\r]/g, (letter) => ESCAPES[letter] ?? letter) : value;
}

/**
 * A COPY of text into a table, in the caller's transaction. One chunk is under way at a time, so memory stays flat.
 * Each method throws what ended the COPY: the server's error, or that the connection is lost.
 */
export class CopyIn {
  readonly #client: pg.ClientBase;
  readonly #stream: CopyStreamQuery;
  readonly #failed: Promise<never>;
  #over = false;

  /** Begins `sql`, a `copy … from stdin`. */
  constructor(client: pg.ClientBase, sql: string) {
    this.#client = client;
    this.#stream = client.query(copyFrom(sql));
    this.#failed = once(this.#stream, 'error').then(([error]) => Promise.reject(error as Error));
    // Awaited by whichever method comes next; until then a failure must not count as unhandled, nor a second one.
    this.#failed.catch(() => undefined);
    this.#stream.on('error', () => (this.#over = true));
  }

  /** Resolves when the connection takes more text. */
  async write(text: string): Promise<void> {
    // The stream of a COPY that has failed has no connection any more to write to.
    if (this.#over) await this.#failed;
    await Promise.race([new Promise((taken) => this.#stream.write(text, taken)), this.#failed]);
  }

  /** Resolves when the server has taken all rows. */
  async end(): Promise<void> {
    if (this.#over) await this.#failed;
    const finished = once(this.#stream, 'finish');
    this.#stream.end();
    copySent(this.#client);
    await Promise.race([finished, this.#failed]);
  }

  /** Ends the COPY as failed, so that the connection is usable for a rollback. Does nothing to one that is over. */
  async abort(reason: unknown): Promise<void> {
    if (this.#over || this.#stream.destroyed) return;
    copySent(this.#client);
    this.#stream.destroy(reason instanceof Error ? reason : undefined);
    await this.#failed.catch(() => undefined);
  }
}
