import { stripVTControlCharacters } from 'node:util';
import type { ExitCode, Output, Terminal } from '../../../src/cli/terminal.js';

class FakeOutput implements Output {
  text = '';
  closed = false;
  constructor(
    readonly isTTY: boolean,
    readonly columns: number,
    readonly rows: number,
  ) {}

  write(text: string): void {
    this.text += text;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  /** What was written, without colours and cursor movements. */
  get plain(): string {
    return stripVTControlCharacters(this.text);
  }
}

export interface FakeTerminalOptions {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly colour?: boolean;
}

/** A terminal that keeps what is written, and on which a test presses the keys. */
export class FakeTerminal implements Terminal {
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  readonly colour: boolean;
  readonly program = 'portcullis';
  exitCode: ExitCode = 0;
  readonly asks = false;
  /** What a test types. */
  typed: string[] = [];
  readonly #interrupts = new Set<() => void>();
  readonly #keys = new Set<(key: string) => void>();

  constructor({
    isTTY = false,
    columns = Infinity,
    rows = Infinity,
    colour = false,
  }: FakeTerminalOptions = {}) {
    this.stdout = new FakeOutput(isTTY, columns, rows);
    this.stderr = new FakeOutput(isTTY, columns, rows);
    this.colour = colour;
  }

  exitWith(code: ExitCode): void {
    this.exitCode = code;
  }

  onInterrupt(handler: () => void): () => void {
    this.#interrupts.add(handler);
    return () => this.#interrupts.delete(handler);
  }

  onKey(handler: (key: string) => void): () => void {
    this.#keys.add(handler);
    return () => this.#keys.delete(handler);
  }

  askLine(): Promise<string> {
    return Promise.resolve(this.typed.shift() ?? '');
  }

  get listening(): boolean {
    return this.#interrupts.size > 0;
  }

  interrupt(): void {
    for (const handler of [...this.#interrupts]) handler();
  }

  press(key: string): void {
    for (const handler of [...this.#keys]) handler(key);
  }

  /** The lines of standard output as the objects that they are. */
  objects(): unknown[] {
    return this.stdout.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  }
}
