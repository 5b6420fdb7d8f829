import { cutTo, printable } from './display-width.js';
import type { Output } from './terminal.js';
import { number } from '../kernel/words.js';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** What is over sooner needs no progress display. */
const PATIENCE_MS = 1_000;
const BAR_WIDTH = 24;

/** One line that tells what is going on, and is gone when it is over. */
export interface Progress {
  /** What is going on now. */
  say(text: string): void;
  /** Takes the line away for good. */
  end(): void;
}

/**
 * Shows a line with a spinner once something takes longer than a second, and only on a terminal. Whatever
 * else is printed meanwhile goes through `above`, so that the two do not mix.
 */
export class ProgressLine implements Progress {
  readonly #output: Output;
  readonly #startedAt = Date.now();
  #text: string;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;
  #frame = 0;

  constructor(output: Output, text: string) {
    this.#output = output;
    this.#text = text;
    if (output.isTTY) this.#timer = setInterval(() => this.#draw(), FRAME_MS).unref();
  }

  say(text: string): void {
    this.#text = text;
  }

  /** Prints with the line out of the way; it comes back by itself. */
  above(print: () => void): void {
    this.#clear();
    print();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #draw(): void {
    if (Date.now() - this.#startedAt < PATIENCE_MS) return;
    const frame = FRAMES[(this.#frame += 1) % FRAMES.length] ?? '';
    const text = cutTo(printable(this.#text), Math.max(1, this.#output.columns - 3));
    this.#output.write(`\r\u001b[2K${frame} ${text}`);
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) this.#output.write('\r\u001b[2K');
    this.#shown = false;
  }
}

/** Runs `work` with a progress line that goes when it is over, however it ends. */
export async function withProgress<T>(
  output: Output,
  text: string,
  work: (progress: ProgressLine) => Promise<T>,
): Promise<T> {
  const progress = new ProgressLine(output, text);
  try {
    return await work(progress);
  } finally {
    progress.end();
  }
}

/** `█████░░░░  1,204 of 5,000`. */
export function bar(done: number, of: number): string {
  const filled = of <= 0 ? 0 : Math.min(BAR_WIDTH, Math.floor((done / of) * BAR_WIDTH));
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}  ${number(done)} of ${number(of)}`;
}
