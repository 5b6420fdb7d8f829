import { describe, expect, test } from '@jest/globals';
import { rememberExtent, type ExtentIn } from '../../../src/incidents/incident-extent.js';
import type { IncidentRun } from '../../../src/incidents/incident-runs.js';

const run = (id: string, finishedAt: string | null = '2026-03-01T10:00:00.000Z'): IncidentRun => ({
  ...{ id, version: '1.0.0_a', region: 'eu', trigger: 'schedule', status: 'succeeded', reason: 'applied' },
  ...{ createdAt: '2026-03-01T09:59:00.000Z', finishedAt, firstAppliedAt: finishedAt },
  ...{ lastAppliedAt: finishedAt, restore: null, restores: [] },
});

/** Counts what is asked. The runs have come as far as `reached` says. */
function counting(most?: number) {
  const asked: string[] = [];
  const looks: string[] = [];
  const lanes = { reached: 500 };
  const ask: ExtentIn = (_, wrote) => {
    asked.push(wrote.map(({ id }) => id).join());
    return Promise.resolve({ rows: lanes.reached, units: asked.length, cascaded: 0 });
  };
  const reachedIn = (_: string, wrote: readonly IncidentRun[]): Promise<number> => {
    looks.push(wrote.map(({ id }) => id).join());
    return Promise.resolve(lanes.reached);
  };
  return { asked, looks, lanes, extentIn: rememberExtent(ask, reachedIn, most) };
}

describe('how far runs reach, looked at again and again', () => {
  test('is asked for once where they are over, and again where another run has joined them', async () => {
    const { asked, looks, extentIn } = counting();
    const first = await extentIn('eu', [run('a')]);
    expect(await extentIn('eu', [run('a')])).toEqual(first);
    await extentIn('eu', [run('b'), run('a')]);
    expect(asked).toEqual(['a', 'b,a']);
    expect(looks).toEqual([]);
  });

  test('is counted anew of runs that go on only where they have come further, and once more at their end', async () => {
    const { asked, lanes, extentIn } = counting();
    const goingOn = [run('b', null), run('a')];
    expect(await extentIn('eu', goingOn)).toEqual({ rows: 500, units: 1, cascaded: 0 });
    expect(await extentIn('eu', goingOn)).toEqual({ rows: 500, units: 1, cascaded: 0 });
    expect(asked).toHaveLength(1);
    lanes.reached = 1_000;
    expect(await extentIn('eu', goingOn)).toEqual({ rows: 1_000, units: 2, cascaded: 0 });
    expect(await extentIn('eu', [run('b'), run('a')])).toEqual({ rows: 1_000, units: 3, cascaded: 0 });
    await extentIn('eu', [run('b'), run('a')]);
    expect(asked).toHaveLength(3);
  });

  test('counts again what has committed between its two questions', async () => {
    const { asked, lanes, extentIn } = counting();
    const late = rememberExtent(
      (region, wrote) => {
        lanes.reached += 1;
        return extentIn(region, wrote);
      },
      () => Promise.resolve(lanes.reached),
    );
    await late('eu', [run('a', null)]);
    await late('eu', [run('a', null)]);
    expect(asked).toEqual(['a', 'a']);
  });

  test('forgets what was longest not asked for, beyond so many', async () => {
    const { asked, extentIn } = counting(2);
    for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await extentIn('eu', [run(id)]);
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
  });
});
