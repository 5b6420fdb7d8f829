import { afterAll, describe, expect, test } from '@jest/globals';
import { OpenFeature, ProviderEvents } from '@openfeature/server-sdk';
import { PortcullisProvider } from '../../../src/flags/provider.js';
import { ToldSource, openedProvider } from '../../support/flag-sources.js';
import type { Variant } from '../../../src/flags/variant.js';

const FLAG = 'domain-claim.eu-west-1';

afterAll(() => OpenFeature.close());

describe('what closes a flag', () => {
  const open: readonly Variant[] = [{ version: '1.0.0', permille: 1000 }];

  test('never heard of: unreachable', async () => {
    const { provider, client } = await openedProvider();
    expect(provider.look(FLAG)).toEqual({
      open: false,
      code: 'flag-unreachable',
      reason: 'no flags received yet',
    });
    expect(await client.getStringDetails(FLAG, 'hold', { targetingKey: 'org-1' })).toMatchObject({
      value: 'hold',
      reason: 'ERROR',
      errorCode: 'GENERAL',
      flagMetadata: { code: 'flag-unreachable' },
    });
  });

  test('age: open up to maxAge, closed beyond it, open again when heard', async () => {
    const { source, provider } = await openedProvider(60_000);
    source.say('domain-claim', 'eu-west-1', true, open);
    source.nowMs = 60_000;
    expect(provider.look(FLAG)).toMatchObject({ open: true, ageMs: 60_000 });
    source.nowMs = 60_001;
    expect(provider.look(FLAG)).toMatchObject({ open: false, code: 'flag-stale', ageMs: 60_001 });
    source.sayUnchanged();
    expect(provider.look(FLAG)).toMatchObject({ open: true, ageMs: 0 });
  });

  test('a source that is away closes nothing before the flag is too old, and is named then', async () => {
    const { source, provider } = await openedProvider(60_000);
    source.say('domain-claim', 'eu-west-1', true, open);
    source.fail({ code: 'flag-unreachable', reason: 'connection refused' });
    expect(provider.look(FLAG).open).toBe(true);
    source.nowMs = 61_000;
    expect(provider.look(FLAG)).toMatchObject({
      code: 'flag-stale',
      reason: 'last heard 1 min 1 s ago, over the limit of 1 min; connection refused',
    });
  });

  test.each(['flag-unauthorised', 'flag-malformed'] as const)(
    '%s: at once, until the source is heard',
    async (code) => {
      const { source, provider } = await openedProvider();
      source.say('domain-claim', 'eu-west-1', true, open);
      source.fail({ code, reason: 'why' });
      expect(provider.look(FLAG)).toMatchObject({ open: false, code, reason: 'why' });
      source.sayUnchanged();
      expect(provider.look(FLAG).open).toBe(true);
    },
  );

  test('maxAge is the job’s own where it is given by job', () => {
    const source = new ToldSource();
    const provider = new PortcullisProvider(source, { maxAgeMs: (job) => (job === 'quick' ? 5 : 500) });
    source.say('quick', 'eu', true, open);
    source.nowMs = 6;
    expect(provider.look('quick.eu')).toMatchObject({ code: 'flag-stale' });
    expect(provider.look('slow.eu')).toMatchObject({ code: 'flag-unknown' });
  });

  test.each([
    [
      'off',
      false,
      open,
      { value: 'hold', reason: 'DISABLED', flagMetadata: { code: 'flag-off', revision: 1 } },
    ],
    [
      'held',
      true,
      [],
      { value: 'hold', reason: 'DISABLED', flagMetadata: { code: 'flag-held', revision: 1 } },
    ],
  ] as const)('%s', async (_, enabled, variants, details) => {
    const { source, client } = await openedProvider();
    source.say('domain-claim', 'eu-west-1', enabled, variants);
    const answer = await client.getStringDetails(FLAG, 'hold', { targetingKey: 'org-1' });
    expect(answer).toMatchObject(details);
    expect(answer.errorCode).toBeUndefined();
  });

  test.each(['domain-claim.mars-1', 'nonsense', '__proto__', 'constructor.prototype'])(
    'unknown: %s',
    async (name) => {
      const { source, provider, client } = await openedProvider();
      source.say('domain-claim', 'eu-west-1', true, open);
      expect(provider.look(name)).toMatchObject({ open: false, code: 'flag-unknown' });
      expect(await client.getStringDetails(name, 'hold', { targetingKey: 'org-1' })).toMatchObject({
        value: 'hold',
        errorCode: 'FLAG_NOT_FOUND',
      });
    },
  );

  test('no unit: held, with the reason', async () => {
    const { source, client } = await openedProvider();
    source.say('domain-claim', 'eu-west-1', true, open);
    for (const context of [{}, { targetingKey: '' }, { userId: 'org-1' }]) {
      expect(await client.getStringDetails(FLAG, 'hold', context)).toMatchObject({
        value: 'hold',
        errorCode: 'TARGETING_KEY_MISSING',
      });
    }
  });

  test('a careless default opens nothing', async () => {
    const { source, client } = await openedProvider();
    source.say('domain-claim', 'eu-west-1', true, open);
    source.fail({ code: 'flag-unauthorised', reason: 'responded 401' });
    expect(await client.getStringDetails(FLAG, '1.0.0', { targetingKey: 'org-1' })).toMatchObject({
      value: 'hold',
      flagMetadata: { code: 'flag-unauthorised' },
    });
  });

  test('another type than text is refused', async () => {
    const { source, client } = await openedProvider();
    source.say('domain-claim', 'eu-west-1', true, open);
    expect(await client.getBooleanDetails(FLAG, false, { targetingKey: 'org-1' })).toMatchObject({
      value: false,
      errorCode: 'TYPE_MISMATCH',
    });
    expect(await client.getNumberDetails(FLAG, 0)).toMatchObject({ value: 0, errorCode: 'TYPE_MISMATCH' });
    expect(await client.getObjectDetails(FLAG, {})).toMatchObject({ value: {}, errorCode: 'TYPE_MISMATCH' });
  });
});

test('an open flag tells its revision and age', async () => {
  const { source, client } = await openedProvider();
  source.say('domain-claim', 'eu-west-1', true, [{ version: '1.0.0', permille: 1000 }]);
  source.nowMs = 40;
  expect(await client.getStringDetails(FLAG, 'hold', { targetingKey: 'org-1' })).toMatchObject({
    value: '1.0.0',
    variant: '1.0.0',
    reason: 'SPLIT',
    flagMetadata: { code: 'flag-open', revision: 1, ageMs: 40 },
  });
});

test('OpenFeature hears of changes, of trouble, and of its end', async () => {
  const { source, client } = await openedProvider();
  const heard: string[] = [];
  for (const event of [
    ProviderEvents.ConfigurationChanged,
    ProviderEvents.Stale,
    ProviderEvents.Ready,
  ] as const) {
    client.addHandler(event, () => void heard.push(event));
  }
  heard.length = 0;
  source.say('domain-claim', 'eu-west-1', false, []);
  source.sayUnchanged();
  source.fail({ code: 'flag-unreachable', reason: 'gone' });
  source.fail({ code: 'flag-unreachable', reason: 'still gone' });
  source.sayUnchanged();
  expect(heard).toEqual([ProviderEvents.ConfigurationChanged, ProviderEvents.Stale, ProviderEvents.Ready]);
});
