import { formatDurationMs } from '../kernel/duration.js';
import { countOf, number } from '../kernel/words.js';
import { asBeforeInWords, rowsPutBack, spansInWords } from './incident/in-words.js';
import type { ReplayResult } from './incident/result.js';
import { PRODUCTS } from './products.js';
import type { Voice } from '../cli/context.js';
import type { Cell } from '../cli/table.js';

/** What `replay` prints for people. The README opens with the first two tables. */
export function replayText(voice: Voice, result: ReplayResult): string {
  const { worlds, accounts, organisations, regions, seed, faultyVersion, healthyRuns, stableVersion } =
    result;
  const putBack = worlds.flatMap((world): [string, string][] => {
    const text = rowsPutBack(world);
    return text === undefined ? [] : [[world.name, text]];
  });
  return `${outcomes(voice, result)}
* by the world's clock; all else is what this machine took. Finding out what to restore is not in it: in 2021 that took most of 21 hours.

${lockedOut(voice, result)}
rows put back
${voice.facts(putBack)}
what noticed it
${voice.facts(worlds.map(({ name, noticedBy }) => [name, noticedBy]))}
${number(accounts)} accounts of ${number(organisations)} organisations in ${countOf(regions.length, 'region')}, seed ${seed}; domain-claim ${faultyVersion} after ${number(healthyRuns)} runs of ${stableVersion}; ${formatDurationMs(result.tookMs)} in all
`;
}

/** Every column has a title, so that no line begins with blanks that a paste would lose. */
const FIGURES = [
  ...['wrongly claimed', 'organisations', 'regions', 'to detect', 'to stop', 'to restore', 'edits lost'],
  'as before',
].map((title) => ({ title, align: 'right' as const }));

function outcomes(voice: Voice, { worlds }: ReplayResult): string {
  return voice.table(
    [{ title: 'world' }, ...FIGURES],
    worlds.map((world) => [
      world.name,
      bad(world.wronglyClaimed),
      world.organisationsTouched,
      world.regionsTouched,
      ...spansInWords(world),
      bad(world.editsLost),
      { text: asBeforeInWords(world), tone: world.rowsNotAsBefore === 0 ? 'good' : 'bad' },
    ]),
  );
}

function lockedOut(voice: Voice, { worlds }: ReplayResult): string {
  return voice.table(
    [{ title: 'users locked out' }, ...PRODUCTS.map((title) => ({ title, align: 'right' as const }))],
    worlds.map((world) => [world.name, ...PRODUCTS.map((product) => bad(world.lockedOut[product]))]),
  );
}

/** A number that should be none. */
function bad(count: number): Cell {
  return { text: number(count), tone: count === 0 ? 'good' : 'bad' };
}
