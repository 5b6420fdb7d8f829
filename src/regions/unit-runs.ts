import type pg from 'pg';
import { z } from 'zod';
import { count, named, isoTime } from '../kernel/schema.js';
import { compareText } from '../kernel/text.js';
import { keyOfCursor, mergedPage, MomentKey, type PageRequest, type Walk } from '../postgres/page.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import { runStatuses } from '../runs/browse-runs.js';
import type { RegionsPage } from './browse.js';
import { queryRegions } from './query-regions.js';
import type { RegionDatabases } from './region-database.js';

/** The most changes of one run for one unit that are counted. */
export const MOST_COUNTED = 10_000;

/** A run that planned a change for a unit. */
export const UnitRunView = named(
  'UnitRun',
  z.strictObject({
    runId: z.guid(),
    job: z.string(),
    version: z.string(),
    region: z.string(),
    restores: z.guid().nullable().describe('the run whose changes this one restores'),
    dryRun: z.boolean(),
    status: z.enum(runStatuses),
    createdAt: isoTime,
    planned: count.describe(`changes planned for the unit; at most ${MOST_COUNTED} are counted`),
    applied: count.describe('of these, applied'),
    conflicts: count.describe('of these, left out because their rows were not as planned'),
  }),
);
export type UnitRunView = z.infer<typeof UnitRunView>;

export interface UnitRunFilter {
  readonly unit: string;
  readonly job?: string | undefined;
  readonly region?: string | undefined;
}

interface UnitRunRow {
  readonly runId: string;
  /** To the microsecond, which a Date cannot hold. */
  readonly created_key: string;
}

const RunKey = z.tuple([MomentKey, z.guid()]);

/**
 * The runs of every region database that planned a change for a unit, newest first. Throws REQUEST_INVALID for a
 * cursor that is not of this list.
 */
export async function listUnitRunsOf(
  regionDatabases: RegionDatabases,
  filter: UnitRunFilter,
  page: PageRequest,
): Promise<RegionsPage<UnitRunView>> {
  const list = unitRunsBy(filter);
  const { answers, unreachable } = await queryRegions(regionDatabases, ({ worker }) =>
    list.rows(worker, page),
  );
  const parts = answers.map(({ answer }) => answer);
  return { ...mergedPage(parts, list, page), unreachable };
}

/**
 * The same in any number of databases. The index is entered once for each run of the unit, however many changes the run
 * has for it; changes are counted for the runs of the page alone.
 */
export function unitRunsBy({ unit, job, region }: UnitRunFilter): Walk<UnitRunRow, UnitRunView> {
  return {
    rows: async (pool: pg.Pool, page) => {
      const [createdAt, id] = keyOfCursor(page.cursor, RunKey) ?? [null, null];
      const { rows } = await pool.query<UnitRunRow>(
        `with recursive touching (run) as (
           (select run from portcullis_region.change where unit = $1 order by run limit 1)
           union all
           select (select c.run from portcullis_region.change c
                   where c.unit = $1 and c.run > touching.run order by c.run limit 1)
           from touching where touching.run is not null
         ), shown as (
           select r.* from touching join portcullis_region.run r on r.id = touching.run
           where ($2::text is null or job = $2)
             and ($3::text is null or region = $3)
             and ($4::timestamptz is null or (created_at <= $4 and (created_at < $4 or id > $5::uuid)))
           order by created_at desc, id
           limit $6
         )
         select ${viewColumns(UnitRunView, {
           runId: 'id',
           planned: 'counted.planned',
           applied: 'counted.applied',
           conflicts: 'counted.conflicts',
         })}, created_at::text as created_key
         from shown
         cross join lateral (
           select count(*) as planned,
             count(*) filter (where l.applied_seq >= c.seq and x.run is null) as applied,
             count(*) filter (where x.run is not null) as conflicts
           from (select run, lane, seq from portcullis_region.change
                 where unit = $1 and run = shown.id limit ${MOST_COUNTED}) c
           left join portcullis_region.lane l on l.run = c.run and l.lane = c.lane
           left join portcullis_region.conflict x on (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq)
         ) counted
         order by created_at desc, id`,
        [unit, job, region, createdAt, id, page.limit + 1],
      );
      return rows;
    },
    compare: (one, other) =>
      compareText(other.created_key, one.created_key) || compareText(one.runId, other.runId),
    item: (row) => viewOf(UnitRunView, row),
    keyOf: (row) => [row.created_key, row.runId],
  };
}
