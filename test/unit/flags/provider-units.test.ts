import { once } from 'node:events';
import { afterAll, describe, expect, test } from '@jest/globals';
import { OpenFeature } from '@openfeature/server-sdk';
import fc from 'fast-check';
import { Unleash } from 'unleash-client';
import { narrowed } from '../../../src/flags/definition.js';
import type { Feature, Segment } from '../../../src/flags/flag-repository.js';
import { openedProvider } from '../../support/flag-sources.js';
import { anyCharacter } from '../../support/any-character.js';
import type { Variant } from '../../../src/flags/variant.js';

const FLAG = 'domain-claim.eu-west-1';
/** unleash-client by itself, with no line of ours in between. */
async function unleashAlone(features: Feature[]): Promise<Unleash> {
  const alone = new Unleash({
    appName: 'alone',
    url: 'http://unleash.invalid/',
    bootstrap: { data: features },
    storageProvider: { get: () => Promise.resolve(undefined), set: () => Promise.resolve() },
    refreshInterval: 0,
    disableMetrics: true,
    skipInstanceCountWarning: true,
    disableAutoStart: true,
  });
  await Promise.all([once(alone, 'ready'), alone.start()]);
  return alone;
}

afterAll(() => OpenFeature.close());

const units = fc.array(
  fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: anyCharacter }), fc.uuid()),
  {
    minLength: 1,
    maxLength: 40,
  },
);
const weights = fc
  .array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 4 })
  .map((shares): Variant[] => {
    let left = 1000;
    return shares.flatMap((share, at) => {
      const permille = Math.min(share, left);
      left -= permille;
      return permille > 0 ? [{ version: `${at + 1}.0.0_abcdef`, permille }] : [];
    });
  });

describe('one by one and in bulk', () => {
  test('the answers are the same, and unleash-client’s own, for any shares and any units', async () => {
    const { source, provider, client } = await openedProvider();
    await fc.assert(
      fc.asyncProperty(weights, units, async (variants, names) => {
        const definition = source.say('domain-claim', 'eu-west-1', true, variants);
        const given = variants.reduce((sum, { permille }) => sum + permille, 0);
        const alone = await unleashAlone([
          {
            name: FLAG,
            enabled: true,
            strategies: [{ name: 'default', parameters: {}, constraints: [] }],
            variants: [
              ...variants.map(({ version, permille }) => ({ name: version, weight: permille })),
              { name: 'hold', weight: 1000 - given },
            ],
          },
        ]);
        const bulk = variants.map(
          ({ version }) => [version, provider.admit(definition, version, names)] as const,
        );
        const asked: unknown[] = [];
        for (const unit of names) {
          const value = await client.getStringValue(FLAG, 'hold', { targetingKey: unit });
          const admittedBy = bulk.filter(([, admitted]) => admitted.has(unit)).map(([version]) => version);
          asked.push({ unit, value, admittedBy });
        }
        const versions = variants.map(({ version }) => version);
        expect(asked).toEqual(
          names.map((unit) => {
            const value = unit === '' ? 'hold' : alone.getVariant(FLAG, { userId: unit }).name;
            return { unit, value, admittedBy: versions.filter((version) => version === value) };
          }),
        );
        alone.destroy();
      }),
      { numRuns: 200 },
    );
  });

  test('a share that grows keeps every unit it had, first or last, by any step', async () => {
    const { source, provider } = await openedProvider();
    fc.assert(
      fc.property(
        weights,
        fc.integer({ min: 1, max: 999 }),
        fc.boolean(),
        units,
        (before, more, first, names) => {
          const at = first ? 0 : before.length - 1;
          const chosen = before[at];
          fc.pre(chosen !== undefined);
          const others = before.filter((_, index) => index !== at);
          const rest = others.reduce((sum, { permille }) => sum + permille, 0);
          const grown = { ...chosen, permille: Math.min(chosen.permille + more, 1000 - (first ? 0 : rest)) };
          const after = first ? trimmed([grown, ...others]) : [...others, grown];
          const had = provider.admit(
            source.say('domain-claim', 'eu-west-1', true, before),
            chosen.version,
            names,
          );
          const has = provider.admit(
            source.say('domain-claim', 'eu-west-1', true, after),
            chosen.version,
            names,
          );
          for (const unit of had) expect(has.has(unit)).toBe(true);
          if (!first) expect(narrowed(before, after)).toEqual([]);
        },
      ),
    );
  });

  test('a flag that is off admits nobody, and neither does a version without a share', async () => {
    const { source, provider } = await openedProvider();
    const off = source.say('domain-claim', 'eu-west-1', false, [{ version: '1.0.0', permille: 1000 }]);
    expect(provider.admit(off, '1.0.0', ['a', 'b']).size).toBe(0);
    const on = source.say('domain-claim', 'eu-west-1', true, [{ version: '1.0.0', permille: 1000 }]);
    expect([...provider.admit(on, '1.0.0', ['a', 'b', 'a', ''])]).toEqual(['a', 'b']);
    expect(provider.admit(on, '2.0.0', ['a', 'b']).size).toBe(0);
  });
});

function trimmed(variants: readonly Variant[]): Variant[] {
  let left = 1000;
  return variants.flatMap((variant) => {
    const permille = Math.min(variant.permille, left);
    left -= permille;
    return permille > 0 ? [{ ...variant, permille }] : [];
  });
}

describe('flags of an Unleash server', () => {
  const segment: Segment = {
    id: 7,
    constraints: [
      { contextName: 'userId', operator: 'STR_STARTS_WITH', inverted: false, values: ['org-1'] } as never,
    ],
  };
  const half = [
    { name: '2.0.0', weight: 500 },
    { name: 'hold', weight: 500 },
  ];
  const rollout = (parameters: object, more: object = {}) => ({
    name: 'flexibleRollout',
    parameters: { rollout: '100', stickiness: 'default', groupId: FLAG, ...parameters },
    constraints: [],
    ...more,
  });
  const flags: [string, Partial<Feature>, 'plain' | 'group' | 'evaluate'][] = [
    ['plain variants', { strategies: [], variants: half }, 'plain'],
    ['a full rollout', { strategies: [rollout({})], variants: half }, 'plain'],
    ['half a rollout', { strategies: [rollout({ rollout: '50' })], variants: half }, 'evaluate'],
    [
      'a second strategy that never counts',
      { strategies: [rollout({}), rollout({ rollout: '5' })], variants: half },
      'plain',
    ],
    ['variants of the strategy', { strategies: [rollout({}, { variants: half })] }, 'plain'],
    ['another group', { strategies: [rollout({ groupId: 'shared' }, { variants: half })] }, 'group'],
    [
      'strategy variants over others',
      { strategies: [rollout({}, { variants: half })], variants: [{ name: 'x', weight: 1000 }] },
      'plain',
    ],
    [
      'users by name',
      {
        strategies: [{ name: 'userWithId', parameters: { userIds: 'org-1,org-2' }, constraints: [] }],
        variants: half,
      },
      'evaluate',
    ],
    [
      'a constraint',
      { strategies: [rollout({}, { constraints: segment.constraints })], variants: half },
      'evaluate',
    ],
    [
      'a constraint on the region',
      {
        strategies: [
          rollout(
            {},
            {
              constraints: [
                { contextName: 'region', operator: 'IN', inverted: false, values: ['eu-west-1'] },
              ],
            },
          ),
        ],
        variants: half,
      },
      'evaluate',
    ],
    ['a segment', { strategies: [rollout({}, { segments: [7] })], variants: half }, 'evaluate'],
    [
      'an override',
      {
        strategies: [],
        variants: [
          { name: '2.0.0', weight: 1, overrides: [{ contextName: 'userId', values: ['org-9'] }] },
          { name: 'hold', weight: 999 },
        ],
      },
      'evaluate',
    ],
    [
      'weights of another whole',
      {
        strategies: [],
        variants: [
          { name: '2.0.0', weight: 1 },
          { name: 'hold', weight: 2 },
        ],
      },
      'evaluate',
    ],
    [
      'hold in front',
      {
        strategies: [],
        variants: [
          { name: 'hold', weight: 500 },
          { name: '2.0.0', weight: 500 },
        ],
      },
      'plain',
    ],
    [
      'a parent that is on',
      { strategies: [], variants: half, dependencies: [{ feature: 'parent' }] },
      'evaluate',
    ],
    [
      'stickiness to the unit',
      { strategies: [], variants: half.map((each) => ({ ...each, stickiness: 'userId' })) },
      'plain',
    ],
  ];
  const names = Array.from({ length: 300 }, (_, at) => `org-${at}`);

  test.each(flags)(
    'with %s give what unleash-client gives, in bulk and one by one',
    async (_, given, form) => {
      const { source, provider, client } = await openedProvider();
      const parent: Feature = { name: 'parent', enabled: true, strategies: [] };
      const feature: Feature = { name: FLAG, enabled: true, ...given };
      source.sayFeatures([feature, parent], [segment]);
      const answer = provider.look(FLAG);
      if (!answer.open) throw new Error(answer.reason);
      const { bucketing } = answer.definition;
      expect(bucketing === undefined ? 'plain' : typeof bucketing === 'object' ? 'group' : bucketing).toBe(
        form,
      );
      const alone = await unleashAlone([feature, parent]);
      // Segments come with no bootstrap of features alone.
      (alone as unknown as { repository: { segments: Map<number, Segment> } }).repository.segments.set(
        7,
        segment,
      );
      const bulk = provider.admit(answer.definition, '2.0.0', names);
      for (const unit of names) {
        const own = alone.getVariant(FLAG, { userId: unit, region: 'eu-west-1' });
        const expected = own.enabled ? own.name : 'hold';
        expect(await client.getStringValue(FLAG, 'hold', { targetingKey: unit })).toBe(expected);
        expect(bulk.has(unit)).toBe(expected === '2.0.0');
      }
      expect(bulk.size).toBeGreaterThan(0);
      expect(bulk.size).toBeLessThan(300);
      alone.destroy();
    },
  );

  test('that stick to a field hold units whose context lacks it, instead of rolling dice', async () => {
    const { source, provider, client } = await openedProvider();
    const sticky = [{ name: '2.0.0', weight: 1000, stickiness: 'sessionId' }];
    source.sayFeatures([{ name: FLAG, enabled: true, strategies: [], variants: sticky }]);
    const answer = provider.look(FLAG);
    expect(answer.open && provider.admit(answer.definition, '2.0.0', names).size).toBe(0);
    const lacking = await client.getStringDetails(FLAG, 'hold', { targetingKey: 'org-1' });
    expect(lacking).toMatchObject({ value: 'hold', errorCode: 'INVALID_CONTEXT' });
    expect(await client.getStringValue(FLAG, 'hold', { targetingKey: 'org-1', sessionId: 's' })).toBe(
      '2.0.0',
    );
  });

  test.each<[string, unknown]>([
    ['strategies that are no list', { strategies: 'default', variants: half }],
    ['a weight that is text', { strategies: [], variants: [{ name: '2.0.0', weight: '1000' }] }],
    ['an unclear switch', { enabled: 'yes', strategies: [] }],
    [
      'random stickiness',
      { strategies: [], variants: [{ name: '2.0.0', weight: 1000, stickiness: 'random' }] },
    ],
    [
      'a random strategy',
      { strategies: [{ name: 'gradualRolloutRandom', parameters: {}, constraints: [] }], variants: half },
    ],
  ])('with %s are malformed and closed', async (_, given) => {
    const { source, provider } = await openedProvider();
    source.sayFeatures([{ name: FLAG, enabled: true, ...(given as object) }]);
    expect(provider.look(FLAG)).toMatchObject({ open: false, code: 'flag-malformed' });
  });

  test('fence whoever was let in when a rule changes, even where no share did', async () => {
    const { source, provider } = await openedProvider();
    const variantsOf = (parameters: object): readonly Variant[] => {
      source.sayFeatures([{ name: FLAG, enabled: true, strategies: [rollout(parameters)], variants: half }]);
      const answer = provider.look(FLAG);
      return answer.open ? answer.definition.variants : [];
    };
    const before = variantsOf({ rollout: '50' });
    expect(narrowed(before, variantsOf({ rollout: '50' }))).toEqual([]);
    expect(narrowed(before, variantsOf({ rollout: '40' }))).not.toEqual([]);
    expect(narrowed(before, variantsOf({ rollout: '100' }))).not.toEqual([]);
  });
});
