import type pg from 'pg';
import type { RunStatus } from './run-states.js';

/** A run as a list of many places shows it. Times are ISO 8601 in UTC. */
export interface RecentRun {
  readonly runId: string;
  readonly status: RunStatus;
  readonly at: string;
  readonly planned: number;
  readonly applied: number;
  readonly expected: ExpectedCount | null;
}

/** What a count rule counted of a run, and between what 19 of 20 healthy runs were when it judged the plan. */
export interface ExpectedCount {
  readonly rule: string;
  readonly observed: number;
  readonly low: number;
  readonly high: number;
}

interface Row extends Omit<RecentRun, 'at' | 'expected'>, Omit<ExpectedCount, 'rule'> {
  readonly job: string;
  readonly region: string;
  readonly at: Date;
  /** Null, as are the figures, where no rule has a band for it. */
  readonly rule: string | null;
}

/**
 * What ran last in each of these places, newest first, by `job region`: neither dry runs nor restores. One query for all.
 * Of several count rules the one tells to which the run was the least likely. A rule by which no
 * count would have been too many, because no earlier run had worked, has no band.
 */
export async function recentRuns(
  pool: pg.Pool,
  places: readonly { readonly job: string; readonly region: string }[],
  most: number,
): Promise<ReadonlyMap<string, readonly RecentRun[]>> {
  const { rows } = await pool.query<Row>(
    `select place.job, place.region, run.*, expected.*
     from unnest($1::text[], $2::text[]) as place (job, region)
     cross join lateral (
       select id as "runId", status, created_at as at,
              (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(planned) n)::float8 as planned,
              (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(applied) n)::float8 as applied
       from portcullis_region.run
       where job = place.job and region = place.region and not dry_run and restores is null
       order by created_at desc limit $3
     ) run
     left join lateral (
       select rule, (figures ->> 'observed')::float8 as observed, (figures ->> 'low')::float8 as low,
              (figures ->> 'high')::float8 as high
       from portcullis_region.verdict
       where run = run."runId" and stage = 'plan' and figures ? 'low' and figures -> 'high' <> 'null'
       order by figures -> 'p', rule limit 1
     ) expected on true`,
    [places.map(({ job }) => job), places.map(({ region }) => region), most],
  );
  const byPlace = new Map<string, RecentRun[]>();
  for (const { job, region, at, rule, observed, low, high, ...run } of rows) {
    const place = `${job} ${region}`;
    const runs = byPlace.get(place) ?? [];
    if (runs.length === 0) byPlace.set(place, runs);
    const expected = rule === null ? null : { rule, observed, low, high };
    runs.push({ ...run, at: at.toISOString(), expected });
  }
  return byPlace;
}
