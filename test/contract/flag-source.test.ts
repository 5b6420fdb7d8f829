import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { OpenFeature } from '@openfeature/server-sdk';
import { type FlagAnswer, flagName } from '../../src/flags/definition.js';
import { EmbeddedSource } from '../../src/flags/embedded-source.js';
import { featureOf } from '../../src/flags/flag-row.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import type { FlagSource } from '../../src/flags/source.js';
import { UnleashSource } from '../../src/flags/unleash-source.js';
import { everythingAdmitted } from '../support/admissions.js';
import { testDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { UnleashServer } from '../support/unleash-server.js';
import type { Variant } from '../../src/flags/variant.js';

/** What a test can do to whatever stands behind a source. */
interface Origin {
  open(): Promise<FlagSource>;
  close(): Promise<void>;
  say(region: string, enabled: boolean, variants: readonly Variant[]): Promise<void>;
  sayMalformed(region: string): Promise<void>;
  cut(): Promise<void>;
  mend(): Promise<void>;
  refuse(): Promise<void>;
  admit(): Promise<void>;
}

const database = await testDatabase();
/** Within a second, on a machine of its own. */
const SOON_MS = 10_000;

class ControlDatabase implements Origin {
  readonly #way = new TcpProxy(new URL(database.url).hostname, Number(new URL(database.url).port));

  async open(): Promise<FlagSource> {
    await database.owner.query('delete from portcullis_control.flag');
    await this.#way.open();
    const url = new URL(database.workerUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.#way.port);
    return new EmbeddedSource(database.pool(url.toString()), { pollMs: 100, timeoutMs: 1_000 });
  }

  close(): Promise<void> {
    return this.#way.cut();
  }

  async say(region: string, enabled: boolean, variants: readonly Variant[]): Promise<void> {
    await this.#write(region, enabled, variants);
  }

  async sayMalformed(region: string): Promise<void> {
    await this.#write(region, true, [{ version: '1.0.0', permille: 1001 }]);
  }

  cut(): Promise<void> {
    return this.#way.cut();
  }

  mend(): Promise<void> {
    return this.#way.open();
  }

  async refuse(): Promise<void> {
    await database.owner.query(`revoke select on portcullis_control.flag from ${this.#role()}`);
  }

  async admit(): Promise<void> {
    await database.owner.query(`grant select on portcullis_control.flag to ${this.#role()}`);
  }

  #role(): string {
    return `"${decodeURIComponent(new URL(database.workerUrl).username)}"`;
  }

  async #write(region: string, enabled: boolean, variants: unknown): Promise<void> {
    // Everything is admitted: these are about flags.
    await database.owner.query(
      `insert into portcullis_control.admission (job, region, version, permille, source, reason, changed_by)
       select 'domain-claim', $1, v ->> 'version', 1000, 'initial', 'test', 'test' from jsonb_array_elements($2) v
       on conflict do nothing`,
      [region, JSON.stringify(variants)],
    );
    await database.owner.query(
      `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
       values ('domain-claim', $1, $2, $3, 'test', 'test')
       on conflict (job, region) do update set enabled = excluded.enabled, variants = excluded.variants`,
      [region, enabled, JSON.stringify(variants)],
    );
  }
}

class UnleashOrigin implements Origin {
  readonly #server = new UnleashServer();
  readonly #features = new Map<string, unknown>();

  async open(): Promise<FlagSource> {
    await this.#server.open();
    return new UnleashSource({
      admissions: everythingAdmitted,
      url: this.#server.url,
      token: () => 'default:production.secret',
      pollMs: 50,
      timeoutMs: 1_000,
      retryMs: 50,
    });
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  say(region: string, enabled: boolean, variants: readonly Variant[]): Promise<void> {
    const name = flagName('domain-claim', region);
    this.#features.set(name, featureOf(name, enabled, variants));
    return this.#publish();
  }

  sayMalformed(region: string): Promise<void> {
    const name = flagName('domain-claim', region);
    this.#features.set(name, { name, enabled: true, strategies: 'default', variants: [] });
    return this.#publish();
  }

  cut(): Promise<void> {
    return this.#server.close();
  }

  mend(): Promise<void> {
    return this.#server.open();
  }

  refuse(): Promise<void> {
    this.#server.mode = 'unauthorised';
    return Promise.resolve();
  }

  admit(): Promise<void> {
    this.#server.mode = 'ok';
    return Promise.resolve();
  }

  #publish(): Promise<void> {
    this.#server.say([...this.#features.values()]);
    return Promise.resolve();
  }
}

const ALL: readonly Variant[] = [{ version: '1.0.0_abc', permille: 1000 }];

describe.each<[string, () => Origin]>([
  ['the control database', () => new ControlDatabase()],
  ['an Unleash server', () => new UnleashOrigin()],
])('flags from %s', (_, make) => {
  let origin: Origin;
  let source: FlagSource;
  let provider: PortcullisProvider;
  const look = (region = 'eu-west-1'): FlagAnswer => provider.look(flagName('domain-claim', region));
  const closedAs = (code: string) => (): Promise<unknown> =>
    until(code, () => {
      const answer = look();
      return !answer.open && answer.code === code;
    });
  const opened = (): Promise<unknown> => until('the flag is open', () => look().open);

  beforeEach(async () => {
    origin = make();
    source = await origin.open();
    provider = new PortcullisProvider(source, { maxAgeMs: 1_500 });
  });

  afterEach(async () => {
    await provider.onClose();
    await origin.close();
  });

  const begin = async (): Promise<void> => {
    await origin.say('eu-west-1', true, ALL);
    await provider.initialize();
    await opened();
  };

  test('are there when the start is over', async () => {
    await origin.say('eu-west-1', true, ALL);
    await provider.initialize();
    expect(look()).toMatchObject({ open: true, definition: { variants: ALL } });
    expect(source.state().heardAgeMs).toBeLessThan(1_500);
  });

  test('are in force soon after a change, with a higher revision and the listener told', async () => {
    await begin();
    const before = look();
    const told: string[] = [];
    source.onChange((changed) => told.push(...changed));
    await origin.say('eu-west-1', true, [
      { version: '1.1.0_def', permille: 1 },
      ...ALL.map((v) => ({ ...v, permille: 999 })),
    ]);
    const changedAt = performance.now();
    await until('the change is there', () => {
      const answer = look();
      return answer.open && answer.definition.variants[0]?.version === '1.1.0_def';
    });
    expect(performance.now() - changedAt).toBeLessThan(SOON_MS);
    const after = look();
    expect(before.open && after.open && after.definition.revision > before.definition.revision).toBe(true);
    expect(told).toEqual(['domain-claim.eu-west-1']);
  });

  test('close soon after being switched off', async () => {
    await begin();
    await origin.say('eu-west-1', false, ALL);
    const changedAt = performance.now();
    await closedAs('flag-off')();
    expect(performance.now() - changedAt).toBeLessThan(SOON_MS);
  });

  test('that are unknown are closed', async () => {
    await begin();
    expect(look('eu-west-9')).toMatchObject({ open: false, code: 'flag-unknown' });
  });

  test('that are on without a share are held', async () => {
    await begin();
    await origin.say('eu-west-1', true, []);
    await closedAs('flag-held')();
  });

  test('that are malformed are closed, and no other flag is', async () => {
    await begin();
    await origin.say('eu-west-2', true, ALL);
    await origin.sayMalformed('eu-west-1');
    await closedAs('flag-malformed')();
    await until('the other is open', () => look('eu-west-2').open);
  });

  test('stay fresh while nothing changes', async () => {
    await begin();
    const startedAt = performance.now();
    await until('twice maxAge has passed, open all the while', () => {
      expect(look().open).toBe(true);
      return performance.now() - startedAt > 3_000;
    });
  });

  test('go stale when the source is gone, say why, and recover with it', async () => {
    await begin();
    await origin.cut();
    await closedAs('flag-stale')();
    await until('the reason has its cause', () => {
      const answer = look();
      return !answer.open && /^last heard .* ago, over the limit of 1\.5 s; .+/.test(answer.reason);
    });
    await origin.mend();
    await opened();
  });

  test('are unreachable when the source was never there, and open when it comes', async () => {
    await origin.say('eu-west-1', true, ALL);
    await origin.cut();
    await provider.initialize();
    expect(look()).toMatchObject({ open: false, code: 'flag-unreachable' });
    await origin.mend();
    await opened();
  });

  test('close at once when the source refuses us, and recover when it lets us in', async () => {
    await begin();
    const told: (readonly string[])[] = [];
    source.onChange((changed) => told.push(changed));
    await origin.refuse();
    await closedAs('flag-unauthorised')();
    expect(told).toContainEqual([]);
    await origin.admit();
    await opened();
  });

  test('answer through OpenFeature, in bulk as one by one', async () => {
    await origin.say('eu-west-1', true, [{ version: '1.0.0_abc', permille: 300 }]);
    await OpenFeature.setProviderAndWait('contract', provider);
    await opened();
    const client = OpenFeature.getClient('contract');
    const answer = look();
    if (!answer.open) throw new Error(answer.reason);
    const units = Array.from({ length: 200 }, (__, at) => `org-${at}`);
    const admitted = provider.admit(answer.definition, '1.0.0_abc', units);
    for (const unit of units) {
      const value = await client.getStringValue('domain-claim.eu-west-1', 'hold', { targetingKey: unit });
      expect(value).toBe(admitted.has(unit) ? '1.0.0_abc' : 'hold');
    }
    expect(admitted.size).toBeGreaterThan(30);
    expect(admitted.size).toBeLessThan(90);
  });
});
