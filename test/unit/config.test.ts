import { describe, expect, test } from '@jest/globals';
import { PortcullisError } from '../../src/kernel/errors.js';
import { readConfig } from '../../src/config.js';

function faults(env: Record<string, string>): unknown {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'CONFIG_INVALID') return error.details['faults'];
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  test('needs nothing', () => {
    expect(readConfig({})).toMatchObject({
      databaseUrl: undefined,
      directDatabaseUrl: undefined,
      http: { host: '127.0.0.1', port: 7020 },
      flagSource: { kind: 'embedded' },
      flagMaxAgeMs: 60_000,
      resolvers: undefined,
    });
  });

  test.each([
    ['ftp://grafana.example', /http or https URL/],
    ['grafana.example', /http or https URL/],
    ['https://me:secret@grafana.example', /must have no name, password/],
    ['https://grafana.example/?orgId=2', /must have no name, password/],
  ])('takes no %s for a Grafana', (url, fault) => {
    expect(faults({ PORTCULLIS_GRAFANA_URL: url })).toEqual([expect.stringMatching(fault)]);
    const { grafanaUrl } = readConfig({ PORTCULLIS_GRAFANA_URL: 'https://grafana.example/sub/' });
    expect(grafanaUrl).toBe('https://grafana.example/sub');
  });

  test('reports all its faults at once', () => {
    expect(
      faults({
        PORTCULLIS_DATABASE_URL: 'mysql://x',
        PORTCULLIS_HTTP: 'localhost',
        PORTCULLIS_FLAG_MAX_AGE: 'soon',
        PORTCULLIS_LOG_LEVEL: 'loud',
        PORTCULLIS_REGOINS: 'eu-west-1',
      }),
    ).toEqual([
      'PORTCULLIS_REGOINS is not a variable of Portcullis; is PORTCULLIS_REGIONS meant?',
      'PORTCULLIS_DATABASE_URL must be a URL such as postgresql://user:password@host:5432/portcullis',
      'PORTCULLIS_HTTP must be host:port, such as 127.0.0.1:7020',
      expect.stringMatching(/^PORTCULLIS_LOG_LEVEL /),
      'PORTCULLIS_FLAG_MAX_AGE must be a duration such as 60s, from 1000 ms to 3600000 ms',
    ]);
  });

  test('wants an address and a token where flags come from an Unleash server', () => {
    expect(faults({ PORTCULLIS_FLAG_SOURCE: 'unleash' })).toEqual([
      'PORTCULLIS_UNLEASH_URL is needed where PORTCULLIS_FLAG_SOURCE is unleash',
      'PORTCULLIS_UNLEASH_TOKEN is needed where PORTCULLIS_FLAG_SOURCE is unleash',
    ]);
  });

  test('wants a secret where notifications go somewhere, and repeats neither', () => {
    expect(faults({ PORTCULLIS_NOTIFY_URLS: 'https://hooks.example/hidden' })).toEqual([
      'PORTCULLIS_NOTIFY_SECRET is needed where PORTCULLIS_NOTIFY_URLS is given',
    ]);
    const both = { PORTCULLIS_NOTIFY_URLS: 'hidden', PORTCULLIS_NOTIFY_SECRET: 'hidden' };
    expect(faults(both)).toEqual([
      'PORTCULLIS_NOTIFY_URLS must be http or https URLs, separated by commas',
      'PORTCULLIS_NOTIFY_SECRET must have at least 16 characters',
    ]);
    const well = { PORTCULLIS_NOTIFY_URLS: 'https://a.example/x, http://b.example, https://a.example/x' };
    expect(readConfig({ ...well, PORTCULLIS_NOTIFY_SECRET: '0123456789abcdef' }).notify).toEqual({
      urls: ['https://a.example/x', 'http://b.example'],
      secret: '0123456789abcdef',
      file: undefined,
      secrets: {},
      timeoutMs: 10_000,
    });
  });

  test('takes an IPv6 address in brackets, and no port that does not exist', () => {
    expect(readConfig({ PORTCULLIS_HTTP: '[::1]:80' }).http).toEqual({ host: '::1', port: 80 });
    expect(faults({ PORTCULLIS_HTTP: '[::1]:70000' })).toEqual([
      'PORTCULLIS_HTTP has port 70000; ports end at 65535',
    ]);
  });

  test('ignores what Kubernetes and compose set beside a service of that name', () => {
    const env = {
      PORTCULLIS_SERVICE_HOST: '10.0.0.1',
      PORTCULLIS_SERVICE_PORT: '7020',
      PORTCULLIS_SERVICE_PORT_HTTP: '7020',
      PORTCULLIS_PORT: 'tcp://10.0.0.1:7020',
      PORTCULLIS_PORT_7020_TCP: 'tcp://10.0.0.1:7020',
      PORTCULLIS_PORT_7020_TCP_PROTO: 'tcp',
      PORTCULLIS_PORT_7020_TCP_PORT: '7020',
      PORTCULLIS_PORT_7020_TCP_ADDR: '10.0.0.1',
      PORTCULLIS_DB_SERVICE_HOST: '10.0.0.2',
      PORTCULLIS_DB_PORT: 'tcp://10.0.0.2:5432',
      PORTCULLIS_DB_PORT_5432_TCP_ADDR: '10.0.0.2',
      PORTCULLIS_DB_PASSWORD: 'secret',
    };
    expect(faults(env)).toEqual([]);
    expect(readConfig(env).warnings).toEqual([]);
  });

  test.each([
    ['PORTCULLIS_DATABSE_URL', 'PORTCULLIS_DATABASE_URL'],
    ['PORTCULLIS_DATABSE_URL_EU', 'PORTCULLIS_DATABASE_URL_EU'],
    ['PORTCULLIS_UNLEASH_TOKN', 'PORTCULLIS_UNLEASH_TOKEN'],
    ['PORTCULLIS_HTTPS', 'PORTCULLIS_HTTP'],
  ])('refuses %s, which is nearly %s', (name, meant) => {
    expect(faults({ [name]: 'x' })).toEqual([`${name} is not a variable of Portcullis; is ${meant} meant?`]);
  });

  test('warns of any other name that it does not know, and ignores it', () => {
    expect(readConfig({ PORTCULLIS_CLUSTER_OWNER: 'platform team' }).warnings).toEqual([
      'PORTCULLIS_CLUSTER_OWNER is not a variable of Portcullis; it is ignored',
    ]);
    expect(readConfig({ PORTCULLIS_PORT: '7020' }).warnings).toEqual([
      'PORTCULLIS_PORT is not a variable of Portcullis; it is ignored',
    ]);
  });

  test('takes an empty variable for an absent one', () => {
    expect(readConfig({ PORTCULLIS_DATABASE_URL: '' }).databaseUrl).toBeUndefined();
  });
});
