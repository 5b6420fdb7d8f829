import { describe, expect, test } from '@jest/globals';
import { rememberImpact, type ImpactIn } from '../../../src/incidents/incident-impact.js';
import type { IncidentRun } from '../../../src/incidents/incident-runs.js';
import type { Impact } from '../../../src/journal/impact.js';

const run = (id: string, finishedAt: string | null = '2026-03-01T10:00:00.000Z'): IncidentRun => ({
  ...{ id, version: '1.0.0+a', region: 'eu', trigger: 'schedule', status: 'succeeded', reason: 'applied' },
  ...{ createdAt: '2026-03-01T09:59:00.000Z', finishedAt, firstAppliedAt: finishedAt },
  ...{ lastAppliedAt: finishedAt, restore: null },
});

function counting(): { asked: string[]; ask: ImpactIn } {
  const asked: string[] = [];
  const ask: ImpactIn = (_, wrote) => {
    asked.push(wrote.map(({ id }) => id).join());
    const impact: Impact = {
      ...{
        rows: asked.length,
        units: 1,
        conflicts: 0,
        byKind: [],
        byProduct: null,
        firstAppliedAt: null,
        lastAppliedAt: null,
      },
    };
    return Promise.resolve(impact);
  };
  return { asked, ask };
}

describe('the impact of runs, looked at again and again', () => {
  test('is asked for once where they are over, and again where another run has joined them', async () => {
    const { asked, ask } = counting();
    const impactIn = rememberImpact(ask);
    const first = await impactIn('eu', [run('a')]);
    expect(await impactIn('eu', [run('a')])).toEqual(first);
    await impactIn('eu', [run('b'), run('a')]);
    expect(asked).toEqual(['a', 'b,a']);
  });

  test('is asked for each time while one of them goes on', async () => {
    const { asked, ask } = counting();
    const impactIn = rememberImpact(ask);
    await impactIn('eu', [run('b', null), run('a')]);
    await impactIn('eu', [run('b', null), run('a')]);
    await impactIn('eu', [run('b'), run('a')]);
    expect(asked).toEqual(['b,a', 'b,a', 'b,a']);
  });

  test('forgets what was longest not asked for, beyond so many', async () => {
    const { asked, ask } = counting();
    const impactIn = rememberImpact(ask, 2);
    for (const id of ['a', 'b', 'a', 'c', 'a', 'b']) await impactIn('eu', [run(id)]);
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
  });
});
