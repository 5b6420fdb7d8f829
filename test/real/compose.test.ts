import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { composeConfig, type ComposeConfig } from '../support/compose.js';
import { temporaryFolder } from '../support/portcullis.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILE = join(ROOT, 'compose.yaml');

let config: ComposeConfig;
beforeAll(async () => {
  config = await composeConfig(FILE);
}, 300_000);

const service = (name: string): ComposeConfig['services'][string] => {
  const found = config.services[name];
  if (!found) throw new Error(`compose.yaml has no service ${name}`);
  return found;
};

/** Where a service's file comes from: the one that is mounted there, or in a folder that is. */
function mountedAt(name: string, path: string): string {
  const mount = service(name).volumes.find(({ target }) => path === target || path.startsWith(`${target}/`));
  if (!mount) throw new Error(`${name} has nothing at ${path}`);
  return mount.source + path.slice(mount.target.length);
}

async function told<Shape>(name: string, path: string, shape: z.ZodType<Shape>): Promise<Shape> {
  return shape.parse(parse(await readFile(mountedAt(name, path), 'utf8')));
}

describe('what Compose makes of compose.yaml', () => {
  test('is these services, each in one version', () => {
    const images = Object.entries(config.services).map(([name, { image }]) => [name, image]);
    expect(Object.fromEntries(images)).toEqual({
      database: expect.stringMatching(/^postgres:\d+$/),
      // Built here.
      portcullis: undefined,
      prometheus: expect.stringMatching(/^prom\/prometheus:v\d+\.\d+\.\d+$/),
      alertmanager: expect.stringMatching(/^prom\/alertmanager:v\d+\.\d+\.\d+$/),
      grafana: expect.stringMatching(/^grafana\/grafana:\d+\.\d+\.\d+$/),
    });
  });

  test('reaches nobody but this machine, and the database nobody at all', () => {
    const ports = Object.entries(config.services).map(([name, each]) => [name, each.ports]);
    expect(Object.fromEntries(ports)).toEqual({
      database: [],
      portcullis: ['127.0.0.1:7020:7020'],
      prometheus: ['127.0.0.1:9090:9090'],
      alertmanager: ['127.0.0.1:9093:9093'],
      grafana: ['127.0.0.1:3000:3000'],
    });
  });

  test('mounts what is there, unwritable, and volumes that it names', async () => {
    const mounts = Object.values(config.services).flatMap(({ volumes }) => volumes);
    for (const { source, readOnly } of mounts) {
      if (source.startsWith('/')) {
        await access(source);
        expect([source, readOnly]).toEqual([source, true]);
      } else expect(Object.keys(config.volumes)).toContain(source);
    }
    const kept = mounts.filter(({ source }) => !source.startsWith('/')).map(({ source }) => source);
    expect(kept.sort()).toEqual(Object.keys(config.volumes).sort());
  });

  test('starts Portcullis once its database answers', () => {
    expect(service('database').healthcheck?.test).toEqual([
      'CMD-SHELL',
      'pg_isready -U portcullis -d portcullis',
    ]);
    expect(service('portcullis').depends_on).toEqual({ database: { condition: 'service_healthy' } });
  });

  test('has the passwords and the token that the environment gives it', async () => {
    const folder = await temporaryFolder({ token: 'secret' });
    const token = join(folder, 'token');
    const { services } = await composeConfig(FILE, {
      PORTCULLIS_DB_PASSWORD: 'ofOurOwn',
      GRAFANA_PASSWORD: 'another',
      PORTCULLIS_ALERT_TOKEN_FILE: token,
    });
    expect(services['database']?.environment['POSTGRES_PASSWORD']).toBe('ofOurOwn');
    expect(services['portcullis']?.environment['PORTCULLIS_DATABASE_URL']).toBe(
      'postgresql://portcullis:ofOurOwn@database:5432/portcullis',
    );
    expect(services['grafana']?.environment['GF_SECURITY_ADMIN_PASSWORD']).toBe('another');
    expect(services['alertmanager']?.volumes).toContainEqual({
      source: token,
      target: '/etc/alertmanager/portcullis-token',
      readOnly: true,
    });
  });

  test('is an error where the file has one', async () => {
    const folder = await temporaryFolder();
    const wrong = join(folder, 'compose.yaml');
    await writeFile(
      wrong,
      (await readFile(FILE, 'utf8')).replace('restart: unless-stopped', 'restarts: never'),
    );
    await expect(composeConfig(wrong)).rejects.toThrow(/restarts/);
  });
});

describe('what the services are told of one another', () => {
  /** `prometheus:9090`, or a URL with that. */
  const answers = (address: string): boolean => {
    const [, name = '', port] = /(?:^|\/\/)([a-z]+):(\d+)/.exec(address) ?? [];
    return service(name).ports.some((each) => each.endsWith(`:${port}`));
  };

  test('Prometheus: whom to scrape, whom to tell, and its rules', async () => {
    const Targets = z.array(
      z.object({ static_configs: z.array(z.object({ targets: z.array(z.string()) })) }),
    );
    const path = '/etc/prometheus/prometheus.yml';
    const { scrape_configs, alerting, rule_files } = await told(
      'prometheus',
      path,
      z.object({
        scrape_configs: Targets,
        alerting: z.object({ alertmanagers: Targets }),
        rule_files: z.array(z.string()),
      }),
    );
    const targets = [...scrape_configs, ...alerting.alertmanagers].flatMap(({ static_configs }) =>
      static_configs.flatMap((each) => each.targets),
    );
    expect(targets).toEqual(['portcullis:7020', 'alertmanager:9093']);
    expect(targets.filter((target) => !answers(target))).toEqual([]);
    for (const file of rule_files) await access(mountedAt('prometheus', `/etc/prometheus/${file}`));
  });

  test('Alertmanager: Portcullis’ webhook, and its token', async () => {
    const { receivers } = await told(
      'alertmanager',
      '/etc/alertmanager/alertmanager.yml',
      z.object({
        receivers: z.array(
          z.object({
            webhook_configs: z
              .array(
                z.object({
                  url: z.string(),
                  http_config: z.object({ authorization: z.object({ credentials_file: z.string() }) }),
                }),
              )
              .default([]),
          }),
        ),
      }),
    );
    const [webhook, ...others] = receivers.flatMap(({ webhook_configs }) => webhook_configs);
    expect(others).toEqual([]);
    expect(answers(webhook?.url ?? '')).toBe(true);
    await access(mountedAt('alertmanager', webhook?.http_config.authorization.credentials_file ?? ''));
  });

  test('Grafana: its one data source, and where its dashboards are', async () => {
    const folder = '/etc/grafana/provisioning';
    const { datasources } = await told(
      'grafana',
      `${folder}/datasources/prometheus.yml`,
      z.object({
        datasources: z.array(
          z.object({ type: z.string(), uid: z.string(), url: z.string(), isDefault: z.boolean() }),
        ),
      }),
    );
    expect(datasources).toMatchObject([{ type: 'prometheus', isDefault: true }]);
    expect(datasources.every(({ url }) => answers(url))).toBe(true);
    const { providers } = await told(
      'grafana',
      `${folder}/dashboards/portcullis.yml`,
      z.object({
        providers: z.array(
          z.object({ folder: z.string(), type: z.string(), options: z.object({ path: z.string() }) }),
        ),
      }),
    );
    expect(providers).toEqual([
      { folder: 'Portcullis', type: 'file', options: { path: '/etc/grafana/portcullis' } },
    ]);
    expect(mountedAt('grafana', '/etc/grafana/portcullis')).toBe(join(ROOT, 'dashboards/grafana/dashboards'));
    const home = service('grafana').environment['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] ?? '';
    await access(mountedAt('grafana', home));
  });
});
