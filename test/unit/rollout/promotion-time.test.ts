import { describe, expect, test } from '@jest/globals';
import { parseWeeklyWindow, type WeeklyWindow } from '../../../src/kernel/weekly-window.js';
import { promotionTime } from '../../../src/rollout/promotion-time.js';

const window = (text: string): WeeklyWindow => {
  const read = parseWeeklyWindow(text);
  if ('fault' in read) throw new Error(read.fault);
  return read;
};
const at = (text: string): Date => new Date(text);
const policy = {
  windows: [window('Mon–Thu 09:00–16:00 UTC'), window('Sat 10:00–12:00 UTC')],
  freezes: [
    { from: at('2026-12-18'), until: at('2027-01-04'), reason: 'end of the year' },
    { from: at('2027-01-04'), until: at('2027-01-05'), reason: 'stocktaking' },
  ],
};

describe('a promotion may happen', () => {
  test('at once where nothing holds it', () => {
    expect(promotionTime({ windows: [], freezes: [] }, at('2026-11-22T03:00:00Z'))).toEqual({
      at: at('2026-11-22T03:00:00Z'),
    });
    expect(promotionTime(policy, at('2026-11-23T09:00:00Z'))).toEqual({ at: at('2026-11-23T09:00:00Z') });
  });

  test('in the next of several windows', () => {
    expect(promotionTime(policy, at('2026-11-27T12:00:00Z'))).toEqual({
      at: at('2026-11-28T10:00:00Z'),
      held: 'promotions only Mon–Thu 09:00–16:00 UTC or Sat 10:00–12:00 UTC',
    });
  });

  test('after a freeze, and the one right behind it, in the next window', () => {
    expect(promotionTime(policy, at('2026-12-30T09:00:00Z'))).toEqual({
      at: at('2027-01-05T09:00:00Z'),
      held: 'frozen until 2027-01-04T00:00:00.000Z: end of the year',
    });
  });

  test('not in a freeze that begins before the next window', () => {
    expect(promotionTime(policy, at('2026-12-17T16:00:00Z')).at).toEqual(at('2027-01-05T09:00:00Z'));
  });
});
