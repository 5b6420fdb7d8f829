import { appendFile, writeFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { formatDurationMs } from '../../base/duration.js';
import { messageOf, PortcullisError } from '../../base/errors.js';
import { reportPage } from '../../replay/incident/report-page.js';
import { replayJson } from '../../replay/incident/result-json.js';
import type { ReplayResult, Span } from '../../replay/incident/result.js';
import { FEWEST_ACCOUNTS, MOST_ACCOUNTS, MOST_REGIONS, PRODUCTS } from '../../replay/incident/world.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { interruptible } from '../interrupt.js';
import { leaf } from '../leaf.js';
import { withProgress } from '../progress.js';
import type { Cell } from '../table.js';
import { countOf, number } from '../../base/words.js';

interface ReplayOptions {
  readonly accounts: number;
  readonly regions: number;
  readonly seed: number;
  readonly report?: string;
}

export function addReplay(program: Command, context: Context): void {
  const command = leaf(
    program,
    'replay',
    'Replay the incident of February 2021 with and without Portcullis. The same faulty version of domain-claim is\n' +
      'let loose in one world after the other, each on the same data, with something else in its way each time.\n' +
      'It works on the embedded PostgreSQL, in databases of its own that are dropped at the end.',
    [
      'portcullis replay',
      'portcullis replay --accounts 20000 --json',
      'portcullis replay --report incident.html',
    ],
  )
    .option(
      '--accounts <count>',
      'how many accounts the world has',
      wholeFrom(FEWEST_ACCOUNTS, MOST_ACCOUNTS),
      200_000,
    )
    .option('--regions <count>', 'in how many regions', wholeFrom(1, MOST_REGIONS), MOST_REGIONS)
    .option('--seed <number>', 'the same seed makes the same world', wholeFrom(0, 2_147_483_647), 1)
    .option('--report <file>', 'write a page with the table and plots: one HTML file that loads nothing')
    .action(async ({ report, ...size }: ReplayOptions) => {
      const voice = voiceOf(context, command);
      const { app, io } = context;
      // A report that cannot be written is heard of now, and not minutes later.
      if (report !== undefined) await write(() => appendFile(report, ''));
      const result = await interruptible(io, (signal) =>
        withProgress(io.stderr, 'opening the database', (progress) =>
          app.replay(size, { signal, say: (text) => progress.say(text) }),
        ).catch((error: unknown) => {
          if (!signal.aborted) throw error;
          return undefined;
        }),
      );
      if (result === undefined) {
        voice.note('interrupted; everything that the replay made is dropped');
        io.exitWith(1);
        return;
      }
      if (report !== undefined) await write(() => writeFile(report, reportPage(result)));
      voice.result(replayJson(result), () => replayText(voice, result));
      if (report !== undefined) voice.note(`\nreport in ${report}`);
    });
}

function wholeFrom(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from ${number(least)} to ${number(most)}.`);
  };
}

async function write(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new PortcullisError('FILE_UNWRITABLE', messageOf(error), {
      mend: 'name a file in a folder that is there and that you may write to',
      cause: error,
    });
  }
}

function replayText(voice: Voice, result: ReplayResult): string {
  const { worlds } = result;
  const columns = [
    'world',
    'wrongly claimed',
    'organisations',
    'regions',
    'to detect',
    'to stop',
    'to restore',
  ];
  const table = voice.table(
    [...columns, 'edits lost', 'as before'].map((title, at) => ({
      title,
      align: at === 0 ? 'left' : 'right',
    })),
    worlds.map((world) => [
      world.name,
      bad(world.wronglyClaimed),
      world.organisationsTouched,
      world.regionsTouched,
      world.detect === null ? '–' : spanText(world.detect),
      spanText(world.stop),
      world.restore === null ? 'nothing to do' : spanText(world.restore),
      bad(world.editsLost),
      world.rowsNotAsBefore === 0
        ? { text: 'exactly', tone: 'good' }
        : { text: `but ${countOf(world.rowsNotAsBefore, 'row')}`, tone: 'bad' },
    ]),
  );
  const lockedOut = voice.table(
    [{ title: 'users locked out' }, ...PRODUCTS.map((title) => ({ title, align: 'right' as const }))],
    worlds.map((world) => [world.name, ...PRODUCTS.map((product) => bad(world.lockedOut[product]))]),
  );
  const putBack = voice.facts(
    worlds.flatMap(({ name, restore, rowsRestored }) =>
      restore === null ? [] : [[name, restoreText(restore, rowsRestored)]],
    ),
  );
  const noticed = voice.facts(worlds.map(({ name, noticedBy }) => [name, noticedBy]));
  const { accounts, organisations, regions, seed, faultyVersion, healthyRuns, stableVersion } = result;
  return `${table}
* by the world's clock; all else is what this machine took. Finding out what to restore is not in it: in 2021 that took most of 21 hours.

${lockedOut}
rows put back
${putBack}
what noticed it
${noticed}
${number(accounts)} accounts of ${number(organisations)} organisations in ${countOf(regions.length, 'region')}, seed ${seed}; domain-claim ${faultyVersion} after ${number(healthyRuns)} runs of ${stableVersion}; ${formatDurationMs(result.tookMs)} in all
`;
}

/** A number that should be none. */
function bad(count: number): Cell {
  return { text: number(count), tone: count === 0 ? 'good' : 'bad' };
}

function restoreText({ ms }: Span, rows: number): string {
  return `${countOf(rows, 'row')} in ${formatDurationMs(ms)}, ${number(Math.round((rows * 1_000) / ms))} a second`;
}

function spanText({ ms, clock }: Span): string {
  return ms === 0 ? 'at once' : `${formatDurationMs(ms)}${clock === 'virtual' ? ' *' : ''}`;
}
