import { describe, expect, test } from '@jest/globals';
import {
  between,
  columnsIn,
  filtered,
  grouped,
  laidOut,
  moved,
  scaleIn,
} from '../../../src/console/now/rows.js';

/** Where gates stand on the screen Now: any number of them, of which only what is seen is drawn. */

type Place = Parameters<typeof filtered>[0][number];
type State = Place['gate']['state'];
const STATES: readonly State[] = ['killed', 'silent', 'held', 'rolling-out', 'open'];

function place(job: string, region: string, state: State = 'open', why = ''): Place {
  const versions = [{ version: '1.4.0_9f3c2a1b', permille: 1000, state: 'open' }];
  return {
    job: { job, version: null, schedule: null, nextSlot: null, gates: [] },
    gate: {
      ...{ region, state, why, since: null, stopped: false, permitRemainingMs: null, versions },
      ...{ rollout: null, killPending: null, runs: [] },
    },
  };
}

const PLACES = [
  place('sweep', 'eu-1'),
  place('sweep', 'us-1', 'killed', 'deletes rows'),
  place('mail', 'eu-1', 'held'),
  place('mail', 'us-1'),
  place('mail', 'ap-1'),
];
const names = (places: readonly Place[]): string[] =>
  places.map(({ job, gate }) => `${job.job} ${gate.region}`);
const ANY = new Set<State>();

describe('the gates that are shown', () => {
  test.each([
    ['', ['sweep eu-1', 'sweep us-1', 'mail eu-1', 'mail us-1', 'mail ap-1']],
    ['eu MAIL', ['mail eu-1']],
    ['deletes', ['sweep us-1']],
    ['1.4.0 ap', ['mail ap-1']],
    ['nothing', []],
  ])('have every word of %j', (text, found) => {
    expect(names(filtered(PLACES, { text, states: ANY }))).toEqual(found);
  });

  test('are in one of the states that are asked for', () => {
    const states = new Set<State>(['killed', 'held']);
    expect(names(filtered(PLACES, { text: '', states }))).toEqual(['sweep us-1', 'mail eu-1']);
  });

  test('stand together by job, region or state; states in the order of their urgency', () => {
    const by = (how: 'job' | 'region' | 'state'): [string, number][] =>
      grouped(PLACES, how, STATES).map(({ name, places }) => [name, places.length]);
    expect(by('job')).toEqual([
      ['mail', 3],
      ['sweep', 2],
    ]);
    expect(by('region')).toEqual([
      ['ap-1', 1],
      ['eu-1', 2],
      ['us-1', 2],
    ]);
    expect(by('state').map(([name]) => name)).toEqual(['killed', 'held', 'open']);
  });
});

describe('the lines of the page', () => {
  const { rows, height } = laidOut(grouped(PLACES, 'job', STATES), {
    ...{ columns: 2, groupHeight: 10, gatesHeight: 100 },
  });

  test('stand below each other', () => {
    expect(rows.map(({ kind, top }) => [kind, top])).toEqual([
      ['group', 0],
      ['gates', 10],
      ['gates', 110],
      ['group', 210],
      ['gates', 220],
    ]);
    expect(height).toBe(320);
  });

  test.each([
    [0, 5, 0, 1],
    [0, 50, 0, 2],
    [110, 215, 2, 4],
    [115, 200, 2, 3],
    [-500, 1_000, 0, 5],
    [5_000, 6_000, 4, 5],
  ])('between %i and %i are those from %i to %i', (from, to, first, last) => {
    expect(between(rows, from, to)).toEqual({ first, last });
  });

  test.each([
    // In the root's font size: a phone, a desk, a wall, and a window that is not high.
    [23, 45, 1],
    [87, 48, 1.75],
    [117, 58, 1.75],
    [87, 30, 1.5],
    [87, 24, 1.25],
    [87, 20, 1],
  ])('are larger where all gates fit in %i × %i all the same: %f', (width, height, scale) => {
    const groups = grouped(
      Array.from({ length: 6 }, (_, at) => place('mail', `r-${at}`)),
      'job',
      STATES,
    );
    expect(scaleIn(groups, width, height)).toBe(scale);
    expect(columnsIn(width, scale)).toBeGreaterThanOrEqual(1);
  });

  test('are not larger where there are many', () => {
    const many = Array.from({ length: 61 }, (_, at) => place('mail', `r-${at}`));
    expect(scaleIn(grouped(many, 'job', STATES), 240, 1_000)).toBe(1);
  });

  test('are few where there are ten thousand gates', () => {
    const many = Array.from({ length: 10_000 }, (_, at) => place(`job-${at % 500}`, `region-${at}`));
    const all = laidOut(grouped(many, 'job', STATES), { columns: 5, groupHeight: 44, gatesHeight: 128 });
    const seen = between(all.rows, 100_000, 101_500);
    expect(seen.last - seen.first).toBeLessThan(20);
    expect(all.height).toBe(500 * (44 + 4 * 128));
  });

  test.each([
    [0, 'ArrowRight', 1],
    [1, 'ArrowRight', 2],
    [1, 'ArrowDown', 2],
    [0, 'ArrowDown', 2],
    [2, 'ArrowDown', 3],
    [4, 'ArrowUp', 2],
    [0, 'ArrowUp', 0],
    [4, 'ArrowRight', 4],
    [3, 'Home', 0],
    [0, 'End', 4],
    [0, 'PageDown', 3],
    [9, 'ArrowLeft', 4],
  ])('an arrow leads from gate %i by %s to %i', (from, key, to) => {
    expect(moved(rows, from, key)).toBe(to);
  });

  test('lead nowhere where there is no gate', () => {
    expect(moved([], 0, 'End')).toBe(0);
    expect(between([], 0, 100)).toEqual({ first: 0, last: 0 });
  });
});
