import { describe, expect, test } from '@jest/globals';
import { startPoller } from '../../../src/kernel/poller.js';
import { until } from '../../support/until.js';

describe('a beat', () => {
  test('comes round again, also behind a failure, until it is stopped', async () => {
    const errors: unknown[] = [];
    let times = 0;
    const beat = startPoller(
      1,
      () => {
        times += 1;
        return times === 2 ? Promise.reject(new Error('once')) : Promise.resolve();
      },
      (error) => errors.push(error),
    );
    await until('four beats', () => times >= 4);
    await beat.stop();
    const stoppedAt = times;
    await new Promise((resume) => setTimeout(resume, 10));
    expect(times).toBe(stoppedAt);
    expect(errors).toEqual([new Error('once')]);
  });

  test('is never twice under way, and its stop waits for the work, which is told', async () => {
    let under = 0;
    let most = 0;
    let told = false;
    const beat = startPoller(
      1,
      async (signal) => {
        under += 1;
        most = Math.max(most, under);
        await new Promise((resume) => signal.addEventListener('abort', resume));
        told = true;
        under -= 1;
      },
      () => undefined,
    );
    await beat.stop();
    expect([most, under, told]).toEqual([1, 0, true]);
  });

  test('that rests first does nothing until its first turn, also where it is stopped before', async () => {
    const done: string[] = [];
    const never = startPoller(
      60_000,
      () => Promise.resolve(done.push('too early')),
      () => undefined,
      { restFirst: true },
    );
    await never.stop();
    const once = startPoller(
      1,
      () => Promise.resolve(done.push('in turn')),
      () => undefined,
      { restFirst: true },
    );
    expect(done).toEqual([]);
    await until('its turn', () => done.length > 0);
    await once.stop();
    expect(done).not.toContain('too early');
  });

  test('does not wait for its next turn when it is stopped', async () => {
    const startedAt = performance.now();
    const beat = startPoller(
      60_000,
      () => Promise.resolve(),
      () => undefined,
    );
    await new Promise((resume) => setImmediate(resume));
    await beat.stop();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
