import { describe, expect, test } from '@jest/globals';
import { within } from '../../../src/kernel/within.js';

const late = (): Error => new Error('too late');
const never = (): Promise<string> => new Promise(() => undefined);

describe('work with a time limit', () => {
  test('answers, or fails, as the work does while there is time', async () => {
    expect(await within(60_000, () => Promise.resolve('done'), late)).toBe('done');
    await expect(within(60_000, () => Promise.reject(new Error('broken')), late)).rejects.toThrow('broken');
  });

  test('is given up when the time is over, and a failure after that is nobody’s', async () => {
    await expect(within(1, never, late)).rejects.toThrow('too late');
    let fail = (): void => undefined;
    const failing = new Promise<string>((_, reject) => {
      fail = () => reject(new Error('broken'));
    });
    await expect(within(1, () => failing, late)).rejects.toThrow('too late');
    fail();
    await expect(failing).rejects.toThrow('broken');
  });
});
