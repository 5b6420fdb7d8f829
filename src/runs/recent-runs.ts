import type pg from 'pg';
import type { RunStatus } from './run-states.js';

/** A run as a list of many places shows it. Times are ISO 8601 in UTC. */
export interface RecentRun {
  readonly runId: string;
  readonly version: string;
  readonly status: RunStatus;
  readonly at: string;
  readonly planned: number;
  readonly applied: number;
}

interface Row extends Omit<RecentRun, 'at'> {
  readonly job: string;
  readonly region: string;
  readonly at: Date;
}

/** What ran last in each of these places, newest first, by `job region`: neither dry runs nor restores. One query for all. */
export async function recentRuns(
  pool: pg.Pool,
  places: readonly { readonly job: string; readonly region: string }[],
  most: number,
): Promise<ReadonlyMap<string, readonly RecentRun[]>> {
  const { rows } = await pool.query<Row>(
    `select place.job, place.region, run.*
     from unnest($1::text[], $2::text[]) as place (job, region)
     cross join lateral (
       select id as "runId", version, status, created_at as at,
              (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(planned) n)::float8 as planned,
              (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(applied) n)::float8 as applied
       from portcullis_region.run
       where job = place.job and region = place.region and not dry_run and restores is null
       order by created_at desc limit $3
     ) run`,
    [places.map(({ job }) => job), places.map(({ region }) => region), most],
  );
  const byPlace = new Map<string, RecentRun[]>();
  for (const { job, region, at, ...run } of rows) {
    const place = `${job} ${region}`;
    const runs = byPlace.get(place) ?? [];
    if (runs.length === 0) byPlace.set(place, runs);
    runs.push({ ...run, at: at.toISOString() });
  }
  return byPlace;
}
