import { describe, expect, test } from '@jest/globals';
import { newestSlot, nextSlot } from '../../../src/scheduler/slots.js';

const at = (time: string): Date => new Date(`2026-03-29T${time}Z`);

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

  test('is forgotten when it lies further back than two days', () => {
    const january = new Date('2026-01-01T00:00:00Z');
    expect(
      newestSlot('0 0 1 1 *', new Date('2025-12-31T00:00:00Z'), new Date('2026-01-02T12:00:00Z')),
    ).toEqual(january);
    expect(
      newestSlot('0 0 1 1 *', new Date('2025-12-31T00:00:00Z'), new Date('2026-01-04T00:00:00Z')),
    ).toBeUndefined();
  });
});

describe('the next slot', () => {
  test('lies ahead and matches the schedule', () => {
    const next = nextSlot('*/15 * * * *');
    expect(next?.getTime()).toBeGreaterThan(Date.now());
    expect(next?.getUTCMinutes()).toBe(15 * Math.floor((next?.getUTCMinutes() ?? 1) / 15));
  });
});
