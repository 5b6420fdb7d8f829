import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  isWithin,
  nextWithin,
  parseWeeklyWindow,
  type WeeklyWindow,
} from '../../../src/kernel/weekly-window.js';

function window(text: string): WeeklyWindow {
  const read = parseWeeklyWindow(text);
  if ('fault' in read) throw new Error(read.fault);
  return read;
}

const fault = (text: string): string => {
  const read = parseWeeklyWindow(text);
  return 'fault' in read ? read.fault : '';
};

describe('a weekly window', () => {
  test('is read with hyphens or dashes, short or long names, a range or a list', () => {
    const working = { days: [1, 2, 3, 4], fromMinute: 540, untilMinute: 960, zone: 'Europe/Berlin' };
    for (const text of [
      'Mon–Thu 09:00–16:00 Europe/Berlin',
      'Mon-Thu 9:00-16:00 Europe/Berlin',
      'monday - thursday 09:00 - 16:00 Europe/Berlin',
      'Mon, Tue, Wed-Thu 09:00–16:00 Europe/Berlin',
    ]) {
      expect(window(text)).toMatchObject({ ...working, text });
    }
    expect(window('Sat-Mon 00:00-24:00 UTC')).toMatchObject({ days: [0, 1, 6], untilMinute: 1440 });
    expect(window('Fri 12:00-13:00 UTC').days).toEqual([5]);
  });

  test.each([
    ['', 'is not a window'],
    ['Mon 09:00-16:00', 'is not a window'],
    ['Mon-Tun 09:00-16:00 UTC', 'has invalid days: Mon-Tun'],
    ['Mon-Tue-Wed 09:00-16:00 UTC', 'has invalid days: Mon-Tue-Wed'],
    ['Mon 25:00-26:00 UTC', 'has an invalid time: 25:00; use HH:MM'],
    ['Mon 16:00-09:00 UTC', 'must end after it begins'],
    ['Mon 09:00-16:00 Europe/Berlinn', 'has an invalid time zone: Europe/Berlinn'],
  ])('is refused where it is %j', (text, message) => {
    expect(fault(text)).toContain(message);
  });

  test('goes by the clocks of its place, in summer and in winter', () => {
    const berlin = window('Mon–Fri 09:00–16:00 Europe/Berlin');
    expect(isWithin(berlin, new Date('2026-07-01T07:00:00Z'))).toBe(true);
    expect(isWithin(berlin, new Date('2026-12-01T07:00:00Z'))).toBe(false);
    expect(isWithin(berlin, new Date('2026-12-01T08:00:00Z'))).toBe(true);
    expect(isWithin(berlin, new Date('2026-12-01T15:00:00Z'))).toBe(false);
    expect(isWithin(berlin, new Date('2026-12-05T10:00:00Z'))).toBe(false);
  });

  test('opens next on the day and minute it should, over weekends and changes of the clocks', () => {
    const berlin = window('Mon–Thu 09:00–16:00 Europe/Berlin');
    const next = (at: string) => nextWithin(berlin, new Date(at)).toISOString();
    expect(next('2026-11-26T15:00:00Z')).toBe('2026-11-30T08:00:00.000Z');
    expect(next('2026-11-23T03:21:07.512Z')).toBe('2026-11-23T08:00:00.000Z');
    expect(next('2026-11-23T09:21:07.512Z')).toBe('2026-11-23T09:21:07.512Z');
    // Clocks are put forward on Sunday 29 March 2026, and back on Sunday 25 October.
    expect(next('2026-03-27T12:00:00Z')).toBe('2026-03-30T07:00:00.000Z');
    expect(next('2026-10-23T12:00:00Z')).toBe('2026-10-26T08:00:00.000Z');
    const gap = window('Sun 02:30–04:00 Europe/Berlin');
    expect(nextWithin(gap, new Date('2026-03-28T12:00:00Z')).toISOString()).toBe('2026-03-29T01:00:00.000Z');
  });

  test('is open at the moment it says it opens next, and nowhere on the way there', () => {
    const windows = [
      'Mon–Thu 09:00–16:00 Europe/Berlin',
      'Sun 02:30-02:45 America/New_York',
      'Fri,Sat 23:00-24:00 Asia/Kolkata',
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...windows),
        fc.date({ min: new Date('2026-01-01'), max: new Date('2027-01-01'), noInvalidDate: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (text, at, part) => {
          const one = window(text);
          const opens = nextWithin(one, at);
          expect(isWithin(one, opens)).toBe(true);
          expect(opens.getTime()).toBeGreaterThanOrEqual(at.getTime());
          if (isWithin(one, at)) expect(opens).toEqual(at);
          else {
            const between = new Date(at.getTime() + Math.floor(part * (opens.getTime() - at.getTime())));
            expect(isWithin(one, between)).toBe(false);
          }
        },
      ),
    );
  });
});
