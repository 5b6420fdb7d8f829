import type pg from 'pg';
import { BATCH_OF_CHANGE } from '../../journal/batch-of.js';
import { KEPT_DAYS } from './outcome-report.js';

/** From when on a unit had a version's change. */
export interface UnitChange {
  readonly unit: string;
  /** Null: it was restored, and has none any more. */
  readonly version: string | null;
  readonly appliedAt: Date;
}

/**
 * Takes from the journal which units runs have changed since it was last asked: runs that are over for good,
 * runs under way as far as they have got. Conflicts, which changed nothing, are left out.
 */
export async function noteUnitChanges(client: pg.PoolClient, job: string, region: string): Promise<void> {
  const { rows } = await client.query<{ id: string; over: boolean }>(
    `select r.id, r.finished_at is not null as over from portcullis_region.run r
     where r.job = $1 and r.region = $2 and r.lanes > 0 and not r.dry_run
       and r.created_at > clock_timestamp() - make_interval(days => $3)
       and not exists (select from portcullis_region.unit_change_run done where done.run = r.id)
     order by r.created_at`,
    [job, region, KEPT_DAYS],
  );
  for (const { id, over } of rows) {
    await client.query(
      `insert into portcullis_region.unit_change (job, region, unit, run, version, applied_at)
       select r.job, r.region, c.unit, r.id, case when r.restores is null then r.version end, min(b.applied_at)
       from portcullis_region.run r
       join portcullis_region.change c on c.run = r.id
       join lateral (${BATCH_OF_CHANGE}) b on true
       where r.id = $1
         and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
       group by r.job, r.region, c.unit, r.id
       on conflict (run, unit) do nothing`,
      [id],
    );
    if (over)
      await client.query(
        'insert into portcullis_region.unit_change_run (run) values ($1) on conflict do nothing',
        [id],
      );
  }
}

/** Every change that stands at a unit of the region, by unit and time. */
export async function readUnitChanges(
  client: pg.PoolClient,
  job: string,
  region: string,
): Promise<UnitChange[]> {
  const { rows } = await client.query<UnitChange>(
    `select unit, version, applied_at as "appliedAt" from portcullis_region.unit_change
     where job = $1 and region = $2 order by unit, applied_at, run`,
    [job, region],
  );
  return rows;
}
