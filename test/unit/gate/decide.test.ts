import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FlagAnswer } from '../../../src/flags/definition.js';
import { decideAdmission, decideMove, type Gate } from '../../../src/gate/decide.js';
import type { Variant } from '../../../src/flags/variant.js';

const OLD: Variant = { version: '1.0.0_aaaaaaaa', permille: 500 };

function gate(changes: Partial<Gate> = {}): Gate {
  return {
    job: 'domain-claim',
    region: 'eu-west-1',
    state: 'open',
    epoch: 7,
    versionEpochs: {},
    versionAdmissions: {},
    databaseConfirmed: true,
    permitUntil: new Date('2026-01-01T00:00:30Z'),
    permitMs: 20_000,
    flagRevision: 40,
    admissionRevision: 0,
    variants: [OLD],
    reasonCode: 'flag-open',
    reason: 'the flag is on and fresh',
    quarantined: {},
    ...changes,
  };
}

function open(revision: number, ...variants: Variant[]): FlagAnswer {
  const definition = {
    name: 'domain-claim.eu-west-1',
    job: 'domain-claim',
    region: 'eu-west-1',
    enabled: true,
    variants,
    revision,
  };
  return { open: true, definition, ageMs: 10 };
}

function closed(code: Extract<FlagAnswer, { open: false }>['code'], revision?: number): FlagAnswer {
  return { open: false, code, reason: `because ${code}`, ...(revision !== undefined && { revision }) };
}

describe('what news of a flag does to a gate', () => {
  test('the same share renews the permit', () => {
    expect(decideMove(gate(), open(40, OLD))).toEqual({ to: 'renew' });
  });

  test('a greater share renews it: nothing that was allowed is taken back', () => {
    expect(decideMove(gate(), open(41, { ...OLD, permille: 800 }))).toEqual({ to: 'renew' });
  });

  test('a smaller share narrows it, for the version that loses units', () => {
    expect(decideMove(gate(), open(41, { ...OLD, permille: 499 }))).toEqual({
      to: 'narrow',
      versions: [OLD.version],
    });
  });

  test('a candidate that grows at the cost of the version before it narrows that one alone', () => {
    const candidate = { version: '2.0.0_bbbbbbbb', permille: 100 };
    const before = gate({ variants: [candidate, { ...OLD, permille: 900 }] });
    const grown = open(41, { ...candidate, permille: 200 }, { ...OLD, permille: 800 });
    expect(decideMove(before, grown)).toEqual({ to: 'narrow', versions: [OLD.version] });
  });

  test('another version in the same place narrows it', () => {
    expect(decideMove(gate(), open(41, { version: '2.0.0_bbbbbbbb', permille: 500 }))).toEqual({
      to: 'narrow',
      versions: [OLD.version],
    });
  });

  test.each(['flag-off', 'flag-held', 'flag-unknown', 'flag-malformed'] as const)('%s closes it', (code) => {
    expect(decideMove(gate(), closed(code, 41))).toEqual({ to: 'hold', code, reason: `because ${code}` });
  });

  test.each(['flag-stale', 'flag-unreachable', 'flag-unauthorised'] as const)(
    '%s is silence: it neither closes the gate for others nor renews it',
    (code) => {
      expect(decideMove(gate(), closed(code))).toMatchObject({ to: 'leave', code });
    },
  );

  test('older news than the gate has seen moves nothing, whichever way it points', () => {
    expect(decideMove(gate({ state: 'held', variants: [] }), open(39, OLD))).toMatchObject({
      to: 'leave',
      code: 'flag-outdated',
    });
    expect(decideMove(gate(), closed('flag-off', 39))).toMatchObject({ to: 'leave', code: 'flag-outdated' });
  });

  test('news of a source that does not number its changes is taken as it comes', () => {
    expect(decideMove(gate(), closed('flag-off', 0))).toMatchObject({ to: 'hold' });
  });

  test('on a database that nobody has confirmed the gate is held, whatever the flag says', () => {
    const standing = gate({ databaseConfirmed: false });
    for (const answer of [open(41, OLD), open(39, OLD), closed('flag-off', 41), closed('flag-stale')]) {
      expect(decideMove(standing, answer)).toMatchObject({ to: 'hold', code: 'database-unconfirmed' });
    }
  });

  test('no flag moves a killed gate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.boolean(), (revision, on) => {
        const answer = on ? open(revision, OLD) : closed('flag-off', revision);
        for (const databaseConfirmed of [true, false]) {
          const killed = gate({ state: 'killed', reason: 'by hand', databaseConfirmed });
          expect(decideMove(killed, answer)).toMatchObject({ to: 'leave', code: 'gate-killed' });
        }
      }),
    );
  });
});

describe('whether a version may begin a run', () => {
  test('yes, when the gate stands as this answer left it', () => {
    expect(decideAdmission(gate(), open(40, OLD), OLD.version)).toEqual({
      admitted: true,
      epoch: 7,
      versionEpoch: 0,
      flagRevision: 40,
    });
    const narrowed = gate({ versionEpochs: { [OLD.version]: 3, another: 9 } });
    expect(decideAdmission(narrowed, open(40, OLD), OLD.version)).toMatchObject({ versionEpoch: 3 });
  });

  test.each([
    [
      'the gate is killed',
      gate({ state: 'killed', reason: 'by hand' }),
      open(40, OLD),
      'gate-killed',
      'killed: by hand',
    ],
    [
      'nobody has confirmed the database',
      gate({ databaseConfirmed: false }),
      open(40, OLD),
      'database-unconfirmed',
      expect.stringContaining('portcullis database confirm'),
    ],
    ['the flag is off', gate(), closed('flag-off', 40), 'flag-off', 'because flag-off'],
    [
      'the gate is held',
      gate({ state: 'held', reasonCode: 'flag-off', reason: 'off' }),
      open(40, OLD),
      'flag-off',
      'off',
    ],
    [
      'the permit expired',
      gate({ permitMs: 0 }),
      open(40, OLD),
      'permit-lapsed',
      'permit expired at 2026-01-01T00:00:30.000Z',
    ],
    [
      'the version is quarantined',
      gate({ quarantined: { [OLD.version]: 'it took too much' } }),
      open(40, OLD),
      'version-quarantined',
      '1.0.0_aaaaaaaa is quarantined: it took too much',
    ],
    [
      'the gate has newer news',
      gate({ flagRevision: 41 }),
      open(40, OLD),
      'flag-outdated',
      'the gate has seen flag revision 41, this process has 40',
    ],
  ] as const)('no, when %s', (_, standing, answer, code, reason) => {
    expect(decideAdmission(standing, answer, OLD.version)).toEqual({ admitted: false, code, reason });
  });

  test('no, when another version has all there is; the shares are named', () => {
    expect(decideAdmission(gate(), open(40, { ...OLD, permille: 5 }), '3.0.0_cccccccc')).toEqual({
      admitted: false,
      code: 'version-not-admitted',
      reason: '3.0.0_cccccccc is not admitted in eu-west-1',
    });
  });

  test('never behind a gate that is not open and permitted, whatever the flag says', () => {
    const states = fc.constantFrom('open', 'held', 'killed' as const);
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.constantFrom(0, 1_000),
        (state, seen, has, permitMs) => {
          const admission = decideAdmission(
            gate({ state, flagRevision: seen, permitMs }),
            open(has, OLD),
            OLD.version,
          );
          expect(admission.admitted).toBe(state === 'open' && seen === has && permitMs > 0);
        },
      ),
    );
  });
});
