import { describe, expect, test } from '@jest/globals';
import { heightOf, MOST_HEIGHT, scrollTopOf, topRow } from '../../../src/console/runs/scrolled.js';

/** Rows in a window that are more than a browser can give a height to. */

const view = { rowHeight: 36, viewHeight: 400 };

describe.each([
  ['that fit', 1_000],
  ['by the million', 1_000_000],
])('rows %s', (_, count) => {
  const rows = { count, ...view };

  test('are no higher than browsers can draw', () => {
    expect(heightOf(rows)).toBe(Math.min(count * 36, MOST_HEIGHT));
  });

  test('are scrolled to, the first as the last', () => {
    expect(topRow(rows, 0)).toBe(0);
    const end = heightOf(rows) - view.viewHeight;
    expect(topRow(rows, end)).toBeCloseTo(count - view.viewHeight / view.rowHeight);
    for (const row of [0, 1, 500, count / 2, count - 20]) {
      expect(topRow(rows, scrollTopOf(rows, row))).toBeCloseTo(row);
    }
    // There is no scrolling beyond the end.
    expect(scrollTopOf(rows, count)).toBeCloseTo(end);
  });
});

test('rows that all fit do not scroll', () => {
  const rows = { count: 3, ...view };
  expect([topRow(rows, 50), scrollTopOf(rows, 2)]).toEqual([0, 0]);
});
