import { describe, expect, test } from '@jest/globals';
import { formatDurationMs, parseDurationMs } from '../../../src/kernel/duration.js';

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each(['', '5', 's', '-1s', '1.5s', '1 s', '1w', '9999999999s'])('%p is none', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
  });

  test.each([
    [740, '740 ms'],
    [3_240, '3.2 s'],
    [59_990, '1 min'],
    [250_000, '4 min 10 s'],
    [240_000, '4 min'],
    [7_500_000, '2 h 5 min'],
    [273_600_000, '3 d 4 h'],
  ])('%i ms reads as %s', (ms, text) => {
    expect(formatDurationMs(ms)).toBe(text);
  });
});
