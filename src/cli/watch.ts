import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../kernel/errors.js';
import type { Context, Voice } from './context.js';
import { interruptible } from './interrupt.js';
import { Screen } from './screen.js';
import { time } from '../kernel/words.js';

const REDRAW_MS = 1_000;

/**
 * Shows something every second anew until q or Ctrl-C: in place on a terminal, one behind the other elsewhere, one
 * object a second with `--json`. A second in which it cannot be read shows why, since who watches wants to see it
 * come back; with `--json` it throws.
 */
export async function watch<T>(
  { io }: Context,
  voice: Voice,
  read: () => Promise<T>,
  text: (value: T) => string,
): Promise<void> {
  const screen = io.stdout.isTTY && !voice.json ? new Screen(io.stdout) : undefined;
  await interruptible(io, async (interrupted) => {
    const quit = new AbortController();
    const releaseKeys = io.onKey((key) => {
      if (key === 'q' || key === 'Q') quit.abort();
    });
    const signal = AbortSignal.any([interrupted, quit.signal]);
    const draw = (shown: string): void => {
      if (screen) screen.draw(`${shown}\n${voice.paint('q or Ctrl-C ends this', 'quiet')}\n`);
      else io.stdout.write(`${shown}\n`);
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
