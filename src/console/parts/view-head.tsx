import type { ComponentChildren } from 'preact';
import { dashboardUrl, type DashboardUid } from '../../telemetry/dashboards.js';
import { me } from '../api.js';
import { Moment } from './moment.js';
import { Problem } from './problem.js';
import type { Watched } from '../live/watched.js';

interface HeadProps {
  readonly title: string;
  /** When what is shown was read, in milliseconds since 1970; 0: not yet. */
  readonly readMs: number;
  readonly children?: ComponentChildren;
}

/** What a screen begins with: its name, ways to others, and how old what it shows is. */
export function ViewHead({ title, readMs, children }: HeadProps) {
  return (
    <header class="view-head">
      <h1>{title}</h1>
      {children}
      <p class="age">
        {readMs > 0 && (
          <>
            read at <Moment at={new Date(readMs).toISOString()} />
          </>
        )}
      </p>
    </header>
  );
}

interface DashboardProps {
  readonly uid: DashboardUid;
  readonly job?: string | undefined;
  readonly regions?: readonly string[] | undefined;
  /** Absent: the last six hours. */
  readonly from?: string | undefined;
  /** Null: it goes on. */
  readonly to?: string | null | undefined;
}

/** The Grafana dashboard of the same job, regions and time, where this installation names its Grafana. */
export function DashboardLink({ uid, job, regions, from, to }: DashboardProps) {
  const grafana = me.value?.grafana ?? null;
  if (grafana === null) return null;
  const ms = (time: string | null | undefined): number | undefined =>
    time == null ? undefined : Date.parse(time);
  return (
    <a
      href={dashboardUrl(grafana, uid, { job, regions, fromMs: ms(from), toMs: ms(to) })}
      target="_blank"
      rel="noreferrer"
    >
      Grafana
    </a>
  );
}

interface ReadProps<T> {
  readonly watched: Watched<T>;
  /** What is being read, for whoever waits. */
  readonly what: string;
  readonly children: (data: T) => ComponentChildren;
}

/** What was read, with what went wrong in reading it again. */
export function Read<T>({ watched: { data, error }, what, children }: ReadProps<T>) {
  return (
    <>
      {error.value !== undefined && <Problem error={error.value} />}
      {data.value !== undefined
        ? children(data.value)
        : error.value === undefined && <p class="loading">Reading {what}…</p>}
    </>
  );
}
