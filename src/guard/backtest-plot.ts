import { escapeHtml } from '../kernel/text.js';
import { HOURS_HEIGHT, plotHours } from './backtest-hours-plot.js';
import type { Backtest, BacktestRun } from './backtest.js';

const WIDTH = 960;
const HEIGHT = 420;
const LEFT = 72;
const RIGHT = 24;
const TOP = 64;
const BOTTOM = 56;

/** Beyond this multiple of the highest expectation a linear axis would press the band flat. */
const LINEAR_UP_TO = 6;

interface Scale {
  /** Pixels from the top. */
  readonly y: (count: number) => number;
  readonly ticks: readonly number[];
  readonly isLogarithmic: boolean;
}

/**
 * A backtest as a self-contained SVG: the counts, what was expected of them, and where the rule stopped a run; below,
 * the band by hour of the day, where the job runs at several.
 */
export function plotBacktest({ rule, of, alpha, trips, holds, runs, bands: hours }: Backtest): string {
  const byHour = plotHours(hours, { left: LEFT, right: WIDTH - RIGHT });
  const height = HEIGHT + (byHour.length > 0 ? HOURS_HEIGHT : 0);
  const times = runs.map(({ at }) => Date.parse(at));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = (run: BacktestRun): number =>
    LEFT + (last === first ? 0.5 : (Date.parse(run.at) - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const { y, ticks, isLogarithmic } = scaleOf(runs);
  const counted = of === 'units' ? 'units with planned changes' : 'planned changes';
  const mark = (run: BacktestRun, kind: string, radius: number): string =>
    `<circle class="${kind}" cx="${px(x(run))}" cy="${px(y(run.count))}" r="${radius}"><title>${escapeHtml(run.reason)}</title></circle>`;
  const failed = runs.filter(({ verdict }) => verdict === 'fail');
  const summary = `runs ${runs.length}, α ${alpha}, trips ${trips}, holds ${holds}`;
  const radius = runs.length > 400 ? 1.5 : 2.5;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escapeHtml(`${rule}: ${summary}`)}</title>`,
    STYLE,
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    `<text class="heading" x="${LEFT}" y="26">${escapeHtml(rule)}</text>`,
    `<text x="${LEFT}" y="44">${escapeHtml(summary)}</text>`,
    ...legend(),
    ...ticks.flatMap((tick) => [
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(y(tick))}" y2="${px(y(tick))}"/>`,
      `<text class="end" x="${LEFT - 8}" y="${px(y(tick) + 4)}">${tick.toLocaleString('en-GB')}</text>`,
    ]),
    ...timeTicks(runs, x),
    `<text class="middle" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 12}">time of the run, UTC</text>`,
    `<text class="middle" transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">${counted}${isLogarithmic ? ', logarithmic' : ''}</text>`,
    ...bands(runs).map((band) => {
      const high = band.map((run) => `${px(x(run))},${px(y(run.high ?? 0))}`);
      const low = band.map((run) => `${px(x(run))},${px(y(run.low ?? 0))}`).reverse();
      return `<polygon class="band" points="${[...high, ...low].join(' ')}"/>`;
    }),
    ...bands(runs).map(
      (band) =>
        `<polyline class="expected" points="${band.map((run) => `${px(x(run))},${px(y(run.expected ?? 0))}`).join(' ')}"/>`,
    ),
    ...runs.filter((run) => run.verdict !== 'fail').map((run) => mark(run, 'run', radius)),
    ...failed.map((run) => mark(run, run.worth === 'hold' ? 'hold' : 'trip', 5)),
    ...(byHour.length > 0 ? [`<g transform="translate(0 ${HEIGHT})">`, ...byHour, '</g>'] : []),
    '</svg>\n',
  ].join('\n');
}

const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #3d4451; }
.heading { font-size: 15px; font-weight: 600; fill: #1b1f27; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.paper { fill: #ffffff; } .grid { stroke: #e3e6eb; }
.band { fill: #5b8def; fill-opacity: 0.22; } .expected { fill: none; stroke: #3567c8; stroke-width: 1.5; }
.run { fill: #1b1f27; } .hour { fill-opacity: 0.35; } .trip { fill: #d3312f; } .hold { fill: #e09a1a; }
</style>`;

function legend(): string[] {
  const entries = [
    { kind: 'run', text: 'run', x: WIDTH - 540 },
    { kind: 'trip', text: 'trip: too many', x: WIDTH - 484 },
    { kind: 'hold', text: 'hold: far too few', x: WIDTH - 358 },
  ];
  const dots = entries.map(
    ({ kind, text, x }) =>
      `<circle class="${kind}" cx="${x}" cy="40" r="4"/><text x="${x + 10}" y="44">${text}</text>`,
  );
  return [
    ...dots,
    `<rect class="band" x="${WIDTH - 206}" y="34" width="18" height="12"/><text x="${WIDTH - 182}" y="44">expected, 19 runs of 20</text>`,
  ];
}

/** Stretches of runs of which something was expected, each long enough to draw. */
function bands(runs: readonly BacktestRun[]): BacktestRun[][] {
  const expected = runs.filter(({ expected: each, high }) => each !== null && high !== null);
  return expected.length < 2 ? [] : [expected];
}

function scaleOf(runs: readonly BacktestRun[]): Scale {
  const highest = Math.max(1, ...runs.flatMap(({ count, high }) => [count, high ?? 0]));
  const usual = Math.max(1, ...runs.map(({ expected }) => expected ?? 0));
  const depth = HEIGHT - TOP - BOTTOM;
  if (highest <= LINEAR_UP_TO * usual) {
    const step = roundStep(highest / 5);
    const top = Math.ceil(highest / step) * step;
    const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
    return { y: (count) => TOP + depth * (1 - count / top), ticks, isLogarithmic: false };
  }
  const decades = Math.ceil(Math.log10(highest + 1));
  return {
    y: (count) => TOP + depth * (1 - Math.log10(count + 1) / Math.log10(10 ** decades + 1)),
    ticks: [0, ...Array.from({ length: decades + 1 }, (_, power) => 10 ** power)],
    isLogarithmic: true,
  };
}

/** 1, 2 or 5 times a power of ten, at least `least` and at least 1. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= least) ?? power;
}

const DAY_MS = 86_400_000;

/** Five of the runs at even steps of time, by their date, or their time where all are of two days. */
function timeTicks(runs: readonly BacktestRun[], x: (run: BacktestRun) => number): string[] {
  const [first, last] = [runs[0], runs.at(-1)];
  if (first === undefined || last === undefined) return [];
  const [start, length] = [Date.parse(first.at), Date.parse(last.at) - Date.parse(first.at)];
  const steps = length === 0 ? [0] : [0, 0.25, 0.5, 0.75, 1];
  return steps.map((step) => {
    const at = new Date(start + step * length).toISOString();
    const text = length < 2 * DAY_MS ? `${at.slice(5, 10)} ${at.slice(11, 16)}` : at.slice(0, 10);
    const place = x({ ...first, at });
    const anchor = step === 1 ? 'end' : step === 0 && length > 0 ? 'start' : 'middle';
    return `<text text-anchor="${anchor}" x="${px(place)}" y="${HEIGHT - BOTTOM + 20}">${text}</text>`;
  });
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
