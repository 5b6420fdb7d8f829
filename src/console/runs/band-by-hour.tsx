import { number } from '../../kernel/words.js';
import type { Output } from '../outputs.js';
import type { Run } from '../parts/run-status.js';
import { clock } from '../time.js';
import { figure } from './figures.js';

type Bands = Output<'getExpectation'>['bands'];
type Quarter = Bands[number]['quarters'][number];

interface BandProps {
  readonly run: Run;
  readonly bands: Bands;
  /** What the guard saw of this run. */
  readonly seen: { readonly observed: number; readonly low: number; readonly high: number };
}

const WIDTH = 960;
const HEIGHT = 220;
const LEFT = 56;
const BOTTOM = 26;
const TOP = 10;
const QUARTERS = 96;
const DASHES = ['', '6 3', '2 3'];

/** What each hour of a day is expected to plan, as it is now, and this run at its hour with what was expected then. */
export function BandByHour({ run, bands, seen }: BandProps) {
  if (bands.length === 0) return <p class="hint">Too few runs are known to tell the hours apart.</p>;
  const most = Math.max(
    1,
    seen.observed,
    seen.high,
    ...bands.flatMap(({ quarters }) => quarters.map(({ high }) => high)),
  );
  const x = (quarter: number): number => LEFT + (quarter / QUARTERS) * (WIDTH - LEFT - 8);
  const y = (n: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - n / (most * 1.05));
  const at = new Date(run.createdAt);
  const own = (at.getUTCHours() * 60 + at.getUTCMinutes()) / 15;
  const label = `${bands.map(({ days, quarters }) => `${days}: ${quarters.length} times of day`).join('; ')}. This run planned ${number(seen.observed)} at ${clock(at.getTime())}, expected were ${figure(seen.low)} to ${figure(seen.high)}.`;
  return (
    <figure class="hours">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
        {[0, most / 2, most].map((n) => (
          <g key={n}>
            <line class="axis" x1={LEFT} x2={WIDTH - 8} y1={y(n)} y2={y(n)} />
            <text x={LEFT - 8} y={y(n) + 4} text-anchor="end">
              {figure(n)}
            </text>
          </g>
        ))}
        {[0, 6, 12, 18, 24].map((hour) => (
          <text key={hour} x={x(hour * 4)} y={HEIGHT - 6} text-anchor={hour === 24 ? 'end' : 'middle'}>
            {String(hour).padStart(2, '0')}:00
          </text>
        ))}
        {bands.map(({ days, quarters }, index) => {
          // One path each: an element for every quarter of every day took two thousand.
          const path = (shape: (of: Quarter, width: number) => string): string =>
            quarters
              .map((of, at) => {
                const until = quarters[at + 1]?.quarter ?? Math.min(QUARTERS, of.quarter + 4);
                return `M${x(of.quarter)} ${shape(of, Math.max(2, x(until) - x(of.quarter)))}`;
              })
              .join('');
          return (
            <g key={days}>
              <path
                class="band"
                d={path(
                  ({ low, high }, width) =>
                    `${y(high)}h${width}v${Math.max(1.5, y(low) - y(high))}h${-width}z`,
                )}
              />
              <path
                class="band-middle-line"
                d={path(({ expected }, width) => `${y(expected)}h${width}`)}
                stroke-dasharray={DASHES[index % DASHES.length]}
              />
            </g>
          );
        })}
        <line class="seen-range" x1={x(own)} x2={x(own)} y1={y(seen.high)} y2={y(seen.low)} />
        <circle class="seen-point" cx={x(own)} cy={y(seen.observed)} r="6" />
        {bands.length > 1 &&
          bands.map(({ days }, index) => (
            <g key={days}>
              <line
                class="band-middle-line"
                x1={LEFT + 8 + index * 120}
                x2={LEFT + 32 + index * 120}
                y1={TOP + 4}
                y2={TOP + 4}
                stroke-dasharray={DASHES[index % DASHES.length]}
              />
              <text x={LEFT + 38 + index * 120} y={TOP + 8}>
                {days}
              </text>
            </g>
          ))}
      </svg>
      <figcaption class="hint">
        The band as runs until now make it, UTC. The point is this run; the bar through it is what was
        expected of it then.
      </figcaption>
    </figure>
  );
}
