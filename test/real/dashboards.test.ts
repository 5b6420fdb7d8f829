import { access, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { format } from 'prettier';
import { z } from 'zod';
import { dashboardJson } from '../../dashboards/source/dashboard.js';
import { DASHBOARDS } from '../../dashboards/source/dashboards.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { dashboardQueries, dashboardRules } from '../support/dashboard-queries.js';
import { requireProgram } from '../support/debian-package.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runProgram } from '../support/program.js';

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
    const { exit, stdout, stderr } = await runProgram(promtool, ['check', 'rules', file]);
    expect([exit, stdout + stderr]).toEqual([0, expect.stringContaining(`${queries.length} rules found`)]);
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
    expect(
      await runProgram(promtool, ['check', 'config', 'prometheus.yml'], { cwd: prometheus }),
    ).toMatchObject({ exit: 0 });
  });

  test('fire when they should, and only then', async () => {
    const { exit, stdout, stderr } = await runProgram(
      promtool,
      ['test', 'rules', 'portcullis.rules.test.yml'],
      { cwd: prometheus },
    );
    expect([exit, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
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
    expect(await runProgram(amtool, ['check-config', file])).toMatchObject({ exit: 0 });
  });

  test('sends what names a job to the webhook too, and everything to people', async () => {
    const route = async (...labels: string[]): Promise<string | undefined> => {
      const { stdout } = await runProgram(amtool, [
        'config',
        'routes',
        'test',
        `--config.file=${file}`,
        ...labels,
      ]);
      return stdout.split('\n')[0];
    };
    expect(await route('alertname=PortcullisDown')).toBe('people');
    expect(await route('alertname=PortcullisClaimsSpike', 'portcullis_job=domain-claim')).toBe(
      'portcullis,people',
    );
  });
});
