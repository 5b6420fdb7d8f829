import type pg from 'pg';
import { z } from 'zod';
import { compareText } from '../kernel/text.js';
import { PortcullisError } from '../kernel/errors.js';
import { count, durationMs, named, isoTime } from '../kernel/schema.js';
import { keyOfCursor, MomentKey, walk, type Page, type PageRequest, type Walk } from '../postgres/page.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import { TRIGGERS } from './election.js';
import { RUN_STATES, type RunStatus } from './run-states.js';
import { FiringTrigger, RestoredPart, Trial } from './run-triggers.js';

const KindCounts = named('KindCounts', z.record(z.string(), count).describe('counts by kind of change'));

export const runStatuses = Object.keys(RUN_STATES) as [RunStatus, ...RunStatus[]];

/** A run as people and programs read it. */
export const RunView = named(
  'Run',
  z.strictObject({
    runId: z.guid(),
    job: z.string(),
    version: z.string(),
    region: z.string(),
    slot: isoTime.describe('the scheduled time that it stands for; ISO 8601, UTC'),
    trigger: z.enum(TRIGGERS),
    restores: z.guid().nullable().describe('the run whose changes this one restores'),
    dryRun: z.boolean(),
    status: z.enum(runStatuses),
    reasonCode: z.string(),
    reason: z.string(),
    planned: KindCounts,
    applied: KindCounts,
    conflicts: count,
    cascading: KindCounts.describe('rows of other tables that go with planned deletes, by kind of change'),
    cascaded: KindCounts.describe('the same, as they went'),
    triggers: z
      .strictObject({ fire: z.array(FiringTrigger).readonly(), trial: Trial.nullable() })
      .nullable()
      .describe('triggers that fire on what is planned, and what a dry run saw of them; null: nobody looked'),
    part: RestoredPart.nullable().describe(
      'what of a run a restore restores; null: everything, or no restore',
    ),
    attempt: z.int().min(1).describe('one more for each worker that took it over'),
    worker: z.string(),
    admittedUnits: count.nullable(),
    askedPermille: count.nullable().describe('thousandths that the flag asked for'),
    admittedPermille: count.nullable().describe('thousandths that the version was admitted to, of these'),
    breakGlass: z
      .string()
      .nullable()
      .describe('the break-glass without which the version would have had less; null: none'),
    createdAt: isoTime,
    plannedAt: isoTime.nullable(),
    finishedAt: isoTime.nullable(),
    durationMs: durationMs.nullable().describe('milliseconds from election to end; null while it runs'),
  }),
);
export type RunView = z.infer<typeof RunView>;

export interface RunFilter {
  readonly job?: string | undefined;
  readonly region?: string | undefined;
  readonly status?: RunStatus | undefined;
  /** Leaves held runs out. */
  readonly notHeld?: boolean | undefined;
  /** Only restores of this run. */
  readonly restores?: string | undefined;
}

/** A view's columns, and created_at to the microsecond, which a Date cannot hold and the walk must not lose. */
interface RunRow {
  readonly runId: string;
  readonly created_key: string;
}

const COLUMNS = `
  ${viewColumns(RunView, {
    runId: 'id',
    cascading: "coalesce(cascading, '{}')",
    cascaded: "coalesce(cascaded, '{}')",
    durationMs: 'floor(extract(epoch from finished_at - created_at) * 1000)::bigint',
  })}, created_at::text as created_key`;

const RunKey = z.tuple([MomentKey, z.guid()]);

/** Runs, newest first. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listRuns(pool: pg.Pool, filter: RunFilter, page: PageRequest): Promise<Page<RunView>> {
  return walk(pool, runsBy(filter), page);
}

/** Runs, newest first, in any number of databases. */
export function runsBy(filter: RunFilter): Walk<RunRow, RunView> {
  return {
    rows: async (pool, page) => {
      const [createdAt, id] = keyOfCursor(page.cursor, RunKey) ?? [null, null];
      const { rows } = await pool.query<RunRow>(
        `select ${COLUMNS} from portcullis_region.run
         where ($1::text is null or job = $1)
           and ($2::text is null or region = $2)
           and ($3::text is null or status = $3)
           and ($4::timestamptz is null or (created_at <= $4 and (created_at < $4 or id > $5::uuid)))
           ${filter.notHeld === true ? "and status <> 'held'" : ''}
           ${filter.restores === undefined ? '' : 'and restores = $7'}
         order by created_at desc, id
         limit $6`,
        [
          ...[filter.job, filter.region, filter.status, createdAt, id, page.limit + 1],
          ...(filter.restores === undefined ? [] : [filter.restores]),
        ],
      );
      return rows;
    },
    compare: (one, other) =>
      compareText(other.created_key, one.created_key) || compareText(one.runId, other.runId),
    item: runView,
    keyOf: (row) => [row.created_key, row.runId],
  };
}

/** The most held runs that are counted. */
export const MOST_HELD = 10_000;

/** How many held runs there are since a moment, or at all; no more than MOST_HELD are counted. */
export async function countHeld(
  pool: pg.Pool,
  { job, region }: RunFilter,
  since: string | undefined,
): Promise<number> {
  const { rows } = await pool.query<{ held: number }>(
    `select count(*)::integer as held from (
       select from portcullis_region.run
       where status = 'held' and ($1::text is null or job = $1) and ($2::text is null or region = $2)
         and ($3::timestamptz is null or created_at >= $3)
       order by created_at desc
       limit ${MOST_HELD}
     ) as held`,
    [job, region, since],
  );
  return rows[0]?.held ?? 0;
}

/** The newest runs of a job in a region: of any version, and of each of these. */
export interface LastRuns {
  readonly newest: RunView | null;
  readonly byVersion: ReadonlyMap<string, RunView>;
}

/** A job in a region, and the versions that are asked about. */
export interface Place {
  readonly job: string;
  readonly region: string;
  readonly versions: readonly string[];
}

/** What ran last in each place, in their order, for who asks whether it went well: neither dry runs nor restores. */
export async function lastRuns(pool: pg.Pool, places: readonly Place[]): Promise<LastRuns[]> {
  const wanted = places.flatMap(({ job, region, versions }, place) =>
    [null, ...versions].map((version) => ({ place, job, region, version })),
  );
  if (wanted.length === 0) return [];
  const { rows } = await pool.query<RunRow & { readonly place: number; readonly of: string | null }>(
    `select last.*, wanted.place, wanted.version as of
     from unnest($1::integer[], $2::text[], $3::text[], $4::text[]) as wanted (place, job, region, version)
     cross join lateral (
       select ${COLUMNS} from portcullis_region.run r
       where r.job = wanted.job and r.region = wanted.region
         and (wanted.version is null or r.version = wanted.version)
         and not dry_run and restores is null
       order by created_at desc, id limit 1
     ) last`,
    [
      wanted.map(({ place }) => place),
      wanted.map(({ job }) => job),
      wanted.map(({ region }) => region),
      wanted.map(({ version }) => version),
    ],
  );
  return places.map((_, place) => {
    const here = rows.filter((row) => row.place === place);
    const newest = here.find((row) => row.of === null);
    return {
      newest: newest === undefined ? null : runView(newest),
      byVersion: new Map(here.flatMap((row) => (row.of === null ? [] : [[row.of, runView(row)] as const]))),
    };
  });
}

/**
 * The run of that id, or the only run whose id begins with it (at least 4 hexadecimal digits; hyphens do not
 * matter). Throws RUN_UNKNOWN, RUN_AMBIGUOUS with some of the ids it could be, or REQUEST_INVALID.
 */
export async function findRun(pool: pg.Pool, idOrPrefix: string): Promise<RunView> {
  const digits = idOrPrefix.toLowerCase().replaceAll('-', '');
  if (!/^[0-9a-f]{4,32}$/.test(digits)) {
    throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(idOrPrefix)} cannot be a run's id`, {
      hint: "give a run's id, or the first 4 or more hexadecimal digits of one",
    });
  }
  const { rows } = await pool.query<RunRow>(
    `select ${COLUMNS} from portcullis_region.run where id between $1 and $2 order by id limit 6`,
    [digits.padEnd(32, '0'), digits.padEnd(32, 'f')],
  );
  const [found, ...others] = rows;
  if (found === undefined) {
    throw new PortcullisError('RUN_UNKNOWN', `no run's id begins with ${idOrPrefix}`, {
      hint: 'list the runs to find its id',
      details: { id: idOrPrefix },
    });
  }
  if (others.length > 0) {
    throw new PortcullisError('RUN_AMBIGUOUS', `several runs begin with ${idOrPrefix}`, {
      hint: 'give more of the id',
      details: { id: idOrPrefix, candidates: rows.slice(0, 5).map((row) => row.runId) },
    });
  }
  return runView(found);
}

function runView(row: RunRow): RunView {
  return viewOf(RunView, row);
}
