import { number } from '../../kernel/words.js';
import type { Gate } from '../now/place.js';

export type Run = Gate['runs'][number];
export type RunKind = 'good' | 'bad' | 'idle' | 'busy';

export const BARS = 12;
export const WIDTH = 7;
export const HEIGHT = 20;
/** Between these heights lies the band of each run, whatever its figures: a bar is read against it from afar. */
export const BAND = { low: 6, high: 13 } as const;
const BAR = WIDTH - 2;
const IDLE = 2;
const POINT = 3;

export type Place = 'above' | 'within' | 'below';

/** Where a run was by what the guard expected of it then; undefined: nothing had judged it. */
export function placeIn({ expected }: Pick<Run, 'expected'>): Place | undefined {
  if (expected === null) return undefined;
  const { observed, low, high } = expected;
  return observed > high ? 'above' : observed < low ? 'below' : 'within';
}

/** How high a bar is in its band, below or above it. Beyond the band ever flatter, so that all of it is seen. */
export function heightIn({ observed, low, high }: NonNullable<Run['expected']>): number {
  const { low: from, high: to } = BAND;
  if (observed < low) return IDLE + (from - 1 - IDLE) * (observed / low);
  if (observed > high) return to + POINT + (HEIGHT - to - POINT) * (1 - high / observed);
  return from + (to - from) * (high === low ? 0.5 : (observed - low) / (high - low));
}

export interface Drawing {
  /** What is shaded, and the two edges of it. */
  readonly band: string;
  readonly edges: string;
  /** A path for each class: an element for every run made thousands on a wall of gates, whenever it changes. */
  readonly bars: ReadonlyMap<string, string>;
}

/**
 * The last runs, the newest at the right. A filled bar stands against the band that its run was judged by, and ends in a
 * point above it. A hollow bar was not judged: its height tells how many changes beside other hollow ones. A mark below
 * says that the run went wrong.
 */
export function drawn(runs: readonly Run[], kindOf: (run: Run) => RunKind): Drawing {
  const shown = runs.slice(0, BARS).reverse();
  const most = Math.max(1, ...shown.filter(({ expected }) => expected === null).map(sizeOf));
  const bars = new Map<string, string>();
  const add = (name: string, path: string): void => void bars.set(name, (bars.get(name) ?? '') + path);
  let [band, edges] = ['', ''];
  shown.forEach((run, at) => {
    const left = at * WIDTH;
    const kind = kindOf(run);
    if (kind === 'bad') add('bar bar-bad', `M${left} ${HEIGHT + 1.5}h${BAR}l${-BAR / 2} 3.5z`);
    if (run.expected === null) {
      const size = sizeOf(run);
      // By its square root, so that a small run beside a large one is still seen.
      const height = size === 0 ? IDLE : 3 + (HEIGHT - 4) * Math.sqrt(size / most);
      add(`bar bar-hollow bar-${kind}`, bar(left + 0.5, HEIGHT - 0.5, height - 1, BAR - 1));
      return;
    }
    const height = heightIn(run.expected);
    const isAbove = placeIn(run) === 'above';
    add(`bar bar-${kind}`, isAbove ? pointed(left, height) : bar(left, HEIGHT, height, BAR));
    const [top, bottom] = [HEIGHT - BAND.high, HEIGHT - BAND.low];
    band += `M${left - 1} ${top}h${WIDTH}v${bottom - top}h${-WIDTH}z`;
    edges += `M${left - 1} ${top}h${WIDTH}M${left - 1} ${bottom}h${WIDTH}`;
  });
  return { band, edges, bars };
}

const bar = (left: number, bottom: number, height: number, width: number): string =>
  `M${left} ${round(bottom - height)}h${width}V${bottom}h${-width}z`;

const pointed = (left: number, height: number): string =>
  `M${left} ${HEIGHT}v${round(POINT - height)}l${BAR / 2} ${-POINT}l${BAR / 2} ${POINT}V${HEIGHT}z`;

const round = (n: number): number => Math.round(n * 10) / 10;

const sizeOf = ({ planned, applied }: Run): number => Math.max(planned, applied);

/** The same in words. */
export function barsText(runs: readonly Run[], kindOf: (run: Run) => RunKind): string {
  const [last] = runs;
  if (last === undefined) return 'No runs yet';
  const bad = runs.filter((run) => kindOf(run) === 'bad').length;
  const inPlace = (place: Place | undefined): number => runs.filter((run) => placeIn(run) === place).length;
  const judged = (['within', 'above', 'below'] as const).flatMap((place) =>
    inPlace(place) === 0 ? [] : [`${inPlace(place)} ${place} the expected band`],
  );
  return [
    `Last run ${last.status}, ${number(last.applied)} changes applied`,
    ...(bad === 0 ? [] : [`${bad} of the last ${runs.length} went wrong`]),
    ...judged,
    ...(inPlace(undefined) === 0 ? [] : [`${inPlace(undefined)} not judged by counts`]),
  ].join('; ');
}

const SIGNS: Readonly<Record<Place, string>> = { above: '▲', within: '✓', below: '▼' };

/** `▲ 60, expected 8–41`. */
export function expectedText(run: Pick<Run, 'expected'>): string {
  const place = placeIn(run);
  if (run.expected === null || place === undefined) return 'not judged';
  const { observed, low, high } = run.expected;
  return `${SIGNS[place]} ${number(observed)} ${place} ${number(low)}–${number(high)}`;
}
