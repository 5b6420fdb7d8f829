import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** A way to a server that a test can cut: connections through it are hung up on and new ones refused. */
export class TcpProxy {
  readonly #host: string;
  #targetPort: number;
  #port = 0;
  #server: Server = createServer();
  readonly #sockets = new Set<Socket>();
  readonly #far = new Set<Socket>();
  #stalled = false;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#targetPort = port;
  }

  get port(): number {
    return this.#port;
  }

  /** A URL that leads to the same database through here. */
  through(url: string): string {
    const proxied = new URL(url);
    proxied.hostname = '127.0.0.1';
    proxied.port = String(this.#port);
    return proxied.toString();
  }

  /** The ports that the connections come from, as the server sees them. */
  farPorts(): number[] {
    return [...this.#far].flatMap(({ localPort }) => localPort ?? []);
  }

  /** Listens, on the same port as before where it did. Does nothing where it listens already. */
  async open(): Promise<void> {
    this.#stalled = false;
    if (this.#server.listening) return;
    this.#server = createServer((near) => {
      const far = connect(this.#targetPort, this.#host);
      this.#far.add(far);
      far.on('close', () => this.#far.delete(far));
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
        if (this.#stalled) stall(socket);
      }
    });
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** New connections lead to that port of the same host from now on. */
  leadTo(port: number): void {
    this.#targetPort = port;
  }

  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Resets the connections that there are (TCP's RST); new ones get through. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /**
   * Keeps the connections open and forwards nothing any more, in either direction: what a network does that loses
   * every packet. New ones get through, or with `newToo` fare the same. Until the next `open`, those that are
   * stalled stay so.
   */
  stall({ newToo = false } = {}): void {
    this.#stalled = newToo;
    for (const socket of this.#sockets) stall(socket);
  }
}

function stall(socket: Socket): void {
  socket.unpipe();
  socket.pause();
}
