import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Where text goes. The size is that of the terminal now, and Infinity where there is none. */
export interface Output {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  /** The reader has gone, as in `portcullis runs | head`: what is written since is dropped. */
  readonly closed: boolean;
  write(text: string): void;
  /** Resolves when what was written is out, or the reader gone: who writes much waits for it now and then. */
  drained(): Promise<void>;
}

/** What a command sees of the world outside: a process, or a test. */
export interface Terminal {
  /** Results. */
  readonly stdout: Output;
  /** Progress, notes and errors. */
  readonly stderr: Output;
  /** Whether colour may be used on standard output. */
  readonly colour: boolean;
  /** How a person calls the program here: `portcullis`, or `npx portcullis`. */
  readonly program: string;
  /** The exit code once everything is done; without a call it is 0. */
  exitWith(code: ExitCode): void;
  /**
   * Takes over Ctrl-C and SIGTERM until the answered function is called. `handler` hears the first; a second
   * ends the process at once, unless it comes with the first.
   */
  onInterrupt(handler: () => void): () => void;
  /** Hears single keys while standard input is a terminal, until the answered function is called. */
  onKey(handler: (key: string) => void): () => void;
  /** Whether a person is there to be asked. */
  readonly asks: boolean;
  /** Asks on standard error, and reads a line of standard input; undefined where that has ended. */
  askLine(question: string): Promise<string | undefined>;
}

/** What the codes mean is in exit.ts. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** What a shell reports of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

/** The process's own terminal. */
export function processTerminal(): Terminal {
  const { NO_COLOR, TERM, npm_execpath: throughNpm } = process.env;
  const stdout = output(process.stdout);
  return {
    stdout,
    stderr: output(process.stderr),
    colour: stdout.isTTY && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb',
    program: throughNpm === undefined ? 'portcullis' : 'npx portcullis',
    exitWith: (code) => {
      process.exitCode = code;
    },
    onInterrupt,
    onKey,
    asks: process.stdin.isTTY && process.stderr.isTTY,
    askLine,
  };
}

/** What Node says of a stream, which is less where it is a file or a pipe. */
interface NodeOutput extends NodeJS.EventEmitter {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly writableNeedDrain: boolean;
  write(text: string): boolean;
}

function output(stream: NodeOutput): Output {
  let closed = false;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    closed = true;
    // Whoever waits for the reader waits no longer.
    stream.emit('drain');
  });
  return {
    isTTY: stream.isTTY ?? false,
    get columns() {
      return sizeOr(stream.columns);
    },
    get rows() {
      return sizeOr(stream.rows);
    },
    get closed() {
      return closed;
    },
    write: (text) => {
      if (!closed) stream.write(text);
    },
    drained: async () => {
      if (!closed && stream.writableNeedDrain) await once(stream, 'drain');
    },
  };
}

/** A terminal that does not tell its size says 0. */
function sizeOr(size: number | undefined): number {
  return size === undefined || size === 0 ? Infinity : size;
}

/** How long a process may take to end after Ctrl-C or SIGTERM: less than orchestrators wait before they kill it. */
const STOP_MS = 25_000;

/** npm passes the Ctrl-C on that the terminal has sent already: two signals this close together are one. */
const ONE_SIGNAL_MS = 500;

function onInterrupt(handler: () => void): () => void {
  let first: number | undefined;
  const listener = (): void => {
    if (first !== undefined) {
      if (performance.now() - first >= ONE_SIGNAL_MS) process.exit(INTERRUPTED);
      return;
    }
    first = performance.now();
    // Whatever hangs: what waits outlives this process no longer than that.
    setTimeout(() => {
      process.stderr.write(
        `still busy ${STOP_MS / 1_000} s after the signal; ended without waiting any longer\n`,
      );
      process.exit(1);
    }, STOP_MS).unref();
    handler();
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

async function askLine(question: string): Promise<string | undefined> {
  const { stdin, stderr } = process;
  const lines = createInterface({ input: stdin, ...(stdin.isTTY && { output: stderr }) });
  // While a line is edited, the terminal no longer turns Ctrl-C into a signal.
  lines.once('SIGINT', () => {
    lines.close();
    stderr.write('\n');
    process.kill(process.pid, 'SIGINT');
  });
  try {
    // Only the last line is edited, and drawn again.
    const before = question.split('\n');
    const last = before.pop() ?? '';
    if (stdin.isTTY) stderr.write(before.map((line) => `${line}\n`).join(''));
    if (stdin.isTTY) lines.setPrompt(last);
    if (stdin.isTTY) lines.prompt();
    for await (const line of lines) return line;
    if (stdin.isTTY) stderr.write('\n');
    return undefined;
  } finally {
    lines.close();
  }
}

function onKey(handler: (key: string) => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => undefined;
  const listener = (bytes: Buffer): void => {
    const key = bytes.toString('utf8');
    // In raw mode the terminal no longer turns Ctrl-C into a signal.
    if (key === '\u0003') process.kill(process.pid, 'SIGINT');
    else handler(key);
  };
  stdin.setRawMode(true).on('data', listener).resume();
  return () => {
    stdin.off('data', listener).setRawMode(false).pause();
  };
}
