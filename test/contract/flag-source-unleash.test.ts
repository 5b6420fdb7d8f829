import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { featureOf } from '../../src/flags/flag-row.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import { UnleashSource } from '../../src/flags/unleash-source.js';
import { everythingAdmitted } from '../support/admissions.js';
import { until } from '../support/until.js';
import { UnleashServer } from '../support/unleash-server.js';
import type { Variant } from '../../src/flags/variant.js';

const ALL: readonly Variant[] = [{ version: '1.0.0_abc', permille: 1000 }];

describe('flags from an Unleash server', () => {
  const name = 'domain-claim.eu-west-1';
  const server = new UnleashServer();
  let token = server.token;
  let source: UnleashSource;
  let provider: PortcullisProvider;

  beforeEach(async () => {
    server.mode = 'ok';
    token = server.token;
    server.say([featureOf(name, true, ALL), { name: 'somebody-elses', enabled: true, strategies: [] }]);
    await server.open();
    source = new UnleashSource({
      admissions: everythingAdmitted,
      url: server.url,
      token: () => token,
      pollMs: 50,
      timeoutMs: 1_000,
      retryMs: 50,
    });
    provider = new PortcullisProvider(source, { maxAgeMs: 1_500 });
    await provider.initialize();
    await until('it is open', () => provider.look(name).open);
  });

  afterEach(async () => {
    await provider.onClose();
    await server.close();
  });

  test('carry the server’s revision and leave other teams’ flags alone', () => {
    expect(provider.look(name)).toMatchObject({ definition: { revision: server.revision } });
    expect(provider.look('somebody-elses')).toMatchObject({ code: 'flag-unknown' });
    expect(source.repository.all()).toHaveLength(1);
  });

  test('count a 304 as heard', async () => {
    const before = server.unchanged;
    await until('several answers were 304', () => server.unchanged >= before + 5);
    expect(source.state().heardAgeMs).toBeLessThan(1_500);
  });

  test.each(['malformed', 'not-json'] as const)('close at once on an answer that is %s', async (mode) => {
    server.mode = mode;
    server.say([featureOf(name, true, ALL)]);
    await until('it is closed', () => !provider.look(name).open);
    expect(provider.look(name)).toMatchObject({ code: 'flag-malformed' });
    // Unchanged since then must not pass for well.
    const asked = server.asked;
    await until('it was asked again', () => server.asked >= asked + 3);
    expect(provider.look(name)).toMatchObject({ code: 'flag-malformed' });
    server.mode = 'ok';
    await until('it is open again', () => provider.look(name).open);
  });

  test('close on a 403 as on a 401', async () => {
    server.mode = 'forbidden';
    await until('it is closed', () => !provider.look(name).open);
    expect(provider.look(name)).toMatchObject({ code: 'flag-unauthorised' });
  });

  test('recover with a token that is replaced here, without a restart', async () => {
    token = 'revoked';
    await until('it is closed', () => !provider.look(name).open);
    expect(provider.look(name)).toMatchObject({ code: 'flag-unauthorised' });
    token = server.token;
    await until('it is open', () => provider.look(name).open);
  });

  test('that are removed on the server become unknown', async () => {
    server.say([]);
    await until('it is closed', () => !provider.look(name).open);
    expect(provider.look(name)).toMatchObject({ code: 'flag-unknown', revision: server.revision });
  });

  test('stop asking when stopped, and a request in flight that fails afterwards harms nobody', async () => {
    const unheard: unknown[] = [];
    const listen = (reason: unknown): void => void unheard.push(reason);
    process.on('unhandledRejection', listen);
    server.mode = 'hanging';
    const before = server.asked;
    await until('a request hangs', () => server.asked > before);
    await source.stop();
    await server.close();
    const stoppedAt = performance.now();
    // unleash-client tries the request twice more, a second apart and two.
    await until('its retries are over', () => performance.now() - stoppedAt > 4_500);
    process.off('unhandledRejection', listen);
    expect(unheard).toEqual([]);
    await server.open();
    expect(server.asked).toBe(before + 1);
  });
});
