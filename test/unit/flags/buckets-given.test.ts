import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bucketsOf, hasBucket } from '../../../src/kernel/bucketing.js';
import { bucketsGiven, unitsByBucket } from '../../../src/flags/admitted-units.js';
import type { FlagDefinition } from '../../../src/flags/definition.js';

const definition: FlagDefinition = {
  name: 'domain-claim.eu-west-1',
  job: 'domain-claim',
  region: 'eu-west-1',
  enabled: true,
  variants: [
    { version: '2.0.0', permille: 20 },
    { version: '1.0.0', permille: 900 },
  ],
  revision: 1,
};

test('the buckets that a version is given are those of its units', () => {
  expect(bucketsGiven(definition, '2.0.0')).toEqual([[0, 20]]);
  expect(bucketsGiven(definition, '1.0.0')).toEqual([[20, 920]]);
  expect(bucketsGiven(definition, '3.0.0')).toEqual([]);
  const bucketOf = bucketsOf(definition.name);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.uuid(), { maxLength: 60 }),
      fc.constantFrom('1.0.0', '2.0.0'),
      (units, version) => {
        const admitted = unitsByBucket(definition, version, units);
        const given = bucketsGiven(definition, version) ?? [];
        expect([...admitted]).toEqual(units.filter((unit) => hasBucket(given, bucketOf(unit))));
      },
    ),
    { seed: 20261123, numRuns: 100 },
  );
});

test('are not told where units are bucketed under another name, or one by one', () => {
  expect(bucketsGiven({ ...definition, bucketing: { group: 'another' } }, '2.0.0')).toBeUndefined();
  expect(bucketsGiven({ ...definition, bucketing: 'evaluate' }, '2.0.0')).toBeUndefined();
});
