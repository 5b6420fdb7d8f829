import { Option } from 'commander';
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../kernel/errors.js';
import type { Context, Voice } from './context.js';
import { interruptible } from './interrupt.js';
import { time } from '../kernel/words.js';
import type { Output } from './terminal.js';

/** `-w, --watch`. */
export function watchOption(): Option {
  return new Option(
    '-w, --watch',
    'refresh every second until q or Ctrl-C; with --json one object a second. Without a terminal: once',
  );
}

const REDRAW_MS = 1_000;

/**
 * Shows something again every second until q or Ctrl-C, in place; one object a second with `--json`. A second in which
 * it cannot be read shows why, since who watches wants to see it come back; with `--json` it throws. For a terminal:
 * elsewhere, `--watch` answers once, as the command does without it.
 */
export async function watch<T>(
  { io }: Context,
  voice: Voice,
  read: () => Promise<T>,
  text: (value: T) => string,
): Promise<void> {
  const screen = voice.json ? undefined : new Screen(io.stdout);
  await interruptible(io, async (interrupted) => {
    const quit = new AbortController();
    const releaseKeys = io.onKey((key) => {
      if (key === 'q' || key === 'Q') quit.abort();
    });
    const signal = AbortSignal.any([interrupted, quit.signal]);
    const draw = (shown: string): void => {
      screen?.draw(`${shown}\n${voice.paint('q or Ctrl-C ends this', 'quiet')}\n`);
    };
    try {
      while (!signal.aborted && !io.stdout.closed) {
        try {
          const value = await read();
          if (voice.json) voice.result(value, () => '');
          else draw(`${time(new Date())}\n\n${voice.printable(text(value))}`);
        } catch (error) {
          if (voice.json) throw error;
          draw(`${time(new Date())}\n\n${voice.paint(voice.printable(messageOf(error)), 'bad')}\n`);
        }
        await setTimeout(REDRAW_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      releaseKeys();
      screen?.end();
    }
  });
}

/** A terminal's alternate screen: drawn over in place, and what was there before comes back at the end. */
class Screen {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
    // Alternate screen, no cursor, and lines that are too long are cut and not wrapped.
    output.write('\u001b[?1049h\u001b[?25l\u001b[?7l');
  }

  /** Draws text from the top. What does not fit below is left out. */
  draw(text: string): void {
    const lines = text.split('\n');
    const shown = lines.slice(0, Math.max(1, this.#output.rows - 1));
    this.#output.write(`\u001b[H${shown.map((line) => `${line}\u001b[K\r\n`).join('')}\u001b[J`);
  }

  end(): void {
    this.#output.write('\u001b[?7h\u001b[?25h\u001b[?1049l');
  }
}
