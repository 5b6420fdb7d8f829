import type pg from 'pg';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';

/**
 * The regions of every job, by name: those where it has ever had a gate, and those of its flags. Neither a
 * policy nor the job itself need be there any more: a kill asks nobody's leave.
 */
export async function gatesOf(control: pg.Pool): Promise<Map<string, string[]>> {
  const { rows } = await control.query<{ job: string; regions: string[] }>(
    `select job, array_agg(distinct region order by region) as regions
     from (select job, region from portcullis_region.gate union select job, region from portcullis_control.flag) g
     group by job order by job`,
  );
  return new Map(rows.map(({ job, regions }) => [job, regions]));
}

/**
 * The regions of a job that a kill or a re-arm is meant for: the one that is named, or all. `installed` are the
 * jobs that this program has, with gates or without. Throws JOB_UNKNOWN or REGION_UNKNOWN with the nearest name.
 */
export async function regionsOf(
  control: pg.Pool,
  installed: readonly string[],
  job: string,
  region: string | undefined,
): Promise<readonly string[]> {
  const gates = await gatesOf(control);
  const known = gates.get(job) ?? [];
  if (known.length === 0 && !installed.includes(job)) {
    throw unknownName('JOB_UNKNOWN', 'job', job, [...new Set([...gates.keys(), ...installed])]);
  }
  if (region === undefined) return known;
  requireRegion(region, known);
  return [region];
}
