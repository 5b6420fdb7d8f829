import { formatDurationMs } from '../../base/duration.js';
import { escapeHtml as escape, number } from './html.js';
import { blastRadius, claimsOverTime } from './plots.js';
import type { ReplayResult, Span, WorldResult } from './result.js';
import { PRODUCTS } from './world.js';

/** One page with all that a replay found, that loads nothing from anywhere: to be kept, mailed, printed. */
export function reportPage(result: ReplayResult): string {
  const { accounts, organisations, regions, seed, worlds } = result;
  const faulty = escape(result.faultyVersion);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The incident of February 2021, replayed</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>The incident of February 2021, replayed</h1>
<p class="lead">A new version of a scheduled job has lost one condition: it verifies domains and claims accounts that
nobody asked for. The same version on the same data, with something else in its way each time.</p>
<p>${number(accounts)} accounts of ${number(organisations)} organisations in ${regions.length === 1 ? 'one region' : `${regions.length} regions`}; seed ${seed}.
<code>domain-claim ${faulty}</code> ships after ${number(result.healthyRuns)} healthy runs of <code>${escape(result.stableVersion)}</code>.</p>
${outcomeTable(worlds)}
<p class="note">* by the world's own clock, on which people notice after 118 minutes as they did in 2021; every other
duration is what a computer took. Finding out what to restore is not in it: in 2021 that took most of 21 hours.</p>
<h2>Accounts wrongly claimed, over time</h2>
<div class="wide">${claimsOverTime(worlds)}</div>
<h2>Blast radius, by what stood in the way</h2>
<div class="wide">${blastRadius(worlds)}</div>
<h2>Users locked out, by product</h2>
${productTable(worlds)}
<h2>What noticed it</h2>
<dl>
${worlds.map((world) => `<dt>${escape(world.name)}</dt><dd>${escape(world.guarded)} Noticed by: ${escape(world.noticedBy)}</dd>`).join('\n')}
</dl>
<p class="note">Made by <code>portcullis replay</code> in ${formatDurationMs(result.tookMs)}; the same seed makes the same world.</p>
</main>
</body>
</html>
`;
}

function outcomeTable(worlds: readonly WorldResult[]): string {
  const heads = ['Wrongly claimed', 'Organisations', 'Regions', 'To detect', 'To stop', 'To restore'];
  return table(
    [...heads, 'Edits lost', 'Data as before'],
    worlds.map((world) => [
      world.name,
      figure(world.wronglyClaimed),
      number(world.organisationsTouched),
      number(world.regionsTouched),
      world.detect === null ? '–' : spanText(world.detect),
      spanText(world.stop),
      world.restore === null ? 'nothing to do' : spanText(world.restore),
      figure(world.editsLost),
      world.rowsNotAsBefore === 0
        ? '<b class="good">exactly</b>'
        : `<b class="bad">but ${number(world.rowsNotAsBefore)} ${world.rowsNotAsBefore === 1 ? 'row' : 'rows'}</b>`,
    ]),
  );
}

function productTable(worlds: readonly WorldResult[]): string {
  return table(
    PRODUCTS,
    worlds.map((world) => [world.name, ...PRODUCTS.map((product) => figure(world.lockedOut[product]))]),
  );
}

/** Cells are HTML, but for the first of each row. */
function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = ['', ...heads].map((text) => `<th scope="col">${escape(text)}</th>`).join('');
  const body = rows.map(([name = '', ...cells]) => {
    return `<tr><th scope="row">${escape(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

/** A number that should be none. */
function figure(count: number): string {
  return `<b class="${count === 0 ? 'good' : 'bad'}">${number(count)}</b>`;
}

function spanText({ ms, clock }: Span): string {
  return ms === 0 ? 'at once' : `${formatDurationMs(ms)}${clock === 'virtual' ? '&nbsp;*' : ''}`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2127; --quiet: #5c6773; --paper: #fff; --line: #d8dee4; --good: #1a7f37; --bad: #c0342b;
  --world-0: #c0342b; --world-1: #c47a00; --world-2: #0b7285; --world-3: #5f3dc4; --world-4: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --quiet: #9aa5b1; --paper: #15191e; --line: #333b44; --good: #56d364; --bad: #ff8078;
  --world-0: #ff8078; --world-1: #f0b23e; --world-2: #4cc9d9; --world-3: #b197fc; --world-4: #74b0f4; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
.lead { font-size: 1.1rem; max-width: 46rem; margin: 0 0 1rem; } .note { color: var(--quiet); font-size: .875rem; max-width: 46rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; } thead th { color: var(--quiet); font-size: .8125rem; font-weight: 500; vertical-align: bottom; white-space: normal; }
tr > :first-child { text-align: left; padding-left: 0; } .good { color: var(--good); } .bad { color: var(--bad); }
code { font-size: .9em; } dt { font-weight: 600; margin-top: .75rem; } dd { margin: 0; overflow-wrap: anywhere; }
svg { display: block; width: 100%; min-width: 36rem; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .quiet { fill: var(--quiet); } svg .rule { stroke: var(--line); } @media print { h2 { break-after: avoid; } svg { break-inside: avoid; } }
`;
