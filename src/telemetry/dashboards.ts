/** The Grafana dashboards that Portcullis ships (dashboards/), as links of an installation's own Grafana. Runs in browsers too. */
export const DASHBOARDS = {
  'portcullis-runs': 'Runs',
  'portcullis-rollout': 'Rollout',
  'portcullis-incident': 'Incident',
  'portcullis-kill-switch': 'Kill switch',
} as const;
export type DashboardUid = keyof typeof DASHBOARDS;

export interface DashboardPlace {
  /** Absent: every job, every region. */
  readonly job?: string | undefined;
  readonly regions?: readonly string[] | undefined;
  /** In milliseconds since 1970; absent: the last six hours. */
  readonly fromMs?: number | undefined;
  /** Absent: until now. */
  readonly toMs?: number | undefined;
}

/** What came right before and after an event is part of its picture. */
const AROUND_MS = 30 * 60_000;

/** Where a dashboard shows that job, in those regions, around that time. `grafana`: the address of Grafana itself. */
export function dashboardUrl(grafana: string, uid: DashboardUid, place: DashboardPlace = {}): string {
  const { job, regions = [], fromMs, toMs } = place;
  const url = new URL(`${grafana.replace(/\/+$/, '')}/d/${uid}`);
  if (job !== undefined) url.searchParams.set('var-job', job);
  for (const region of regions) url.searchParams.append('var-region', region);
  url.searchParams.set('from', fromMs === undefined ? 'now-6h' : String(fromMs - AROUND_MS));
  url.searchParams.set('to', toMs === undefined ? 'now' : String(toMs + AROUND_MS));
  return url.toString();
}
