import type { BandOfDay } from './backtest.js';

/** The height of the panel, with its heading and axis. */
export const HOURS_HEIGHT = 250;
const TOP = 40;
const BOTTOM = 44;
const QUARTERS = 96;
const FILLS = ['#5b8def', '#e09a1a', '#4caf7a', '#b26ad6', '#8a93a3', '#d3706f', '#3aa6b9'];

/** What each hour of a day is expected to plan, a band for each kind of weekday; empty where the job has one time of day. */
export function plotHours(
  bands: readonly BandOfDay[],
  { left, right }: { readonly left: number; readonly right: number },
): string[] {
  const shown = bands.filter(({ quarters }) => quarters.length > 1);
  if (shown.length === 0) return [];
  const most = Math.max(1, ...shown.flatMap(({ quarters }) => quarters.map(({ high }) => high)));
  const depth = HOURS_HEIGHT - TOP - BOTTOM;
  const x = (quarter: number): string => px(left + (quarter / QUARTERS) * (right - left));
  const y = (count: number): string => px(TOP + depth * (1 - count / most));
  const marks = [0, 6, 12, 18, 24].map(
    (hour) =>
      `<text class="middle" x="${x(hour * 4)}" y="${HOURS_HEIGHT - BOTTOM + 18}">${String(hour).padStart(2, '0')}:00</text>`,
  );
  return [
    `<text class="heading" x="${left}" y="20">expected by hour of the day, 19 runs of 20</text>`,
    ...[0, most].map(
      (count) =>
        `<line class="grid" x1="${left}" x2="${right}" y1="${y(count)}" y2="${y(count)}"/>` +
        `<text class="end" x="${left - 8}" y="${y(count)}">${Math.round(count).toLocaleString('en-GB')}</text>`,
    ),
    ...marks,
    ...shown.flatMap(({ days, quarters }, at) => {
      const fill = FILLS[at % FILLS.length] ?? '';
      const steps = quarters.map(({ quarter, low, high }, index) => {
        const end = quarters[index + 1]?.quarter ?? QUARTERS;
        const height = px((depth * (high - low)) / most + 1);
        const width = px(((end - quarter) / QUARTERS) * (right - left));
        return `<rect class="hour" x="${x(quarter)}" y="${y(high)}" width="${width}" height="${height}" fill="${fill}"/>`;
      });
      const place = left + 340 + at * 110;
      return [
        ...steps,
        `<rect x="${place}" y="10" width="12" height="12" fill="${fill}"/><text x="${place + 16}" y="20">${days}</text>`,
      ];
    }),
  ];
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}
