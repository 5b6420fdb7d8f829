import { afterAll, describe, expect, test } from '@jest/globals';
import { OpenFeature } from '@openfeature/server-sdk';
import fc from 'fast-check';
import { AdmissionBook, inForce, withinLimit } from '../../../src/flags/admission.js';
import { unitsByBucket } from '../../../src/flags/admitted-units.js';
import { type FlagDefinition, narrowed } from '../../../src/flags/definition.js';
import { openedProvider } from '../../support/flag-sources.js';
import type { Variant } from '../../../src/flags/variant.js';

const NEW = '1.1.0_22222222';
const OLD = '1.0.0_11111111';
const JOB = { job: 'claims', region: 'eu' };
const FLAG = 'claims.eu';
const UNITS = Array.from({ length: 2_000 }, (_, n) => `org-${n}`);

afterAll(() => OpenFeature.close());

function book(permille: Readonly<Record<string, number>>, revision = 1): AdmissionBook {
  return new AdmissionBook(
    Object.entries(permille).map(([version, each]) => ({ ...JOB, version, permille: each, revision })),
  );
}

function flag(...variants: readonly Variant[]): FlagDefinition {
  return { name: FLAG, ...JOB, enabled: true, variants, revision: 5 };
}

const given = (permille: Readonly<Record<string, number>>, ...variants: Variant[]): FlagDefinition =>
  inForce(flag(...variants), book(permille).of('claims', 'eu'));

describe('what of a flag is in force', () => {
  test('a version that nothing has admitted has no unit, and the others keep their buckets', () => {
    const shares = [
      { version: NEW, permille: 500 },
      { version: OLD, permille: 500 },
    ];
    const held = given({ [OLD]: 1000 }, ...shares);
    expect(unitsByBucket(held, NEW, UNITS).size).toBe(0);
    expect(unitsByBucket(held, OLD, UNITS)).toEqual(unitsByBucket(flag(...shares), OLD, UNITS));
    expect(held.admission?.beyond).toEqual([{ version: NEW, asked: 500, admitted: 0 }]);
  });

  test('a share beyond the admission is held down to it', () => {
    const held = given(
      { [NEW]: 100, [OLD]: 1000 },
      { version: NEW, permille: 500 },
      { version: OLD, permille: 500 },
    );
    expect(unitsByBucket(held, NEW, UNITS)).toEqual(
      unitsByBucket(flag({ version: NEW, permille: 100 }), NEW, UNITS),
    );
  });

  test('a flag within its admissions is as it was', () => {
    const shares = [
      { version: NEW, permille: 100 },
      { version: OLD, permille: 900 },
    ];
    expect(given({ [NEW]: 100, [OLD]: 1000 }, ...shares).variants).toEqual(shares);
  });

  const version = fc.constantFrom(NEW, OLD, '0.9.0_00000000');
  const sharesOf = fc.uniqueArray(fc.record({ version, permille: fc.integer({ min: 1, max: 333 }) }), {
    selector: (each) => each.version,
  });
  const admissions = fc.dictionary(version, fc.integer({ min: 0, max: 1000 }));

  test('no version has more than its admission, nor more than its share, nor a unit of another', () => {
    fc.assert(
      fc.property(sharesOf, admissions, (shares, permille) => {
        const held = given(permille, ...shares);
        for (const { version: name, permille: asked } of shares) {
          const has = held.variants.find((each) => each.version === name)?.permille ?? 0;
          expect(has).toBe(Math.min(asked, permille[name] ?? 0));
          const before = unitsByBucket(flag(...shares), name, UNITS);
          expect([...unitsByBucket(held, name, UNITS)].filter((unit) => !before.has(unit))).toEqual([]);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a growing admission drops no unit, and a shrinking one fences its version', () => {
    fc.assert(
      fc.property(sharesOf, admissions, admissions, (shares, one, other) => {
        const [before, after] = [given(one, ...shares), given(other, ...shares)];
        const losers = narrowed(before.variants, after.variants);
        for (const { version: name, permille: asked } of shares) {
          const [had, has] = [Math.min(asked, one[name] ?? 0), Math.min(asked, other[name] ?? 0)];
          expect(losers.includes(name)).toBe(has < had);
        }
      }),
    );
  });
});

describe('where strategies decide, the admission limits the units', () => {
  const evaluated = (permille: number): FlagDefinition =>
    inForce(
      { ...flag({ version: NEW, permille: 1000, rule: 'r' }), bucketing: 'evaluate' },
      book({ [NEW]: permille }).of('claims', 'eu'),
    );

  test('a few units that a constraint names are all in, where they are no more than are admitted', () => {
    const named = ['org-7', 'org-8', 'org-9'];
    expect(withinLimit(evaluated(100), NEW, named, UNITS.length)).toEqual(new Set(named));
  });

  test('of all units, the admitted share is in, and a growing admission keeps them', () => {
    const some = withinLimit(evaluated(100), NEW, UNITS, UNITS.length);
    const more = withinLimit(evaluated(200), NEW, UNITS, UNITS.length);
    expect(some.size / UNITS.length).toBeCloseTo(0.1, 1);
    for (const unit of some) expect(more.has(unit)).toBe(true);
    expect(withinLimit(evaluated(0), NEW, UNITS, UNITS.length).size).toBe(0);
  });

  test('another admission is another rule: the version is fenced', () => {
    expect(narrowed(evaluated(500).variants, evaluated(100).variants)).toEqual([NEW]);
  });
});

describe('a provider', () => {
  test('answers what is in force, for many units and for one', async () => {
    const { source, provider, client } = await openedProvider();
    source.admissions = book({ [NEW]: 100, [OLD]: 1000 });
    source.say('claims', 'eu', true, [
      { version: NEW, permille: 500 },
      { version: OLD, permille: 500 },
    ]);
    const answer = provider.look(FLAG);
    if (!answer.open) throw new Error(answer.reason);
    for (const version of [NEW, OLD]) {
      const many = provider.admit(answer.definition, version, UNITS);
      for (const unit of UNITS.slice(0, 200)) {
        const one = await client.getStringValue(FLAG, 'hold', { targetingKey: unit });
        expect(one === version).toBe(many.has(unit));
      }
    }
  });

  test('closes a flag whose versions are not admitted, with the reason in plain words', async () => {
    const { source, provider } = await openedProvider();
    source.admissions = book({ [NEW]: 0 });
    source.say('claims', 'eu', true, [{ version: NEW, permille: 500 }]);
    expect(provider.look(FLAG)).toMatchObject({
      open: false,
      code: 'version-not-admitted',
      reason: `${FLAG} is on, but ${NEW} is admitted to 0%, the flag asks for 50%`,
    });
  });
});
