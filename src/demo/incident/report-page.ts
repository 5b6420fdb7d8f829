import { formatDurationMs } from '../../kernel/duration.js';
import { escapeHtml as escape } from '../../kernel/text.js';
import { countOf, number } from '../../kernel/words.js';
import { PRODUCTS } from '../products.js';
import { asBeforeInWords, spansInWords } from './in-words.js';
import { blastRadius, claimsOverTime } from './plots.js';
import { REPORT_STYLE } from './report-style.js';
import type { ReplayResult, WorldResult } from './result.js';

/** One page with all that a replay found, that loads nothing from anywhere: to be kept, mailed, printed. */
export function reportPage(result: ReplayResult): string {
  const { worlds } = result;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The incident of February 2021, replayed</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
<main>
${opening(result)}
<h2>What became of each world</h2>
${outcomeTable(worlds)}
<p class="note">* by the world’s own clock; every other duration is what a computer took, and differs from one replay to
the next. Where nothing else notices, people do after 118 minutes, as in 2021. Finding out what to restore is in no
figure: in 2021 that took most of 21 hours. “Data as before” compares every column of every row of the job’s tables with
what they would be had the job not run, users’ own edits included.</p>
<h2>Accounts wrongly claimed, over time</h2>
<p>Each line ends when the faulty version was stopped, before anything was put back.</p>
${claimsOverTime(worlds)}
<h2>Blast radius, by what stood in the way</h2>
<p>How far the fault had come when it was stopped. The bars of one measure share a scale.</p>
${blastRadius(worlds)}
<h2>Users locked out, by product</h2>
<p>Users who could not log in, because an organisation that does not know them had come to manage their account and lets
people in through its own single sign-on only. Many use several products.</p>
${productTable(worlds)}
<h2>What noticed it</h2>
<dl class="told">
${worlds.map(({ name, noticedBy }) => `<dt>${escape(name)}</dt><dd>${escape(noticedBy)}</dd>`).join('\n')}
</dl>
${closing(result)}
</main>
</body>
</html>
`;
}

function opening({
  accounts,
  organisations,
  regions,
  worlds,
  healthyRuns,
  ...versions
}: ReplayResult): string {
  return `<h1>The incident of February 2021, replayed</h1>
<p class="lead">A new version of a scheduled job has lost one condition: it verifies domains that nobody asked to have
verified, and claims the accounts there for organisations that never asked. Users of claimed accounts can no longer log
in. The same faulty version is let loose on ${worlds.length} copies of one world, with something else in its way each
time.</p>
<p>The world: ${countOf(accounts, 'account')} of ${countOf(organisations, 'organisation')} in ${countOf(regions.length, 'region')}.
<code>domain-claim ${escape(versions.faultyVersion)}</code> ships after ${countOf(healthyRuns, 'healthy run')} of
<code>${escape(versions.stableVersion)}</code>, and is due every 15 minutes.</p>`;
}

function closing({ accounts, regions, seed, tookMs }: ReplayResult): string {
  const command = `portcullis replay --accounts ${accounts} --regions ${regions.length} --seed ${seed}`;
  return `<p class="note">Made by <code>${command}</code> in ${formatDurationMs(tookMs)}. The same command and version
give the same figures, but for what a computer took.</p>`;
}

/** A cell is HTML; a world's name is told with what stood in the way there. */
type Row = readonly [WorldResult, ...string[]];

const OUTCOMES: readonly string[] = [
  ...['Accounts wrongly claimed', 'Organisations touched', 'Regions touched'],
  ...['To detect', 'To stop', 'To restore', 'Users’ edits lost', 'Data as before'],
];

function outcomeTable(worlds: readonly WorldResult[]): string {
  return table(
    'What became of each world',
    OUTCOMES,
    worlds.map((world): Row => {
      const [detect, stop, restore] = spansInWords(world).map((text) => text.replace(' *', '&nbsp;*'));
      const rows = world.restore === null ? '' : `<small>${countOf(world.rowsRestored, 'row')}</small>`;
      return [
        world,
        figure(world.wronglyClaimed),
        number(world.organisationsTouched),
        number(world.regionsTouched),
        ...[detect ?? '', stop ?? '', `<span>${restore ?? ''}${rows}</span>`],
        figure(world.editsLost),
        `<b class="${tone(world.rowsNotAsBefore)}">${asBeforeInWords(world)}</b>`,
      ];
    }),
    ({ guarded }) => `<small>${escape(guarded)}</small>`,
  );
}

function productTable(worlds: readonly WorldResult[]): string {
  return table(
    'Users locked out, by product',
    PRODUCTS,
    worlds.map((world): Row => [world, ...PRODUCTS.map((product) => figure(world.lockedOut[product]))]),
  );
}

/** Roles are said, since a narrow page shows rows as cards, which browsers then take for no table. */
function table(
  label: string,
  titles: readonly string[],
  rows: readonly Row[],
  below: (world: WorldResult) => string = () => '',
): string {
  const head = ['World', ...titles].map((text) => `<th scope="col" role="columnheader">${text}</th>`);
  const body = rows.map(([world, ...cells]) => {
    const name = `<th scope="row" role="rowheader">${escape(world.name)}${below(world)}</th>`;
    const figures = cells.map((cell, at) => `<td role="cell" data-title="${titles[at] ?? ''}">${cell}</td>`);
    return `<tr role="row">${name}${figures.join('')}</tr>`;
  });
  return `<table role="table" aria-label="${label}">
<thead role="rowgroup"><tr role="row">${head.join('')}</tr></thead>
<tbody role="rowgroup">\n${body.join('\n')}\n</tbody></table>`;
}

/** A number that should be none. */
function figure(count: number): string {
  return `<b class="${tone(count)}">${number(count)}</b>`;
}

function tone(count: number): 'good' | 'bad' {
  return count === 0 ? 'good' : 'bad';
}
