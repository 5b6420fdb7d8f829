import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Verdict } from '../../../src/containment/verdict.js';
import type { RegionEvidence } from '../../../src/rollout/evidence.js';
import { type AdvancePlan, type Part, type Standing } from '../../../src/rollout/plan-advance.js';
import { parseWeeklyWindow } from '../../../src/kernel/weekly-window.js';

import {
  START,
  after,
  POLICY,
  standing,
  rule,
  evidence,
  full,
  baking,
  canaryDone,
  plan,
} from './planning.js';

describe('a rollout that nothing speaks against', () => {
  test('begins with the first step of the first wave, and no other', () => {
    expect(plan(standing(), evidence(), START).decision).toEqual({
      action: 'advance',
      moves: [{ region: 'eu', to: 0 }],
      reason: 'wave canary: eu from 0% to 1%',
    });
  });

  test('waits for runs and changes and time, and says how far each is', () => {
    const { decision, parts } = plan(baking, evidence({ eu: { ...full, runs: 2, changes: 41 } }), after(37));
    expect(decision).toMatchObject({
      action: 'wait',
      reason:
        'eu: 2 of 3 runs, 41 of 50 changes, 37 of 60 minutes; logins has not been judged since 2026-11-23T10:00:00.000Z'.replace(
          /;.*/,
          '',
        ),
    });
    expect(parts[0]).toMatchObject({ region: 'eu', state: 'baking', earliest: after(60) });
  });

  test('goes one step on when all three are there', () => {
    expect(plan(baking, evidence({ eu: full })).decision).toMatchObject({
      action: 'advance',
      moves: [{ region: 'eu', to: 1 }],
      reason: 'wave canary: eu from 1% to 100%',
    });
  });

  test('bakes its last step too, and only then is the region done', () => {
    const last = standing({ eu: { step: 1 } });
    expect(plan(last, evidence(), after(59)).decision.action).toBe('wait');
    expect(plan(last, evidence({ eu: full })).decision).toMatchObject({
      moves: [{ region: 'eu', to: 'done' }],
    });
  });

  test('is complete when every region is done', () => {
    const done = { step: 1, done: true };
    expect(plan(standing({ eu: done, us: done, ap: done }), evidence()).decision).toMatchObject({
      action: 'advance',
      moves: [],
    });
  });
});

describe.each<[string, Partial<RegionEvidence>, AdvancePlan['decision']['action'], string]>([
  ['too few runs', { ...full, runs: 2 }, 'wait', '2 of 3 runs'],
  ['too few changes', { ...full, changes: 49 }, 'wait', '49 of 50 changes'],
  ['a rule with too few samples', { ...full, verdicts: [rule('too-few')] }, 'wait', 'logins: too-few'],
  [
    'a rule that was judged before the step',
    { ...full, verdicts: [rule('pass', after(-1))] },
    'wait',
    'has not been judged',
  ],
  ['a rule without data', { ...full, verdicts: [rule('no-data')] }, 'hold', 'logins: no-data'],
  [
    'a rule that cannot be reached',
    { ...full, verdicts: [rule('unreachable')] },
    'hold',
    'logins: unreachable',
  ],
  ['a run that went wrong', { ...full, runFault: 'its newest run was refused: too much' }, 'hold', 'refused'],
  ['a killed gate', { ...full, killed: 'wrong claims' }, 'hold', 'eu is killed: wrong claims'],
  ['a flag that is off', { ...full, flag: { as: 'off', reason: 'x.eu is off' } }, 'hold', 'x.eu is off'],
  [
    'a flag changed by hand',
    { ...full, flag: { as: 'changed', reason: 'x.eu: ann changed' } },
    'hold',
    'ann changed',
  ],
  ['a failed rule', { ...full, verdicts: [rule('fail')] }, 'abort', 'eu: logins: fail'],
  ['a quarantine', { quarantined: 'it claims too much' }, 'abort', 'is quarantined: it claims too much'],
  ['no run at all, whatever the policy asks', { verdicts: [rule('pass')] }, 'wait', '0 of 3 runs'],
])('%s', (_, seen, action, reason) => {
  test(`means ${action}`, () => {
    const { decision } = plan(baking, evidence({ eu: seen }));
    expect(decision.action).toBe(action);
    expect(decision.reason).toContain(reason);
  });
});

describe('evidence', () => {
  test('that is no run is none, even where the policy asks for no changes', () => {
    const [canary] = POLICY.waves;
    if (!canary) throw new Error('no wave');
    const lax = { ...POLICY, waves: [{ ...canary, bake: { runs: 0, changes: 0, timeMs: 0 } }] };
    expect(plan(baking, evidence(), after(600), lax).decision.action).toBe('wait');
  });

  test('from before a time in which nobody watched waits for one more run', () => {
    const state = standing({ eu: { step: 0 } }, { watchedSince: after(1_500) });
    const seen = { ...full, runs: 90, runsWatched: 0, verdicts: [rule('pass', after(1_501))] };
    const { decision } = plan(state, evidence({ eu: seen }), after(1_501));
    expect(decision).toMatchObject({ action: 'wait' });
    expect(decision.reason).toContain(
      'no worker was watching before 2026-11-24T11:00:00.000Z: waiting for one more run',
    );
    expect(plan(state, evidence({ eu: { ...seen, runsWatched: 1 } }), after(1_502)).decision.action).toBe(
      'advance',
    );
  });

  test('is not needed where an approver skipped the bake, but a failed or silent rule counts all the same', () => {
    const state = standing({ eu: { step: 0, waived: { by: 'bob', reason: 'a fix' } } });
    const with_ = (verdict: Verdict) =>
      plan(state, evidence({ eu: { verdicts: [rule(verdict)] } }), after(1)).decision.action;
    expect(with_('pass')).toBe('advance');
    expect(with_('too-few')).toBe('advance');
    expect(with_('no-data')).toBe('hold');
    expect(with_('fail')).toBe('abort');
  });
});

describe('a version that no worker serves in a region', () => {
  const unserved = 'no worker serves 1.1.0_9f3c2a1b';

  test('gets no first share there, and the rollout says why', () => {
    const { decision, parts } = plan(standing(), evidence({ eu: { served: false } }), START);
    expect(decision).toEqual({ action: 'hold', reason: `eu: ${unserved}`, earliest: null });
    expect(parts[0]).toMatchObject({ region: 'eu', state: 'held', reason: unserved });
  });

  test('gets no next step, however good the evidence, nor where its bake was skipped', () => {
    const gone = evidence({ eu: { ...full, served: false } });
    expect(plan(baking, gone).decision).toMatchObject({ action: 'hold', reason: `eu: ${unserved}` });
    const waived = { by: 'bob', reason: 'a fix' };
    const skipped = standing({ eu: { step: 0, waived } });
    expect(plan(skipped, evidence({ eu: { served: false } }), after(1)).decision.action).toBe('hold');
    expect(plan(baking, evidence({ eu: full })).decision.action).toBe('advance');
  });

  test('keeps no other region of the wave from its step', () => {
    const state = standing({ ...canaryDone }, { approved: new Set(['rest']) });
    expect(plan(state, evidence({ us: { served: false } })).decision).toMatchObject({
      action: 'advance',
      moves: [{ region: 'ap', to: 0 }],
    });
  });

  test('ends its last bake all the same: that gives nobody a share', () => {
    const state = standing({ eu: { step: 1 } });
    expect(plan(state, evidence({ eu: { ...full, served: false } })).decision).toMatchObject({
      action: 'advance',
      moves: [{ region: 'eu', to: 'done' }],
    });
  });
});

describe('a bake that was skipped', () => {
  const waived = { by: 'ann', approvedBy: 'bob', reason: 'a fix' };

  test('is named in the step that leaves it out', () => {
    const { decision } = plan(standing({ eu: { step: 0, waived } }), evidence({ eu: {} }), after(1));
    expect(decision).toMatchObject({
      action: 'advance',
      moves: [{ region: 'eu', to: 1, skips: { step: 0, ...waived } }],
      reason: 'wave canary: eu from 1% to 100% without the bake of 1%, skipped by ann, approved by bob',
    });
  });

  test('is none where it has passed by itself meanwhile', () => {
    const { decision } = plan(standing({ eu: { step: 0, waived } }), evidence({ eu: full }), after(61));
    expect(decision).toMatchObject({
      moves: [{ region: 'eu', to: 1 }],
      reason: 'wave canary: eu from 1% to 100%',
    });
  });

  const done = (skipped: Part['skipped'] = []): Partial<Part> => ({ step: 1, done: true, skipped });

  test('has not passed when the rollout is complete', () => {
    const all = { eu: done([{ step: 0, ...waived }]), us: done(), ap: done() };
    const { decision, parts } = plan(standing(all), evidence());
    expect(decision.reason).toBe(
      'rollout of 1.1.0_9f3c2a1b complete at its last steps; not every step was checked: eu: bake of 1% skipped by ann, approved by bob: a fix',
    );
    expect(parts.map(({ reason }) => reason)).toEqual([
      '100%, not every step checked: bake of 1% skipped by ann, approved by bob: a fix',
      '100%, baked',
      '100%, baked',
    ]);
  });

  test('is nowhere where none was', () => {
    const all = { eu: done(), us: done(), ap: done() };
    expect(plan(standing(all), evidence()).decision.reason).toBe(
      'rollout of 1.1.0_9f3c2a1b complete at its last steps; every bake passed',
    );
  });
});

describe('a wave', () => {
  test('waits for a second person where it needs one, and begins when they have agreed', () => {
    expect(plan(standing(canaryDone), evidence()).decision).toMatchObject({
      action: 'hold',
      reason: "wave rest waits for a second person's approval",
      approvalOf: 'rest',
    });
    const approved = standing(canaryDone, { approved: new Set(['rest']) });
    expect(plan(approved, evidence()).decision).toMatchObject({
      action: 'advance',
      moves: [
        { region: 'us', to: 0 },
        { region: 'ap', to: 0 },
      ],
    });
  });

  test('goes on in one region while the flag of another is off, and does not end', () => {
    const state = standing({ ...canaryDone, us: { step: 1, done: true }, ap: { step: 0 } });
    const off = evidence({ ap: { flag: { as: 'off', reason: 'x.ap is off' } } });
    expect(plan(state, off).decision).toMatchObject({ action: 'hold', reason: 'ap: x.ap is off' });
    const other = standing({ ...canaryDone, us: { step: 0 }, ap: { step: 0 } });
    expect(
      plan(other, evidence({ us: full, ap: { flag: { as: 'off', reason: 'x.ap is off' } } })).decision,
    ).toMatchObject({ action: 'advance', moves: [{ region: 'us', to: 1 }] });
  });

  test('that is over still stops everything when a rule fails there', () => {
    const state = standing({ ...canaryDone, us: { step: 0 }, ap: { step: 0 } });
    expect(plan(state, evidence({ eu: { verdicts: [rule('fail')] } })).decision).toMatchObject({
      action: 'abort',
      region: 'eu',
      failed: { rule: 'logins' },
    });
  });
});

describe('a window or a freeze', () => {
  const window = parseWeeklyWindow('Mon–Thu 09:00–16:00 Europe/Berlin');
  if ('fault' in window) throw new Error(window.fault);
  const freeze = { from: after(0), until: after(600), reason: 'sales day' };
  // 10:00 UTC on a Monday is within; 16:00 UTC is not.
  const evening = after(360);

  test('holds a promotion, and says until when', () => {
    const windowed = { ...POLICY, windows: [window] };
    expect(plan(baking, evidence({ eu: { ...full, verdicts: [] } }), evening, windowed).decision).toEqual({
      action: 'wait',
      reason: 'promotions only Mon–Thu 09:00–16:00 Europe/Berlin',
      earliest: new Date('2026-11-24T08:00:00Z'),
    });
    expect(
      plan(baking, evidence({ eu: full }), after(60), { ...POLICY, freezes: [freeze] }).decision,
    ).toMatchObject({
      action: 'wait',
      reason: 'frozen until 2026-11-23T20:00:00.000Z: sales day',
    });
  });

  test('never holds an abort, nor does a pause', () => {
    const closed = { ...POLICY, windows: [window], freezes: [freeze] };
    const failed = evidence({ eu: { verdicts: [rule('fail')] } });
    expect(plan(baking, failed, evening, closed).decision.action).toBe('abort');
    expect(plan({ ...baking, paused: true }, failed, evening, closed).decision.action).toBe('abort');
    expect(plan({ ...baking, paused: true }, evidence({ eu: full })).decision.action).toBe('hold');
  });
});

describe('over any evidence', () => {
  const verdicts = fc.constantFrom<Verdict>(
    'pass',
    'pass',
    'pass',
    'pass',
    'too-few',
    'no-data',
    'unreachable',
    'fail',
  );
  const seen = fc.record({
    runs: fc.integer({ min: 0, max: 6 }),
    changes: fc.integer({ min: 0, max: 100 }),
    minutes: fc.integer({ min: 1, max: 90 }),
    verdict: verdicts,
    flag: fc.constantFrom<RegionEvidence['flag']['as']>('set', 'set', 'set', 'set', 'off', 'changed'),
    approve: fc.boolean(),
    paused: fc.integer({ min: 0, max: 9 }),
  });
  type Seen = typeof seen extends fc.Arbitrary<infer T> ? T : never;

  /** Carries decisions out on a standing, as the control plane does on a database. */
  function walk(
    looks: readonly Seen[],
    onLook: (before: Standing, plan: AdvancePlan, all: RegionEvidence[], now: Date) => void,
  ): Standing {
    let state = standing();
    let minutes = 0;
    for (const look of looks) {
      minutes += look.minutes;
      const now = after(minutes);
      const flag = look.flag === 'set' ? { as: look.flag } : { as: look.flag, reason: 'by hand' };
      const of: Partial<RegionEvidence> = {
        runs: look.runs,
        changes: look.changes,
        runsWatched: look.runs,
        verdicts: [rule(look.verdict, now)],
        flag,
      };
      state = { ...state, paused: look.paused === 0, approved: new Set(look.approve ? ['rest'] : []) };
      const all = evidence({ eu: of, us: of, ap: of });
      const decided = plan(state, all, now);
      onLook(state, decided, all, now);
      const { decision } = decided;
      if (decision.action === 'abort') return state;
      if (decision.action !== 'advance') continue;
      if (decision.moves.length === 0) return state;
      state = {
        ...state,
        parts: state.parts.map((part) => {
          const move = decision.moves.find(({ region }) => region === part.region);
          if (move === undefined) return part;
          return move.to === 'done' ? { ...part, done: true } : { ...part, step: move.to, since: now };
        }),
      };
    }
    return state;
  }

  test('it never advances without full evidence, never skips a wave or step, never while a rule fails', () => {
    fc.assert(
      fc.property(fc.array(seen, { maxLength: 60 }), (looks) => {
        walk(looks, (before, { decision }, all, now) => {
          const begun = before.parts.filter(({ step }) => step >= 0).map(({ region }) => region);
          const failing = all.some(
            ({ region, verdicts: said }) =>
              begun.includes(region) && said.some(({ verdict }) => verdict === 'fail'),
          );
          if (failing) expect(decision.action).toBe('abort');
          if (decision.action !== 'advance') return;
          expect(before.paused).toBe(false);
          for (const { region, to } of decision.moves) {
            const part = before.parts.find((each) => each.region === region);
            const wave = POLICY.waves.find(({ regions }) => regions.includes(region));
            const known = all.find((each) => each.region === region);
            if (!part || !wave || !known) throw new Error(region);
            const earlier = POLICY.waves
              .slice(0, POLICY.waves.indexOf(wave))
              .flatMap(({ regions }) => regions);
            for (const other of before.parts)
              if (earlier.includes(other.region)) expect(other.done).toBe(true);
            expect(known.flag.as).toBe('set');
            expect(to).toBe(part.step + 1 < wave.stepsPermille.length ? part.step + 1 : 'done');
            if (part.step < 0) continue;
            expect(known.runs).toBeGreaterThanOrEqual(wave.bake.runs);
            expect(known.changes).toBeGreaterThanOrEqual(wave.bake.changes);
            expect(now.getTime() - (part.since?.getTime() ?? NaN)).toBeGreaterThanOrEqual(wave.bake.timeMs);
            expect(known.verdicts.map(({ verdict }) => verdict)).toEqual(['pass']);
          }
        });
      }),
      { numRuns: 500 },
    );
  });

  test('it always reaches the end on healthy evidence, however uneven the looks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 400, maxLength: 400 }),
        (minutes) => {
          let last: AdvancePlan['decision'] | undefined;
          const healthy = {
            runs: 5,
            changes: 80,
            verdict: 'pass',
            flag: 'set',
            approve: true,
            paused: 1,
          } as const;
          const state = walk(
            minutes.map((each) => ({ ...healthy, minutes: each })),
            (_, { decision }) => (last = decision),
          );
          expect(state.parts.every(({ done }) => done)).toBe(true);
          expect(last).toMatchObject({ action: 'advance', moves: [] });
        },
      ),
      { numRuns: 50 },
    );
  });
});
