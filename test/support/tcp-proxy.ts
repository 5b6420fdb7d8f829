import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** A way to a server that a test can cut: connections through it are hung up on and new ones refused. */
export class TcpProxy {
  readonly #host: string;
  readonly #targetPort: number;
  #port = 0;
  #server: Server = createServer();
  readonly #sockets = new Set<Socket>();

  constructor(host: string, port: number) {
    this.#host = host;
    this.#targetPort = port;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens, on the same port as before where it did. Does nothing where it listens already. */
  async open(): Promise<void> {
    if (this.#server.listening) return;
    this.#server = createServer((near) => {
      const far = connect(this.#targetPort, this.#host);
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
      }
    });
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
