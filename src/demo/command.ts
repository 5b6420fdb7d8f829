import { InvalidArgumentError } from 'commander';
import { number } from '../kernel/words.js';
import { reportPage } from './incident/report-page.js';
import { replayJson } from './incident/result-json.js';
import type { ReplayResult } from './incident/result.js';
import { FEWEST_ACCOUNTS, MOST_ACCOUNTS, MOST_REGIONS, type WorldSize } from './incident/world.js';
import { PortcullisError } from '../kernel/errors.js';
import { voiceOf, withLook, type AddCommand, type Context } from '../cli/context.js';
import { interruptible } from '../cli/interrupt.js';
import { leaf } from '../cli/leaf.js';
import type { Terminal } from '../cli/terminal.js';
import { withProgress } from '../cli/progress.js';
import { replayText } from './replay-text.js';
import { open, rm, writeFile } from 'node:fs/promises';
import { fileError } from '../postgres/file-error.js';

interface ReplayOptions extends WorldSize {
  readonly report?: string;
}

const MOST_SEED = 2_147_483_647;

/** Replays the incident on the embedded server; no installation is opened. */
export type Replay = (
  size: WorldSize,
  options: { readonly say: (text: string) => void; readonly signal: AbortSignal },
) => Promise<ReplayResult>;

/** A token that is given and not valid fails every command, also one that opens no installation. */
async function refuseBadToken(context: Context): Promise<void> {
  if (context.app.settings.token === undefined) return;
  try {
    await withLook(context, () => Promise.resolve());
  } catch (error) {
    // Where there is no installation, there is nothing that a token could be valid for.
    if (!(error instanceof PortcullisError && error.code === 'DATABASE_OUTDATED')) throw error;
  }
}

/** The command `replay`. */
export const replayCommand =
  (replay: Replay): AddCommand =>
  (program, context) => {
    const command = leaf(
      program,
      'replay',
      'Replay the incident of February 2021 with and without Portcullis. Runs the faulty version once per safeguard, on ' +
        'identical data, in databases of its own that are dropped at the end, also on Ctrl-C. The same accounts, regions, ' +
        'seed and version give the same figures; durations without a star are what this machine took.',
      [
        'portcullis replay',
        'portcullis replay --accounts 20000 --json',
        'portcullis replay --report incident.html',
      ],
    )
      .option(
        '--accounts <count>',
        `how many accounts the world has, ${range(FEWEST_ACCOUNTS, MOST_ACCOUNTS)}`,
        wholeFrom(FEWEST_ACCOUNTS, MOST_ACCOUNTS),
        200_000,
      )
      .option(
        '--regions <count>',
        `in how many regions, ${range(1, MOST_REGIONS)}`,
        wholeFrom(1, MOST_REGIONS),
        MOST_REGIONS,
      )
      .option(
        '--seed <number>',
        'the same seed makes the same world; a whole number',
        wholeFrom(0, MOST_SEED),
        1,
      )
      .option('--report <file>', 'write a page with the table and plots: one HTML file that loads nothing')
      .action(async ({ report: path, ...size }: ReplayOptions) => {
        const voice = voiceOf(context, command);
        await refuseBadToken(context);
        const report = path === undefined ? undefined : await lateFile(path);
        try {
          const result = await unlessInterrupted(context.io, (options) => replay(size, options));
          if (result === undefined) {
            voice.note('interrupted; everything that the replay made is dropped');
            context.io.exitWith(1);
            return;
          }
          voice.result(replayJson(result), () => replayText(voice, result));
          if (report === undefined) return;
          await report.write(reportPage(result));
          voice.note(`\nreport in ${report.path}`);
        } finally {
          await report?.end();
        }
      });
  };

function unlessInterrupted(
  io: Terminal,
  replay: (options: Parameters<Replay>[1]) => Promise<ReplayResult>,
): Promise<ReplayResult | undefined> {
  return interruptible(io, (signal) =>
    withProgress(io.stderr, 'opening the database', (progress) => {
      const dropping = (): void => progress.say('interrupted: dropping what was made');
      signal.addEventListener('abort', dropping, { once: true });
      const say = (text: string): void => {
        if (!signal.aborted) progress.say(text);
      };
      return replay({ signal, say });
    }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
      return undefined;
    }),
  );
}

function range(least: number, most: number): string {
  return `${number(least)} to ${number(most)}`;
}

function wholeFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number, ${range(least, most)}.`);
  };
}

/** A file that long work ends with, made sure of before the work begins. */
interface LateFile {
  readonly path: string;
  write(text: string): Promise<void>;
  /** Where nothing was written, a file that was made for this goes. */
  end(): Promise<void>;
}

/** Throws FILE_UNWRITABLE where the file cannot be written, now and not after minutes. */
async function lateFile(path: string): Promise<LateFile> {
  const made = await unlessUnwritable(() => makeOrReach(path));
  let written = false;
  return {
    path,
    write: async (text) => {
      await unlessUnwritable(() => writeFile(path, text));
      written = true;
    },
    end: async () => {
      if (made && !written) await rm(path, { force: true });
    },
  };
}

/** Whether it had to be made. */
async function makeOrReach(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await (await open(path, 'a')).close();
    return false;
  }
}

async function unlessUnwritable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(
      'FILE_UNWRITABLE',
      error,
      'name a file in a folder that is there and that you may write to',
    );
  }
}
