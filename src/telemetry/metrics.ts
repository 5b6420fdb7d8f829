import { Counter, Registry, collectDefaultMetrics } from 'prom-client';
import { measureGuard, type GuardMetrics } from './metrics/guard.js';
import { measureHttp, type HttpMetrics } from './metrics/http.js';
import { measureIncidents, type IncidentMetrics } from './metrics/incidents.js';
import { measureNotifications, type NotificationMetrics } from './metrics/notifications.js';
import { measurePlaces, type PlaceMetrics } from './metrics/places.js';
import { measureRollouts, type RolloutMetrics } from './metrics/rollouts.js';
import { measureRuns, type RunMetrics } from './metrics/runs.js';
import { measureSources, type SourceMetrics } from './metrics/sources.js';

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Everything that Portcullis measures about itself. Nobody outside of telemetry touches prom-client. */
export interface Metrics
  extends
    RunMetrics,
    GuardMetrics,
    PlaceMetrics,
    SourceMetrics,
    NotificationMetrics,
    IncidentMetrics,
    HttpMetrics,
    RolloutMetrics {
  /** Runs before every scrape, for values that are only true when looked at, such as an age. */
  onScrape(refresh: () => void | Promise<void>): void;
  /** The exposition text. Never fails: a refresh that does is counted and its values stay as they were. */
  text(): Promise<string>;
}

/** Gauges that prom-client names as if they were counters; `promtool check metrics` refuses those names. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** Recorders with a registry of their own, so that two in one process (tests) do not mix. */
export function createMetrics(registry = new Registry()): Metrics {
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const refreshFailures = new Counter({
    name: 'portcullis_scrape_refresh_failures_total',
    help: 'Values that could not be refreshed for a scrape and stayed as they were.',
    registers: [registry],
  });
  const refreshes: (() => void | Promise<void>)[] = [];
  return {
    ...measureRuns(registry),
    ...measureGuard(registry),
    ...measurePlaces(registry),
    ...measureSources(registry),
    ...measureNotifications(registry),
    ...measureIncidents(registry),
    ...measureHttp(registry),
    ...measureRollouts(registry),
    onScrape(refresh) {
      refreshes.push(refresh);
    },
    async text() {
      const outcomes = await Promise.allSettled(refreshes.map(async (refresh) => refresh()));
      refreshFailures.inc(outcomes.filter((outcome) => outcome.status === 'rejected').length);
      return registry.metrics();
    },
  };
}
