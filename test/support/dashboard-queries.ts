import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { ANNOTATIONS } from '../../dashboards/source/dashboard.js';
import { DASHBOARDS } from '../../dashboards/source/dashboards.js';

const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          record: z.string().optional(),
          alert: z.string().optional(),
          expr: z.string(),
          annotations: z.record(z.string(), z.string()).default({}),
        }),
      ),
    }),
  ),
});

export type PrometheusRule = z.infer<typeof Rules>['groups'][number]['rules'][number];

/** The text of the rules that compose.yaml's Prometheus judges by. */
export async function rulesText(): Promise<string> {
  const read = (name: string): Promise<string> =>
    readFile(new URL(`../../dashboards/prometheus/${name}.rules.yml`, import.meta.url), 'utf8');
  const [own, ofJob] = await Promise.all([read('portcullis'), read('domain-claim')]);
  // One file for a Prometheus: the groups of both.
  return own + ofJob.replace(/^[^]*?groups:\n/, '');
}

export async function dashboardRules(): Promise<PrometheusRule[]> {
  return Rules.parse(parse(await rulesText())).groups.flatMap(({ rules }) => rules);
}

export interface Query {
  /** The panel, annotation, record or alert that asks it. */
  readonly where: string;
  readonly expr: string;
  /** Whether it is an alert's, which has an answer only while the alert fires. */
  readonly alert: boolean;
}

/** A query as Prometheus gets it, once Grafana has put values in the place of its variables. */
const asAsked = (expr: string): string =>
  expr.replaceAll(/\$__(rate_interval|range)\b/g, '5m').replaceAll(/\$(job|region)\b/g, '.+');

/** Every query of every panel, annotation and rule. */
export async function dashboardQueries(): Promise<Query[]> {
  const shown = [
    ...DASHBOARDS.flatMap(({ uid, panels }) =>
      panels.flatMap(({ title, queries }) =>
        queries.map(({ expr }) => ({ where: `${uid}: ${title}`, expr })),
      ),
    ),
    ...ANNOTATIONS.map(({ name, target }) => ({ where: `annotation ${name}`, expr: target.expr })),
  ];
  return [
    ...shown.map(({ where, expr }) => ({ where, expr: asAsked(expr), alert: false })),
    ...(await dashboardRules()).map(({ record, alert, expr }) => ({
      where: record ?? alert ?? '',
      expr,
      alert: alert !== undefined,
    })),
  ];
}
