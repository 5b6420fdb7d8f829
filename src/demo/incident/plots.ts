import { escapeHtml as escape } from '../../kernel/text.js';
import { number } from '../../kernel/words.js';
import type { Reading, WorldResult } from './result.js';

/** Lines are told apart by more than their colours; a world keeps both in every plot. */
const DASHES: readonly string[] = ['none', '9 4', '2 4', '12 3 2 3', '6 3'];

/** Grid lines are this many parts of the height apart. */
const PARTS = 4;
/** The least distance, in minutes, of the last tick from the one before. */
const TICK_APART = 15;
const TICK_EVERY = 30;

/**
 * A step for each world: claims come when a slot comes, and stay until somebody restores them. The lines are
 * drawn to a square that the page stretches, and texts are set beside it, so that they can be read at any width.
 */
export function claimsOverTime(worlds: readonly WorldResult[]): string {
  const lastMinute = Math.max(...worlds.flatMap(({ readings }) => readings.map(({ minute }) => minute)), 1);
  const most = roundUp(Math.max(...worlds.map(({ wronglyClaimed }) => wronglyClaimed)));
  const x = (minute: number): number => rounded((100 * minute) / lastMinute);
  const y = (claims: number): number => rounded(100 - (100 * claims) / most);
  const grid = Array.from({ length: PARTS + 1 }, (_, at) => (most * at) / PARTS);
  const lines = worlds.map(
    ({ readings }, at) =>
      `<path d="${steps(readings, x, y)}" stroke="var(--world-${at})" stroke-dasharray="${DASHES[at] ?? 'none'}"/>`,
  );
  const ends = worlds.map(({ readings }, at) => {
    const { minute, wronglyClaimed } = lastOf(readings);
    return `<i class="end" style="left: ${x(minute)}%; top: ${y(wronglyClaimed)}%; background: var(--world-${at})"></i>`;
  });
  return `<figure>
<ul class="legend">
${worlds.map((world, at) => `<li>${swatch(at)} <span>${escape(world.name)}: ${lineInWords(world)}</span></li>`).join('\n')}
</ul>
<p class="axis">accounts wrongly claimed</p>
<div class="plot" role="img" aria-label="Lines of the accounts wrongly claimed by minute, one for each world; the list before says where each ends.">
<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
${grid.map((claims) => `<line x1="0" x2="100" y1="${y(claims)}" y2="${y(claims)}"/>`).join('\n')}
${lines.join('\n')}
</svg>
${grid.map((claims) => `<span class="claims" style="top: ${y(claims)}%">${number(claims)}</span>`).join('\n')}
${ticks(lastMinute)
  .map((minute) => `<span class="minute" style="left: ${x(minute)}%">${minute}</span>`)
  .join('\n')}
${ends.join('\n')}
</div>
<p class="axis below">minutes by the world’s clock, from when the faulty version was first due</p>
</figure>`;
}

function lineInWords({ readings }: WorldResult): string {
  const { minute, wronglyClaimed } = lastOf(readings);
  const claims = wronglyClaimed === 0 ? 'none' : number(wronglyClaimed);
  return minute === 0 ? `${claims}, stopped in its first run` : `${claims} by minute ${minute}`;
}

function swatch(world: number): string {
  return `<svg class="swatch" viewBox="0 0 28 4" aria-hidden="true"><path d="M0 2H28" stroke="var(--world-${world})" stroke-dasharray="${DASHES[world] ?? 'none'}"/></svg>`;
}

function lastOf(readings: readonly Reading[]): Reading {
  return readings.at(-1) ?? { minute: 0, wronglyClaimed: 0 };
}

function steps(
  readings: readonly Reading[],
  x: (minute: number) => number,
  y: (claims: number) => number,
): string {
  return readings
    .map(({ minute, wronglyClaimed }, at) =>
      at === 0 ? `M${x(minute)} ${y(wronglyClaimed)}` : `H${x(minute)}V${y(wronglyClaimed)}`,
    )
    .join('');
}

interface Measure {
  readonly title: string;
  readonly of: (world: WorldResult) => number;
}

const MEASURES: readonly Measure[] = [
  { title: 'Accounts wrongly claimed', of: ({ wronglyClaimed }) => wronglyClaimed },
  {
    title: 'Logins lost, one for each user and product',
    of: ({ lockedOut }) => Object.values(lockedOut).reduce((sum, logins) => sum + logins, 0),
  },
  { title: 'Organisations touched', of: ({ organisationsTouched }) => organisationsTouched },
  { title: 'Regions touched', of: ({ regionsTouched }) => regionsTouched },
];

/** For each measure the worlds' bars, the longest of which is the largest figure. */
export function blastRadius(worlds: readonly WorldResult[]): string {
  const figures = MEASURES.map(({ title, of }) => {
    const most = Math.max(...worlds.map(of), 1);
    const bars = worlds.map((world, at) => {
      const value = of(world);
      const bar =
        value === 0
          ? ''
          : `<i style="width: ${rounded((100 * value) / most)}%; background: var(--world-${at})"></i>`;
      return `<dt>${escape(world.name)}</dt><dd><span class="bar" aria-hidden="true">${bar}</span> <span>${number(value)}</span></dd>`;
    });
    return `<figure><figcaption>${title}</figcaption>\n<dl class="bars">\n${bars.join('\n')}\n</dl></figure>`;
  });
  return `<div class="measures">\n${figures.join('\n')}\n</div>`;
}

/** Four even steps that reach at least `value`. */
function roundUp(value: number): number {
  const quarter = Math.max(1, value / PARTS);
  const power = 10 ** Math.floor(Math.log10(quarter));
  const step = [1, 1.25, 1.5, 2, 2.5, 4, 5, 10].find((each) => each * power >= quarter) ?? 10;
  return PARTS * Math.ceil(step * power);
}

/** Every half hour, and the last minute. */
function ticks(lastMinute: number): number[] {
  const halfHours = Array.from({ length: Math.ceil(lastMinute / TICK_EVERY) }, (_, at) => at * TICK_EVERY);
  return [...halfHours.filter((minute) => lastMinute - minute >= TICK_APART), lastMinute];
}

/** To a hundredth, as plots are drawn. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
