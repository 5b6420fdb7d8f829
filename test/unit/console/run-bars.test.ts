import { describe, expect, test } from '@jest/globals';
import {
  BAND,
  barsText,
  drawn,
  expectedText,
  HEIGHT,
  heightIn,
  placeIn,
  type Run,
} from '../../../src/console/parts/run-bars.js';

/** A gate's last runs, as bars against what the guard expected of each. */

function run(expected: [observed: number, low: number, high: number] | null, planned = 0): Run {
  const [observed = 0, low = 0, high = 0] = expected ?? [];
  return {
    ...{ runId: '5eed0000-0000-4000-8000-000000000001', status: 'succeeded', at: '2026-03-01T09:00:00Z' },
    ...{ planned, applied: planned },
    expected: expected === null ? null : { rule: 'claims-per-run', observed, low, high },
  };
}
const good = (): 'good' => 'good';
/** The heights at which a path turns, by how far above the baseline. */
const heights = (path = ''): number[] =>
  [...path.matchAll(/M-?[\d.]+ ([\d.]+)/g)].map(([, y]) => HEIGHT - Number(y));

describe('a judged run', () => {
  test.each([
    [0, 0, 3, 'within'],
    [8, 8, 30, 'within'],
    [30, 8, 30, 'within'],
    [7, 8, 30, 'below'],
    [31, 8, 30, 'above'],
    [5, 5, 5, 'within'],
    [1, 0, 0, 'above'],
  ] as const)('that planned %i of %i to %i is %s its band, and drawn there', (observed, low, high, place) => {
    expect(placeIn(run([observed, low, high]))).toBe(place);
    const height = heightIn({ rule: 'any', observed, low, high });
    if (place === 'within') {
      expect(height).toBeGreaterThanOrEqual(BAND.low);
      expect(height).toBeLessThanOrEqual(BAND.high);
    } else if (place === 'above') {
      // Its point begins above the band, so that it is told from one at the band's end.
      expect(height).toBeGreaterThan(BAND.high + 2);
      expect(height).toBeLessThanOrEqual(HEIGHT);
    } else {
      expect(height).toBeGreaterThan(0);
      expect(height).toBeLessThan(BAND.low);
    }
  });

  test('is higher the more it planned, beyond the band too, and never higher than the picture', () => {
    const all = [0, 4, 8, 20, 30, 31, 60, 3000, 1e9].map((observed) =>
      heightIn({ rule: 'any', observed, low: 8, high: 30 }),
    );
    expect(all).toEqual([...all].sort((one, other) => one - other));
    expect(new Set(all).size).toBe(all.length);
    expect(all.at(-1)).toBeLessThanOrEqual(HEIGHT);
  });

  test('above its band ends in a point: its shape tells it, not its colour', () => {
    const [inside, above] = [run([20, 8, 30]), run([60, 8, 30])].map((each) => drawn([each], good).bars);
    expect([...(inside?.keys() ?? [])]).toEqual(['bar bar-good']);
    expect([...(above?.keys() ?? [])]).toEqual(['bar bar-good']);
    expect(inside?.get('bar bar-good')).not.toContain('l2.5');
    expect(above?.get('bar bar-good')).toMatch(/l2\.5 -3l2\.5 3V20z$/);
  });
});

test('only behind a judged run is there a band; another is hollow, by its number of changes', () => {
  const { band, edges, bars } = drawn([run([20, 8, 30]), run(null, 100), run(null, 25)], good);
  expect(heights(band)).toEqual([BAND.high]);
  expect(heights(edges)).toEqual([BAND.high, BAND.low]);
  expect([...bars.keys()].sort()).toEqual(['bar bar-good', 'bar bar-hollow bar-good']);
  // Oldest first; half as high for a quarter of the changes, beside what every bar has.
  expect(heights(bars.get('bar bar-hollow bar-good'))).toEqual([10.5, 18.5]);
});

test('where nothing was judged there is no band at all', () => {
  expect(drawn([run(null, 5)], good)).toMatchObject({ band: '', edges: '' });
  expect(drawn([], good)).toEqual({ band: '', edges: '', bars: new Map() });
});

test('a run that went wrong has a mark below it, whatever was expected of it', () => {
  const { bars } = drawn([run([20, 8, 30]), run(null, 3)], () => 'bad');
  expect(heights(bars.get('bar bar-bad')).filter((height) => height < 0)).toEqual([-1.5, -1.5]);
});

test('words say what the picture shows', () => {
  expect(barsText([], good)).toBe('No runs yet');
  const runs = [run([60, 8, 30], 1234), run([20, 8, 30]), run([9, 8, 30]), run([2, 8, 30]), run(null, 4)];
  expect(barsText(runs, good)).toBe(
    'Last run succeeded, 1,234 changes applied; 2 within the expected band; 1 above the expected band; 1 below the expected band; 1 not judged by counts',
  );
  expect(barsText([run(null, 4)], () => 'bad')).toBe(
    'Last run succeeded, 4 changes applied; 1 of the last 1 went wrong; 1 not judged by counts',
  );
  expect(runs.map(expectedText)).toEqual([
    '▲ 60 above 8–30',
    '✓ 20 within 8–30',
    '✓ 9 within 8–30',
    '▼ 2 below 8–30',
    'not judged',
  ]);
});
