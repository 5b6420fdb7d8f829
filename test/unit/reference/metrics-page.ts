import { code, headOf, tableOf } from './markdown.js';

/** What prom-client's metrics know of themselves. */
export interface Measured {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly labelNames?: readonly string[];
}

/** docs/reference/metrics.md: what `/metrics` serves, but for Node.js's own. */
export function metricsPage(metrics: readonly Measured[]): string {
  const own = metrics
    .filter(({ name }) => name.startsWith('portcullis_'))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return `${headOf('Metrics', 'src/telemetry/metrics')}

\`GET /metrics\` serves them in Prometheus' text format, without a token. Beside them are prom-client's \`process_*\` and \`nodejs_*\`. Labels never name a unit or a row, so that their number stays small. \`dashboards/\` has Grafana dashboards, alert rules and Alertmanager routes that use them.

${tableOf(
  ['metric', 'type', 'labels', 'meaning'],
  own.map(({ name, help, type, labelNames = [] }) => [
    code(name),
    String(type),
    labelNames.map(code).join(', '),
    help,
  ]),
)}
`;
}
