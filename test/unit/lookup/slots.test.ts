import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Slots } from '../../../src/lookup/slots.js';

describe('slots', () => {
  test('never let more work go on than there are, and let all of it through in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 30 }),
        async (limit, turns) => {
          const slots = new Slots(limit);
          const started: number[] = [];
          let active = 0;
          let most = 0;
          await Promise.all(
            turns.map((count, index) =>
              slots.use(async () => {
                started.push(index);
                most = Math.max(most, (active += 1));
                for (let made = 0; made < count; made += 1) await turn();
                active -= 1;
              }),
            ),
          );
          expect(started).toEqual(turns.map((_, index) => index));
          expect(most).toBe(Math.min(limit, turns.length));
        },
      ),
      { numRuns: 50 },
    );
  });

  test('are given back by work that fails', async () => {
    const slots = new Slots(1);
    await expect(slots.use(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(slots.use(() => Promise.resolve('yes'))).resolves.toBe('yes');
  });

  test('let go of whoever stops waiting, and do not lose the slot', async () => {
    const slots = new Slots(1);
    const abort = new AbortController();
    let finish: (() => void) | undefined;
    const first = slots.use(() => new Promise<void>((resolve) => (finish = resolve)));
    const impatient = slots.use(() => Promise.reject(new Error('must not start')), abort.signal);
    const patient = slots.use(() => Promise.resolve('served'));
    abort.abort(new Error('stopped'));
    await expect(impatient).rejects.toThrow('stopped');
    finish?.();
    await first;
    await expect(patient).resolves.toBe('served');
  });
});
