import { describe, expect, test } from '@jest/globals';
import { attempt } from '../../../src/lookup/attempt.js';

describe('an attempt', () => {
  test('gives its outcome, whether that comes at once or later, and is ended once', async () => {
    for (const later of [false, true]) {
      let ended = 0;
      const outcome = attempt<string>(
        { timeoutMs: 10_000 },
        () => 'late',
        (settle) => {
          if (later) setImmediate(settle, 'done');
          else settle('done');
          return () => (ended += 1);
        },
      );
      await expect(outcome).resolves.toBe('done');
      expect(ended).toBe(1);
    }
  });

  test('gives what a timeout means once the time is up', async () => {
    let ended = 0;
    const outcome = attempt<string>(
      { timeoutMs: 5 },
      () => 'late',
      () => () => (ended += 1),
    );
    await expect(outcome).resolves.toBe('late');
    expect(ended).toBe(1);
  });

  test('is not begun when it is already aborted', async () => {
    const reason = new Error('stopped');
    const begin = (): never => {
      throw new Error('must not begin');
    };
    const limits = { timeoutMs: 10_000, signal: AbortSignal.abort(reason) };
    await expect(attempt(limits, () => 'late', begin)).rejects.toBe(reason);
  });

  test('is ended by an abort, with its reason', async () => {
    const abort = new AbortController();
    let ended = 0;
    const outcome = attempt<string>(
      { timeoutMs: 10_000, signal: abort.signal },
      () => 'late',
      () => () => (ended += 1),
    );
    const reason = new Error('stopped');
    abort.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect(ended).toBe(1);
  });

  test('that cannot begin rejects, and leaves no timer behind', async () => {
    const begin = (): never => {
      throw new Error('no socket');
    };
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = timers();
    await expect(attempt({ timeoutMs: 10_000_000 }, () => 'late', begin)).rejects.toThrow('no socket');
    expect(timers()).toBeLessThanOrEqual(before);
  });
});
