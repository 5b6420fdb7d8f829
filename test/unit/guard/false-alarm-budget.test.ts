import { expect, test } from '@jest/globals';
import { falseTripsAYear } from '../../../src/guard/backtest.js';

test('the budget of false alarms is what all rules may be wrong in a year, in all regions', () => {
  const budget = falseTripsAYear({
    regions: 6,
    runsAYear: 365,
    releasesAYear: 12,
    runAlphas: [2.5e-4, 1e-3],
    outcomeAlphas: [0.01],
  });
  // 6 · 365 · 0.00125 + 12 · 6 · 0.01
  expect(budget).toBeCloseTo(2.7375 + 0.72, 12);
});
