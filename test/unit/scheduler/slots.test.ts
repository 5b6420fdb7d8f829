import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { newestSlot, nextSlot, scheduleTicks } from '../../../src/scheduler/slots.js';

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
    const asked = Date.now();
    const next = nextSlot('*/15 * * * *');
    expect(next?.getTime()).toBeGreaterThan(asked);
    expect(next?.getUTCMinutes()).toBe(15 * Math.floor((next?.getUTCMinutes() ?? 1) / 15));
  });
});

describe('a schedule’s ticks', () => {
  const ticks: Date[] = [];
  let stop: () => Promise<void>;
  beforeEach(() => {
    jest.useFakeTimers({ now: at('11:59:59.750') });
    ticks.length = 0;
  });
  afterEach(async () => {
    await stop();
    jest.useRealTimers();
  });
  const begin = (schedule: string): void => {
    stop = scheduleTicks(schedule, 'test', (slot) => ticks.push(slot));
  };
  /** The timer for the slot at 12:00, a quarter of a second off, goes off only then. */
  const standStillUntil = async (time: string): Promise<void> => {
    jest.setSystemTime(at(time).getTime() - 250);
    await jest.advanceTimersByTimeAsync(250);
  };

  test('come with their slot, each once', async () => {
    begin('*/15 * * * *');
    await jest.advanceTimersByTimeAsync(16 * 60_000);
    expect(ticks).toEqual([at('12:00:00'), at('12:15:00')]);
  });

  test.each(['12:00:01.999', '12:00:02', '12:00:30', '12:01:00.900'])(
    'that the process notices only at %s are still their slot’s',
    async (time) => {
      begin('*/15 * * * *');
      await standStillUntil(time);
      expect(ticks).toEqual([at('12:00:00')]);
    },
  );

  test('that are noticed more than a minute late have been missed', async () => {
    begin('*/15 * * * *');
    await standStillUntil('12:01:01');
    expect(ticks).toEqual([]);
    await jest.advanceTimersByTimeAsync(14 * 60_000);
    expect(ticks).toEqual([at('12:15:00')]);
  });

  test('of which several are noticed at once give way to the newest', async () => {
    begin('*/10 * * * * *');
    await standStillUntil('12:00:34');
    expect(ticks).toEqual([at('12:00:30')]);
  });
});
