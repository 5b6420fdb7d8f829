import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AdmissionReader } from '../../src/flags/admission-reader.js';
import { featureOf } from '../../src/flags/flag-row.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import { UnleashSource } from '../../src/flags/unleash-source.js';
import { admitVersions } from '../support/admissions.js';
import { breakGlassElsewhere } from '../support/break-glass-elsewhere.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { UnleashServer } from '../support/unleash-server.js';

/** A server that speaks Unleash's client API, and admissions of the control database. The real one: test/real. */

const database = await testDatabase();
const JOB = 'claims';
const VERSION = '1.0.0_00000000';
const server = new UnleashServer();
const features = new Map<string, unknown>();
let source: UnleashSource;
let provider: PortcullisProvider;

function say(feature: { readonly name: string }): void {
  features.set(feature.name, feature);
  server.say([...features.values()]);
}

beforeAll(async () => {
  await server.open();
  source = new UnleashSource({
    admissions: new AdmissionReader(database.owner),
    url: server.url,
    token: () => server.token,
    pollMs: 50,
    retryMs: 50,
  });
  provider = new PortcullisProvider(source, { maxAgeMs: 30_000 });
  await provider.initialize();
});

afterAll(async () => {
  await provider.onClose();
  await server.close();
});

const all = { version: VERSION, permille: 1000 };
const constrained = (name: string) => ({
  ...{ name, enabled: true, type: 'operational', project: 'default', impressionData: false, variants: [] },
  strategies: [
    {
      name: 'flexibleRollout',
      parameters: { rollout: '100', groupId: name, stickiness: 'default' },
      constraints: [{ contextName: 'region', operator: 'NOT_IN', inverted: false, values: ['nowhere'] }],
      variants: [{ name: VERSION, weight: 1000, weightType: 'variable', stickiness: 'default' }],
    },
  ],
});

test.each([
  ['weights', (name: string) => featureOf(name, true, [all])],
  ['strategies and constraints', constrained],
])('break-glass works where %s of an Unleash server decide', async (how, feature) => {
  const region = `by-${how.split(' ')[0] ?? ''}`;
  await breakGlassElsewhere({
    ...{ database, job: JOB, region, version: VERSION, provider },
    raise: () => {
      say(feature(`${JOB}.${region}`));
      return Promise.resolve();
    },
  });
});

describe('a flag that is turned up on an Unleash server', () => {
  const UNITS = Array.from({ length: 1_000 }, (_, each) => `org-${each}`);
  const acting = (name: string): readonly string[] => {
    const answer = provider.look(name);
    return answer.open ? [...provider.admit(answer.definition, VERSION, UNITS)] : [];
  };

  test.each([
    ['in its UI', (name: string) => featureOf(name, true, [all])],
    ['by an import that replaces the flag by one with rules', constrained],
    [
      'by an import of what a server before had',
      (name: string) => ({ ...featureOf(name, true, [all]), stale: true }),
    ],
  ])('%s gives a version no unit beyond its admission, and one that is new nothing', async (how, feature) => {
    const region = `up-${how.length}`;
    const name = `${JOB}.${region}`;
    await admitVersions(database.owner, { job: JOB, region }, [VERSION], 100);
    say(featureOf(name, true, [{ version: VERSION, permille: 100 }]));
    await until('it is open', () => acting(name).length > 0);
    const tenth = acting(name);
    say(feature(name));
    const { revision } = server;
    await until('that is heard of', () => {
      const answer = provider.look(name);
      return answer.open && answer.definition.revision === revision;
    });
    const now = acting(name);
    expect(now.length).toBeLessThan(150);
    expect(now.length).toBeGreaterThan(50);
    expect(tenth.length).toBeLessThan(150);
    const other = '2.0.0_11111111';
    say(featureOf(name, true, [{ version: other, permille: 1000 }]));
    await until('the flag is closed', () => !provider.look(name).open);
    expect(provider.look(name)).toMatchObject({ code: 'version-not-admitted' });
  });
});
