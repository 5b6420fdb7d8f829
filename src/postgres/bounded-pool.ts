import type { Duplex } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import {
  PATIENCE,
  abandonConnection,
  forgetConnection,
  isFull,
  watchConnection,
  type Patience,
  type Watched,
} from './connection-watch.js';

/** How long a connection may take to say goodbye, and a pool to have its connections given back. */
const END_MS = 1_000;

export interface BoundedConfig extends pg.ClientConfig {
  /** Absent: {@link PATIENCE}. */
  readonly patience?: Patience;
}

/**
 * A connection on which every wait ends: with the answer, or, where the server does not work on one, with
 * DATABASE_UNREACHABLE (src/postgres/connection-watch.ts). `end` takes a second at the most.
 */
export class BoundedClient extends pg.Client implements Watched {
  declare readonly processID: number;
  readonly config: BoundedConfig;
  readonly patience: Patience;
  /** Told when the server was seen to work on the answer that this connection waits for. */
  onWorking: (() => void) | undefined;
  /** What had been said when the server last owed nothing. In bytes. */
  #answeredTo = 0;
  /** The server waits for rows of a COPY; whether they are all sent, only their sender knows. */
  #copying: 'no' | 'sending' | 'sent' = 'no';
  #ended = false;

  constructor(config: BoundedConfig = {}) {
    super(config);
    this.config = config;
    this.patience = config.patience ?? PATIENCE;
    const { connection } = this;
    const answered = (): void => {
      this.#copying = 'no';
      this.#answeredTo = this.#socket.bytesWritten;
    };
    connection.on('readyForQuery', answered);
    connection.on('portalSuspended', answered);
    connection.on('copyInResponse', () => (this.#copying = 'sending'));
    this.on('connect', () => watchConnection(this));
    this.on('end', () => {
      this.#ended = true;
      forgetConnection(this);
    });
  }

  /** Whether the connection is over, whoever ended it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** All rows of a COPY are on their way, or it is broken off: the next word is the server's. */
  copySent(): void {
    this.#copying = 'sent';
  }

  owed(): string | undefined {
    const { bytesRead, bytesWritten, readableLength, writableLength } = this.#socket;
    // It has answered, and whoever reads here is slow.
    if (readableLength > 0) return undefined;
    const spoken = this.#copying === 'no' ? bytesWritten > this.#answeredTo : this.#copying === 'sent';
    return spoken || writableLength > 0 ? `${bytesRead} ${bytesWritten - writableLength}` : undefined;
  }

  working(): void {
    this.onWorking?.();
  }

  lose(error: Error): void {
    this.#socket.destroy(error);
  }

  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | undefined {
    const limit = setTimeout(() => this.#socket.destroy(), END_MS).unref();
    this.once('end', () => clearTimeout(limit));
    if (!callback) return super.end();
    super.end(callback);
    return undefined;
  }

  get #socket(): Socket {
    // Replaced by another one where TLS begins.
    return this.connection.stream as Socket;
  }
}

/** A network socket, plain or of TLS. */
type Socket = Duplex & { readonly bytesRead: number; readonly bytesWritten: number };

export type BoundedPoolConfig = pg.PoolConfig & Pick<BoundedConfig, 'patience'>;

/** How soon a pool that the server gives no further connection looks whether one of its own is free. */
const LOOK_AGAIN_MS = 20;

/**
 * A pool of such connections. `end` waits a second for those that are in use, and then ends them too. Where the server
 * takes no more connections, the pool works with those that it has.
 */
export class BoundedPool extends pg.Pool {
  readonly #clients = new Set<BoundedClient>();

  constructor(config: BoundedPoolConfig) {
    super({ ...config, Client: BoundedClient });
    this.on('connect', (client) => {
      const bounded = client as unknown as BoundedClient;
      this.#clients.add(bounded);
      bounded.once('end', () => this.#clients.delete(bounded));
    });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: ConnectCallback): void;
  override connect(callback?: ConnectCallback): Promise<pg.PoolClient> | undefined {
    const connecting = this.#connect();
    if (!callback) return connecting;
    connecting.then(
      (client) => callback(undefined, client, (release) => client.release(release)),
      (error: unknown) => callback(error as Error, undefined, () => undefined),
    );
    return undefined;
  }

  async #connect(): Promise<pg.PoolClient> {
    const until = performance.now() + (this.options.connectionTimeoutMillis ?? 0);
    for (;;) {
      try {
        return await super.connect();
      } catch (error) {
        if (!isFull(error) || this.totalCount === 0 || this.ending || performance.now() > until) throw error;
        await wait(LOOK_AGAIN_MS);
      }
    }
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    const limit = setTimeout(() => {
      for (const client of this.#clients)
        abandon(client, new Error('Connection terminated: this process ends'));
    }, END_MS);
    const ended = super.end().finally(() => clearTimeout(limit));
    if (!callback) return ended;
    void ended.then(callback);
    return undefined;
  }
}

type ConnectCallback = (
  error: Error | undefined,
  client: pg.PoolClient | undefined,
  done: (release?: Error | boolean) => void,
) => void;

/** Ends a connection, whatever it waits for, and its statement on the server. */
export function abandon(client: pg.ClientBase, error: Error): void {
  if (client instanceof BoundedClient && !client.ended) abandonConnection(client, error);
}

/** Says that all rows of a COPY to the database are on their way, or that it is broken off. */
export function copySent(client: pg.ClientBase): void {
  if (client instanceof BoundedClient) client.copySent();
}
