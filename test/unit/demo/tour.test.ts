import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { actsOf } from '../../../src/console/tour/acts.js';
import { PLAYED } from '../../../src/demo/tour/acts.js';
import { demoPolicy } from '../../../src/demo/tour/demo-policy.js';
import { ACTS, commandsOf } from '../../../src/demo/tour/script.js';

const shipped = await readFile(new URL('../../../flags/domain-claim.yaml', import.meta.url), 'utf8');

describe('the script of the tour', () => {
  test('has an act for each that is played, and no other', () => {
    expect(ACTS.map(({ id }) => id).sort()).toEqual(Object.keys(PLAYED).sort());
  });

  test('fills what is known into commands, and leaves the rest', () => {
    const act = ACTS.find(({ id }) => id === 'stopped') ?? ACTS[0];
    if (act === undefined) throw new Error('there are no acts');
    expect(commandsOf(act, { faulty: '1.2.0_a' })).toEqual([
      'portcullis rollout start domain-claim --version 1.2.0_a --reason "the tour"',
      'portcullis run show {stoppedRun}',
    ]);
  });
});

describe('the policy of the tour', () => {
  test('compresses time, and leaves every rule of the shipped one', () => {
    const { policy } = demoPolicy(shipped, 'guarded');
    const { rollout, guard } = policy;
    expect(rollout?.waves.map(({ bake }) => bake)).toEqual(
      rollout?.waves.map(() => ({ runs: 1, changes: 1, timeMs: 1_000 })),
    );
    expect(rollout).toMatchObject({ windows: [], freezes: [] });
    expect(rollout?.waves.map(({ approvals }) => approvals)).toEqual([0, 1, 0]);
    expect(guard.rules.filter(({ kind }) => kind === 'invariant').length).toBeGreaterThan(5);
    expect(guard.caps.length).toBeGreaterThan(5);
  });

  test('leaves outcomes alone for the version that is stopped by them, which closes its region', () => {
    const { guard } = demoPolicy(shipped, 'outcomes alone').policy;
    expect(guard.rules.map(({ kind }) => kind)).toEqual(['outcome']);
    expect(guard.caps).toEqual([]);
    expect(guard.onTrip).toMatchObject({ close: 'region' });
  });
});

describe('the console’s page of the tour', () => {
  const entry = (subject: string, evidence: object, seq: number) => ({
    ...{ at: `2026-11-27T20:00:0${seq}Z`, principal: 'admin', subject },
    evidence: { tour: 'b', ...evidence },
  });
  const begins = entry(
    'begins',
    { acts: ACTS.map(({ id, title, text, view }) => ({ id, title, text, view })) },
    1,
  );
  const older = {
    ...entry('ends', { state: 'stopped', why: 'of before' }, 0),
    evidence: { tour: 'a', state: 'stopped' },
  };

  test('shows the acts of the newest tour as they stand on record', () => {
    const now = entry(
      'region',
      { state: 'now', commands: ['portcullis run', 'portcullis run show {run}'] },
      4,
    );
    const done = entry('policy', { state: 'done', commands: [], result: ['in force'], view: '/flags' }, 3);
    const shown = actsOf([now, done, begins, older]);
    expect(shown).toMatchObject({ state: 'now', by: 'admin' });
    expect(shown?.acts.map(({ state }) => state)).toEqual([
      'done',
      'now',
      ...ACTS.slice(2).map(() => 'next'),
    ]);
    expect(shown?.acts[0]).toMatchObject({ result: ['in force'], view: '/flags' });
    expect(shown?.acts[1]).toMatchObject({ commands: ['portcullis run'] });
  });

  test('says that it is over, or why it was stopped; without a tour there is nothing to show', () => {
    expect(actsOf([entry('ends', { state: 'over' }, 9), begins])).toMatchObject({ state: 'over' });
    const stopped = entry('ends', { state: 'stopped', why: 'a gate is killed' }, 8);
    expect(actsOf([entry('ends', { state: 'over' }, 9), stopped, begins])).toMatchObject({
      ...{ state: 'stopped', why: 'a gate is killed' },
    });
    expect(actsOf([])).toBeUndefined();
  });
});
