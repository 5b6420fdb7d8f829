import { execFile } from 'node:child_process';
import { access, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { format } from 'prettier';
import { parse } from 'yaml';
import { z } from 'zod';
import { dashboardJson } from '../../dashboards/source/dashboard.js';
import { DASHBOARDS } from '../../dashboards/source/dashboards.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { dashboardQueries, dashboardRules } from '../support/dashboard-queries.js';
import { requireProgram } from '../support/debian-package.js';
import { temporaryFolder } from '../support/portcullis.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');

const rules = await dashboardRules();
const queries = await dashboardQueries();
const panels = DASHBOARDS.flatMap(({ uid, panels: each }) => each.map((panel) => ({ uid, panel })));

let promtool = '';
let amtool = '';
beforeAll(async () => {
  promtool = await requireProgram('promtool', 'prometheus');
  amtool = await requireProgram('amtool', 'prometheus-alertmanager');
}, 300_000);

/** What a checking program says, and whether it was content. */
function say(program: string, args: readonly string[], cwd = ROOT): Promise<{ exit: number; said: string }> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(new Error(error.message));
      else resolve({ exit: typeof error?.code === 'number' ? error.code : 0, said: stdout + stderr });
    });
  });
}

describe('the dashboards', () => {
  test('stand in the repository as their source says: npm run dashboards', async () => {
    const folder = 'dashboards/grafana/dashboards';
    expect((await readdir(join(ROOT, folder))).sort()).toEqual(
      DASHBOARDS.map(({ uid }) => `${uid}.json`).sort(),
    );
    for (const dashboard of DASHBOARDS) {
      const json = JSON.stringify(dashboardJson(dashboard));
      expect(await read(`${folder}/${dashboard.uid}.json`)).toBe(
        await format(json, { parser: 'json', printWidth: 110 }),
      );
    }
  });

  test.each(panels.map(({ uid, panel }) => [`${uid}: ${panel.title}`, panel] as const))(
    '%s says what it shows, in what unit, and what it means when empty',
    (_, panel) => {
      expect(panel.description).toMatch(/\.$/);
      expect(panel.empty).not.toBe('');
      expect(panel.unit).not.toBe('');
      expect(panel.queries.every(({ legend }) => legend !== '')).toBe(true);
    },
  );

  test('lay no panel over another, nor out of the page', () => {
    const Placed = z.object({
      panels: z.array(
        z.object({ id: z.int(), gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }) }),
      ),
    });
    for (const dashboard of DASHBOARDS) {
      const { panels: placed } = Placed.parse(dashboardJson(dashboard));
      const taken = placed.flatMap(({ gridPos: { x, y, w } }) => {
        expect(x + w).toBeLessThanOrEqual(24);
        return Array.from({ length: w }, (_, at) => `${x + at},${y}`);
      });
      expect(new Set(taken).size).toBe(taken.length);
      expect(new Set(placed.map(({ id }) => id)).size).toBe(placed.length);
    }
  });
});

describe('every query of every panel, annotation and rule', () => {
  test('is one that Prometheus understands', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'queries.yml');
    const asRules = queries.map(({ expr }, at) => ({ record: `query_${at}`, expr }));
    await writeFile(file, JSON.stringify({ groups: [{ name: 'queries', rules: asRules }] }));
    const { exit, said } = await say(promtool, ['check', 'rules', file]);
    expect([exit, said]).toEqual([0, expect.stringContaining(`${queries.length} rules found`)]);
  });

  test('asks only for what Portcullis measures, or a rule records', async () => {
    const text = await createMetrics().text();
    const measured = [...text.matchAll(/^# TYPE (portcullis_\w+) (\w+)/gm)].flatMap(([, name = '', type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
    const known = new Set([...measured, ...rules.flatMap(({ record }) => record ?? [])]);
    for (const { where, expr } of queries) {
      // Also those with colons in their names, which rules record. Values of labels are no metrics.
      const asked = expr.replaceAll(/"[^"]*"/g, '').match(/\b(?:\w+:)?portcullis_\w+(?::\w+)*/g) ?? [];
      expect([where, asked.filter((name) => !known.has(name) && name !== 'portcullis_job')]).toEqual([
        where,
        [],
      ]);
      expect([where, asked.length > 0 || expr.includes('up{job=')]).toEqual([where, true]);
    }
  });
});

describe('the rules', () => {
  const prometheus = join(ROOT, 'dashboards/prometheus');

  test('are accepted with the configuration that names them', async () => {
    expect(await say(promtool, ['check', 'config', 'prometheus.yml'], prometheus)).toMatchObject({ exit: 0 });
  });

  test('fire when they should, and only then', async () => {
    const { exit, said } = await say(promtool, ['test', 'rules', 'portcullis.rules.test.yml'], prometheus);
    expect([exit, said]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  test('each have a case, and a runbook that is there', async () => {
    const cases = await read('dashboards/prometheus/portcullis.rules.test.yml');
    const alerts = rules.filter(({ alert }) => alert !== undefined);
    expect(alerts.length).toBeGreaterThan(5);
    for (const { alert, annotations } of alerts) {
      expect([alert, cases.includes(`alertname: ${alert ?? ''}\n        exp_alerts`)]).toEqual([alert, true]);
      expect(annotations['summary']).toBeTruthy();
      await access(join(ROOT, annotations['runbook'] ?? 'nowhere'));
    }
  });
});

describe('Alertmanager', () => {
  const file = join(ROOT, 'dashboards/alertmanager/alertmanager.yml');

  test('accepts its configuration', async () => {
    expect(await say(amtool, ['check-config', file])).toMatchObject({ exit: 0 });
  });

  test('sends what names a job to the webhook too, and everything to people', async () => {
    const route = async (...labels: string[]): Promise<string | undefined> => {
      const { said } = await say(amtool, ['config', 'routes', 'test', `--config.file=${file}`, ...labels]);
      return said.split('\n')[0];
    };
    expect(await route('alertname=PortcullisDown')).toBe('people');
    expect(await route('alertname=PortcullisClaimsSpike', 'portcullis_job=domain-claim')).toBe(
      'portcullis,people',
    );
  });
});

test('compose.yaml mounts only what is there', async () => {
  const Compose = z.object({
    services: z.record(
      z.string(),
      z.object({
        volumes: z.array(z.string()).default([]),
        image: z.string().optional(),
      }),
    ),
    volumes: z.record(z.string(), z.unknown()),
  });
  const { services, volumes } = Compose.parse(parse(await read('compose.yaml')));
  const mounts = Object.values(services).flatMap((service) => service.volumes);
  expect(mounts.length).toBeGreaterThan(5);
  for (const mount of mounts) {
    const source = mount.replace(/^\$\{[^}]*:-([^}]*)\}/, '$1').split(':')[0] ?? '';
    if (source.startsWith('.')) await access(join(dirname(join(ROOT, 'compose.yaml')), source));
    else if (!source.startsWith('/')) expect(Object.keys(volumes)).toContain(source);
  }
  // An image without a version is another one tomorrow.
  for (const { image } of Object.values(services)) expect(image ?? 'built:here').toMatch(/:\w/);
});
