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
  const { rows } = await pool.query<{ at: number; runs: string }>(
    `select place.at, runs.runs
     from unnest($1::text[], $2::text[]) with ordinality as place (job, region, at)
     cross join lateral (
       select json_agg(json_build_object(
                'runId', run.id, 'status', run.status, 'planned', run.planned, 'applied', run.applied,
                'at', to_char(run.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'expected', expected.count) order by run.created_at desc)::text as runs
       from (
         select id, status, created_at,
                (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(planned) n) as planned,
                (select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(applied) n) as applied
         from portcullis_region.run
         where job = place.job and region = place.region and not dry_run and restores is null
         order by created_at desc limit $3
       ) run
       left join lateral (
         select json_build_object('rule', rule, 'observed', figures -> 'observed', 'low', figures -> 'low',
                                  'high', figures -> 'high') as count
         from portcullis_region.verdict
         where verdict.run = run.id and stage = 'plan' and figures ? 'low' and figures -> 'high' <> 'null'
         order by figures -> 'p', rule limit 1
       ) expected on true
     ) runs
     where runs.runs is not null`,
    [places.map(({ job }) => job), places.map(({ region }) => region), most],
  );
  // A text for each place: of ten thousand gates, rows and their columns took half of this process's time.
  return new Map(
    rows.flatMap(({ at, runs }) => {
      const place = places[at - 1];
      return place ? [[`${place.job} ${place.region}`, JSON.parse(runs) as RecentRun[]]] : [];
    }),
  );
}
