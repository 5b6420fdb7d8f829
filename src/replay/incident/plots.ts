import { escapeHtml as escape, number } from './html.js';
import type { Reading, WorldResult } from './result.js';

const WIDTH = 960;

const LINES = { height: 360, left: 64, right: 210, top: 16, bottom: 44 };
/** The least distance between two lines' names. */
const NAME_APART = 18;

/** A step for each world: claims come when a slot comes, and stay until somebody takes them back. */
export function claimsOverTime(worlds: readonly WorldResult[]): string {
  const { height, left, right, top, bottom } = LINES;
  const lastMinute = Math.max(...worlds.flatMap(({ readings }) => readings.map(({ minute }) => minute)), 1);
  const most = roundUp(Math.max(...worlds.map(({ wronglyClaimed }) => wronglyClaimed)));
  const x = (minute: number): number => left + ((WIDTH - left - right) * minute) / lastMinute;
  const y = (claims: number): number => height - bottom - ((height - top - bottom) * claims) / most;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = y(most * share);
    return `<line class="rule" x1="${left}" x2="${WIDTH - right}" y1="${at}" y2="${at}"/>
<text class="quiet" x="${left - 8}" y="${at + 4}" text-anchor="end">${number(most * share)}</text>`;
  });
  const minutes = ticks(lastMinute).map(
    (minute) =>
      `<text class="quiet" x="${x(minute)}" y="${height - bottom + 20}" text-anchor="middle">${minute}</text>`,
  );
  const named = spread(worlds.map((world) => y(world.readings.at(-1)?.wronglyClaimed ?? 0)));
  const lines = worlds.map((world, at) => {
    const colour = `var(--world-${at})`;
    const last = world.readings.at(-1) ?? { minute: 0, wronglyClaimed: 0 };
    return `<path d="${steps(world.readings, x, y)}" fill="none" stroke="${colour}" stroke-width="2.5"/>
<circle cx="${x(last.minute)}" cy="${y(last.wronglyClaimed)}" r="4" fill="${colour}"/>
<text x="${WIDTH - right + 12}" y="${(named[at] ?? 0) + 4}" style="fill: ${colour}">${escape(shortName(world.name))}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Accounts wrongly claimed by minute, for each world">
${grid.join('\n')}
${minutes.join('\n')}
<text class="quiet" x="${(left + WIDTH - right) / 2}" y="${height - 4}" text-anchor="middle">minutes after the faulty version was first due</text>
${lines.join('\n')}
</svg>`;
}

function steps(
  readings: readonly Reading[],
  x: (minute: number) => number,
  y: (claims: number) => number,
): string {
  return readings
    .map(({ minute, wronglyClaimed }, at) =>
      at === 0
        ? `M${x(minute).toFixed(1)} ${y(wronglyClaimed).toFixed(1)}`
        : `H${x(minute).toFixed(1)}V${y(wronglyClaimed).toFixed(1)}`,
    )
    .join('');
}

const MEASURES: readonly (readonly [string, (world: WorldResult) => number])[] = [
  ['accounts wrongly claimed', ({ wronglyClaimed }) => wronglyClaimed],
  ['logins locked out', ({ lockedOut }) => Object.values(lockedOut).reduce((sum, n) => sum + n, 0)],
  ['organisations touched', ({ organisationsTouched }) => organisationsTouched],
  ['regions touched', ({ regionsTouched }) => regionsTouched],
];

const BARS = { left: 210, figure: 80, row: 24, title: 30, gap: 18 };

/** Bars, side by side in one scale for each measure. */
export function blastRadius(worlds: readonly WorldResult[]): string {
  const { left, figure, row, title, gap } = BARS;
  const block = title + row * worlds.length + gap;
  const parts = MEASURES.map(([name, of], at) => {
    const top = at * block;
    const most = Math.max(...worlds.map(of), 1);
    const bars = worlds.map((world, index) => {
      const value = of(world);
      const width = ((WIDTH - left - figure) * value) / most;
      const y = top + title + index * row;
      return `<text x="${left - 10}" y="${y + 15}" text-anchor="end">${escape(shortName(world.name))}</text>
<rect x="${left}" y="${y + 3}" width="${Math.max(value === 0 ? 0 : 2, width).toFixed(1)}" height="${row - 8}" rx="2" fill="var(--world-${index})"/>
<text x="${(left + width + 8).toFixed(1)}" y="${y + 15}">${number(value)}</text>`;
    });
    return `<text class="quiet" x="${left}" y="${top + 18}">${name}</text>\n${bars.join('\n')}`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${block * MEASURES.length}" role="img" aria-label="What each world suffered">
${parts.join('\n')}
</svg>`;
}

/** The same worlds' names, as they fit beside a plot. */
function shortName(name: string): string {
  return name.replace(/^Portcullis, /, '… ');
}

/** Four even steps that reach at least `value`. */
function roundUp(value: number): number {
  const quarter = Math.max(1, value / 4);
  const power = 10 ** Math.floor(Math.log10(quarter));
  const step = [1, 1.25, 1.5, 2, 2.5, 4, 5, 10].find((each) => each * power >= quarter) ?? 10;
  return 4 * Math.ceil(step * power);
}

function ticks(lastMinute: number): number[] {
  return Array.from({ length: Math.floor(lastMinute / 15) + 1 }, (_, at) => at * 15);
}

/** Heights moved apart, so that no two names overlap, in the order in which they are. */
export function spread(heights: readonly number[]): number[] {
  const order = heights.map((height, at) => ({ height, at })).sort((a, b) => b.height - a.height);
  const moved = [...heights];
  let above = Infinity;
  for (const { height, at } of order) {
    above = Math.min(height, above - NAME_APART);
    moved[at] = above;
  }
  return moved;
}
