import type pg from 'pg';
import { formatDurationMs } from '../kernel/duration.js';
import { PortcullisError } from '../kernel/errors.js';

/** A machine's clock that is off by more than this is worth knowing. Nothing is decided by it, but its logs mislead. */
export const SKEW_NOTED_MS = 1_000;

/** In words, how far this machine's clock is ahead of the database's, or behind. */
export function skewText(aheadMs: number): string {
  const by = formatDurationMs(Math.abs(aheadMs));
  return `this machine's clock is ${by} ${aheadMs < 0 ? 'behind' : 'ahead of'} the database's`;
}

/** The time by a database's clock. */
export async function databaseTime(pool: pg.Pool | pg.PoolClient): Promise<Date> {
  const { rows } = await pool.query<{ now: Date }>('select clock_timestamp() as now');
  const now = rows[0]?.now;
  if (now === undefined) throw new PortcullisError('INTERNAL', 'the database returned no time');
  return now;
}

/**
 * Asks a database for its time, and by how much this machine's clock is at least ahead of it; negative where it is
 * behind. An answer that took long says less.
 */
export async function readSkew(pool: pg.Pool): Promise<{ readonly time: number; readonly skewMs: number }> {
  const [wall, asked] = [Date.now(), performance.now()];
  const time = (await databaseTime(pool)).getTime();
  const errorMs = (performance.now() - asked) / 2;
  const aheadMs = wall + errorMs - time;
  return { time, skewMs: Math.sign(aheadMs) * Math.max(0, Math.abs(aheadMs) - errorMs) };
}

/**
 * A database's clock as this process knows it: asked now and then, and carried on in between by the time that the
 * process has run, which no change of the machine's clock moves. It is late by at most the time that the last answer
 * took, and never early.
 */
export class DatabaseClock {
  #asked: { readonly time: number; readonly at: number } | undefined;
  #skewMs = 0;

  constructor(private readonly pool: pg.Pool) {}

  /** Asks the database. Throws where it does not answer; the clock then goes on as it went. */
  async ask(): Promise<void> {
    const read = await readSkew(this.pool);
    this.#asked = { time: read.time, at: performance.now() };
    this.#skewMs = read.skewMs;
  }

  /** The time by the database. Throws where it was never asked with success. */
  now(): Date {
    if (!this.#asked) throw new PortcullisError('INTERNAL', 'the database was not asked for its time yet');
    return new Date(this.#asked.time + performance.now() - this.#asked.at);
  }

  /** By how much this machine's clock is at least ahead of the database's; negative where it is behind. */
  get skewMs(): number {
    return this.#skewMs;
  }
}
