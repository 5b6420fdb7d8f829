import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import cron from 'node-cron';
import { newestSlot, nthSlot } from '../../../src/runs/slots.js';

const at = (time: string): Date => new Date(`2026-03-29T${time}Z`);
const day = (date: string): Date => new Date(`${date}Z`);

describe('the newest slot between two moments', () => {
  test('is the last that came due, not the first that was missed', () => {
    expect(newestSlot('*/15 * * * *', at('01:00:00'), at('02:07:30'))).toEqual(at('02:00:00'));
  });

  test('is there at its very second', () => {
    expect(newestSlot('*/15 * * * *', at('01:00:00'), at('01:15:00'))).toEqual(at('01:15:00'));
  });

  test('is none where the last one was already done', () => {
    expect(newestSlot('*/15 * * * *', at('02:00:00'), at('02:14:59'))).toBeUndefined();
  });

  test('is found to the second where a schedule has seconds', () => {
    expect(newestSlot('*/10 * * * * *', at('01:00:00'), at('01:00:39'))).toEqual(at('01:00:30'));
  });

  test('knows no summer time: Europe’s lost hour has its slots', () => {
    expect(newestSlot('30 * * * *', at('00:31:00'), at('01:45:00'))).toEqual(at('01:30:00'));
  });

  test.each([
    [
      'a weekly one, 49 h late',
      '0 3 * * 0',
      '2026-11-15T03:00:00',
      '2026-11-24T04:00:00',
      '2026-11-22T03:00:00',
    ],
    [
      'a monthly one, 3 days late',
      '0 3 1 * *',
      '2026-10-01T03:00:00',
      '2026-11-04T03:00:00',
      '2026-11-01T03:00:00',
    ],
    ['one with seconds', '0 0 3 * * *', '2026-11-24T03:00:00', '2026-11-25T04:00:00', '2026-11-25T03:00:00'],
    ['a yearly one', '0 0 1 1 *', '2024-12-31T00:00:00', '2026-12-30T00:00:00', '2026-01-01T00:00:00'],
    ['one on leap days', '0 0 29 2 *', '2020-03-01T00:00:00', '2027-06-01T00:00:00', '2024-02-29T00:00:00'],
    [
      'the last day of a month',
      '0 9 L * *',
      '2026-01-01T00:00:00',
      '2026-03-30T00:00:00',
      '2026-02-28T09:00:00',
    ],
    ['a second Monday', '0 9 * * 1#2', '2026-01-01T00:00:00', '2026-04-01T00:00:00', '2026-03-09T09:00:00'],
  ])('is found however long ago: %s', (_, schedule, after, until, slot) => {
    expect(newestSlot(schedule, day(after), day(until))).toEqual(day(slot));
  });

  test('is none for a schedule that is never due', () => {
    expect(newestSlot('0 0 1 * 2#3', day('1990-01-01T00:00:00'), day('2026-01-01T00:00:00'))).toBeUndefined();
  });
});

describe('the n-th slot after a moment', () => {
  test('is after that moment, not at it', () => {
    expect(nthSlot('*/15 * * * *', 1, at('01:15:00'))).toEqual(at('01:30:00'));
    expect(nthSlot('*/15 * * * *', 4, at('01:15:00.001'))).toEqual(at('02:15:00'));
    expect(nthSlot('0 0 29 2 *', 2, day('2026-01-01T00:00:00'))).toEqual(day('2032-02-29T00:00:00'));
  });

  test('is none for a schedule that is never due', () => {
    expect(nthSlot('0 0 1 * 2#3', 1, day('2026-01-01T00:00:00'))).toBeUndefined();
  });
});

const values = (most: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min: 0, max: most }).map(String),
    fc.integer({ min: 1, max: most }).map((step) => `*/${step}`),
    fc
      .uniqueArray(fc.integer({ min: 0, max: most }), { minLength: 1, maxLength: 4 })
      .map((some) => some.join(',')),
  );

test('slots are the minutes that node-cron matches, none left out', () => {
  fc.assert(
    fc.property(
      values(59),
      values(23),
      fc.constantFrom('*', '1', '15', '28-31', '*/7'),
      fc.constantFrom('*', '2', '*/3', '11,12'),
      fc.constantFrom('*', '0', '1-5', '6'),
      fc.integer({ min: 0, max: 1_200_000 }),
      (minute, hour, date, month, weekday, minutes) => {
        const schedule = `${minute} ${hour} ${date} ${month} ${weekday}`;
        const from = new Date(Date.UTC(2026, 0, 1, 0, minutes));
        const slots: Date[] = [];
        const until = new Date(from.getTime() + 12 * 3_600_000);
        const task = cron.createTask(schedule, () => undefined, { timezone: 'UTC' });
        for (let each = from.getTime() + 60_000; each <= until.getTime(); each += 60_000) {
          if (task.match(new Date(each))) slots.push(new Date(each));
        }
        void task.destroy();
        expect(newestSlot(schedule, from, until)).toEqual(slots.at(-1));
        for (const n of [1, slots.length]) {
          if (slots.length > 0) expect(nthSlot(schedule, n, from)).toEqual(slots[n - 1]);
        }
      },
    ),
    { numRuns: 60 },
  );
});
