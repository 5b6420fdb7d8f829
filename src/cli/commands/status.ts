import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import { messageOf } from '../../base/errors.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { interruptible } from '../interrupt.js';
import { leaf } from '../leaf.js';
import { Screen } from '../screen.js';
import { statusText } from '../status-text.js';
import { time } from '../../base/words.js';
import { readStatus, type JobStatus } from '../status.js';

const REDRAW_MS = 1_000;

export function addStatus(program: Command, context: Context): void {
  const command = leaf(
    program,
    'status',
    'Show every gate: its flag, its permit, its versions, its last run and the next slot.',
    ['portcullis status', 'portcullis status --watch', 'portcullis status --json'],
  )
    .option('-w, --watch', 'every second anew, until q or Ctrl-C; with --json one object a second')
    .action(async ({ watch = false }: { watch?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        if (watch) return watchStatus(context, installation, voice);
        const jobs = await read(context, installation);
        voice.result({ jobs }, () => statusText(voice, jobs));
      });
    });
}

async function read({ app }: Context, installation: Installation): Promise<JobStatus[]> {
  return readStatus(installation, await app.policies(installation));
}

async function watchStatus(context: Context, installation: Installation, voice: Voice): Promise<void> {
  const { io } = context;
  const screen = io.stdout.isTTY && !voice.json ? new Screen(io.stdout) : undefined;
  await interruptible(io, async (interrupted) => {
    const quit = new AbortController();
    const releaseKeys = io.onKey((key) => {
      if (key === 'q' || key === 'Q') quit.abort();
    });
    const signal = AbortSignal.any([interrupted, quit.signal]);
    try {
      while (!signal.aborted && !io.stdout.closed) {
        const draw = (text: string): void => {
          if (screen) screen.draw(`${text}\n${voice.paint('q or Ctrl-C ends this', 'quiet')}\n`);
          else io.stdout.write(`${text}\n`);
        };
        try {
          const jobs = await read(context, installation);
          if (voice.json) voice.result({ jobs }, () => '');
          else draw(`${time(new Date())}\n\n${statusText(voice, jobs)}`);
        } catch (error) {
          // Who watches wants to see it come back.
          if (voice.json) throw error;
          draw(`${time(new Date())}\n\n${voice.paint(messageOf(error), 'bad')}\n`);
        }
        await setTimeout(REDRAW_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      releaseKeys();
      screen?.end();
    }
  });
}
