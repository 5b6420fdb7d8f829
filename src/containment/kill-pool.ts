import type pg from 'pg';
import { startPoller, type Poller } from '../kernel/poller.js';
import { BoundedPool } from '../postgres/bounded-pool.js';
import { KILL_CONNECTIONS } from '../postgres/connections.js';
import { connectAlone, openPool, poolConfig, surviveLoss } from '../postgres/pool.js';

/** More often than a pool closes an idle connection, and than most proxies do. */
const HOLD_MS = 10_000;

/**
 * The connections over which a process that serves kills in one database. They are nobody else's, and {@link hold} keeps
 * one of each kind open, so that a kill gets through to a server that takes no more connections.
 */
export class KillPool extends BoundedPool {
  readonly holders: pg.Pool;

  /** `url` is the owner's; `name` is the database's, as people know it. */
  constructor(url: string, name: string) {
    super(poolConfig(url, { name: `kills in ${name}`, max: KILL_CONNECTIONS.orders }));
    surviveLoss(this);
    this.holders = openPool(url, { name: `kills in ${name}: holders`, max: KILL_CONNECTIONS.holders });
  }

  /** Opens one connection of each kind, and again where it is lost, until the beat is stopped. */
  hold(): Poller {
    return startPoller(
      HOLD_MS,
      () => Promise.allSettled([this, this.holders].map((pool) => pool.query('select 1'))),
      () => undefined,
    );
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    const ended = Promise.all([super.end(), this.holders.end()]).then(() => undefined);
    if (!callback) return ended;
    void ended.then(callback);
    return undefined;
  }
}

/** A connection beside a kill's own, to be given back by `done`: with an error, where it broke. */
export interface Beside {
  readonly client: pg.ClientBase;
  /** Other kills wait for it too. */
  readonly shared: boolean;
  readonly done: (error?: Error) => unknown;
}

/** A connection over which the holders of a gate's lock are ended while the kill itself waits for it. */
export async function connectBeside(owner: pg.Pool): Promise<Beside> {
  if (owner instanceof KillPool) {
    const client = await owner.holders.connect();
    return { client, shared: true, done: (error) => client.release(error) };
  }
  const client = await connectAlone(owner.options);
  return { client, shared: false, done: () => client.end().catch(() => undefined) };
}
