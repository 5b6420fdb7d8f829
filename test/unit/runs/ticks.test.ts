import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { scheduleTicks } from '../../../src/runs/ticks.js';

const at = (time: string): Date => new Date(`2026-03-29T${time}Z`);

describe('a schedule’s ticks', () => {
  const ticks: Date[] = [];
  let stop: () => void;
  /** The database's time is the fake timers', moved by so much. */
  let shiftMs = 0;
  beforeEach(() => {
    jest.useFakeTimers({ now: at('11:59:59.750') });
    ticks.length = 0;
    shiftMs = 0;
  });
  afterEach(() => {
    stop();
    jest.useRealTimers();
  });
  const begin = (schedule: string): void => {
    stop = scheduleTicks(
      schedule,
      () => new Date(Date.now() + shiftMs),
      (slot) => ticks.push(slot),
    );
  };
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);
  /** The look that was due at 12:00 happens only then. */
  const standStillUntil = async (time: string): Promise<void> => {
    jest.setSystemTime(at(time).getTime() - 251);
    await pass(251);
  };

  test('come with their slot, each once', async () => {
    begin('*/15 * * * *');
    await pass(16 * 60_000);
    expect(ticks).toEqual([at('12:00:00'), at('12:15:00')]);
  });

  test.each(['12:00:01.999', '12:00:02', '12:00:30', '12:00:59.900'])(
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
    await pass(14 * 60_000);
    expect(ticks).toEqual([at('12:15:00')]);
  });

  test('of which several are noticed at once give way to the newest', async () => {
    begin('*/10 * * * * *');
    await standStillUntil('12:00:34');
    expect(ticks).toEqual([at('12:00:30')]);
  });

  test('go on at once when the clock is set back an hour', async () => {
    begin('*/15 * * * *');
    await pass(60_000);
    shiftMs = -3_600_000;
    await pass(15 * 60_000);
    expect(ticks).toEqual([at('12:00:00'), at('11:15:00')]);
  });

  test('of an hour that the clock has skipped have been missed, and the next come on time', async () => {
    begin('*/15 * * * *');
    await pass(60_000);
    shiftMs = 3_600_000 + 120_000;
    await pass(15 * 60_000);
    expect(ticks).toEqual([at('12:00:00'), at('13:15:00')]);
  });

  test('end when they are stopped', async () => {
    begin('* * * * * *');
    stop();
    await pass(10_000);
    expect(ticks).toEqual([]);
  });
});
