import type pg from 'pg';
import { z } from 'zod';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import type { Incident, IncidentRegion } from './incident.js';
import { count, isoTime } from '../kernel/schema.js';
import { runStatuses } from '../runs/browse-runs.js';
import { viewColumns, viewOf, isoOf } from '../postgres/view.js';
import { RestoredPart } from '../runs/run-triggers.js';

/** The database that holds a region. */
export type PoolOf = (region: string) => pg.Pool;

const RunRestore = z.strictObject({
  id: z.guid(),
  status: z.enum(runStatuses),
  createdAt: isoTime,
  finishedAt: isoTime.nullable(),
  restored: count.describe('rows put back'),
  conflicts: count.describe('rows skipped, because others had changed them'),
  part: RestoredPart.nullable().describe('what of the run it restores; null: everything'),
});
export type RunRestore = z.infer<typeof RunRestore>;

/** A run of an incident, as people and programs read it. */
export const IncidentRun = z.strictObject({
  id: z.guid(),
  version: z.string(),
  region: z.string(),
  trigger: z.string(),
  status: z.enum(runStatuses),
  reason: z.string(),
  createdAt: isoTime,
  finishedAt: isoTime.nullable(),
  firstAppliedAt: isoTime.nullable(),
  lastAppliedAt: isoTime.nullable(),
  restore: RunRestore.nullable().describe(
    'the last restore of all of it, or the last of those that have restored all of it part by part; null: none',
  ),
  restores: z
    .array(RunRestore)
    .readonly()
    .describe('every restore of it, the first first: each puts back what those before it have left'),
});
export type IncidentRun = z.infer<typeof IncidentRun>;

/** A region whose database could not be asked. */
export const SilentRegion = z.strictObject({ region: z.string(), reason: z.string() });
export type SilentRegion = z.infer<typeof SilentRegion>;

export interface IncidentRuns {
  /** The newest first. */
  readonly runs: readonly IncidentRun[];
  readonly silent: readonly SilentRegion[];
}

/**
 * The runs that belong to an incident: of its job, and of its version where that is known, in its regions,
 * elected from the first bad run on and before it was contained there. Where nobody has named damage, none does. Dry
 * runs, restores and runs that were held are not among them. A region that does not answer is named, and keeps nothing else back.
 */
export async function runsOfIncident(poolOf: PoolOf, incident: Incident): Promise<IncidentRuns> {
  const { job, version, regions } = incident;
  const asked = await Promise.allSettled(
    regions.map(async (region) =>
      region.damaged ? runsIn(poolOf(region.region), job, version, region) : [],
    ),
  );
  const runs = [];
  const silent = [];
  for (const [at, { region }] of regions.entries()) {
    const outcome = asked[at];
    if (outcome?.status === 'fulfilled') runs.push(...outcome.value);
    else silent.push({ region, reason: messageOf(outcome?.reason) });
  }
  runs.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? -1 : 1));
  return { runs, silent };
}

/** The runs whose changes are there to be put back: those that wrote, the newest first. */
export function writers(runs: readonly IncidentRun[]): IncidentRun[] {
  return runs.filter(({ firstAppliedAt }) => firstAppliedAt !== null);
}

/** That an incident's runs have nothing to be put back, as far as they could be asked. */
export function nothingToRestore(ids: string, silent: readonly SilentRegion[]): PortcullisError {
  const unasked = silent.map(({ region, reason }) => `${region} could not be asked: ${reason}`);
  return new PortcullisError(
    'NOTHING_REACHED',
    [`no run of ${ids} has changes that are not restored`, ...unasked].join('; '),
    {
      hint:
        silent.length === 0
          ? `nothing to do; portcullis incident show ${ids} lists the runs`
          : 'try again when these databases can be reached',
      details: { incident: ids, silent },
    },
  );
}

/** What restores of runs have come to. */
export interface Restored {
  /** Rows put back so far, and rows that restores skipped because others had touched them. */
  readonly restored: number;
  readonly restoreConflicts: number;
}

export function restoredOf(runs: readonly IncidentRun[]): Restored {
  return {
    restored: runs.flatMap(({ restores }) => restores).reduce((all, { restored }) => all + restored, 0),
    // What the last one met: those before it met the same rows.
    restoreConflicts: runs.reduce((all, { restore }) => all + (restore?.conflicts ?? 0), 0),
  };
}

/** The sums of these figures over all. */
export function totalsOf<Figure extends string>(
  all: readonly Readonly<Record<Figure, number>>[],
  ...figures: readonly Figure[]
): Record<Figure, number> {
  const total = (figure: Figure): number => all.reduce((sum, each) => sum + each[figure], 0);
  return Object.fromEntries(figures.map((figure) => [figure, total(figure)])) as Record<Figure, number>;
}

/** Asks about what an incident's runs wrote, region by region where they did; those that could not be asked are named. */
export async function inEachRegion<Answer>(
  incident: Incident,
  runs: readonly IncidentRun[],
  ask: (region: string, wrote: readonly IncidentRun[]) => Promise<Answer>,
): Promise<{ readonly found: readonly Answer[]; readonly silent: readonly SilentRegion[] }> {
  const found: Answer[] = [];
  const silent: SilentRegion[] = [];
  for (const { region } of incident.regions) {
    const wrote = writers(runs).filter((run) => run.region === region);
    if (wrote.length === 0) continue;
    try {
      found.push(await ask(region, wrote));
    } catch (error) {
      silent.push({ region, reason: messageOf(error) });
    }
  }
  return { found, silent };
}

const COLUMNS = viewColumns(IncidentRun, {
  // A part that is restored says nothing of the rest.
  restore: `case
    when x.whole is not null then x.whole
    when x.restored >= (select sum(n::bigint) from jsonb_each_text(r.applied) a (kind, n)) then x.restores -> -1
  end`,
  restores: 'x.restores',
});

async function runsIn(
  pool: pg.Pool,
  job: string,
  version: string | null,
  { region, since, containedAt }: IncidentRegion,
): Promise<IncidentRun[]> {
  const { rows } = await pool.query<object>(
    `select ${COLUMNS}
     from portcullis_region.run r
     left join lateral (
       select min(applied_at) as first_applied_at, max(applied_at) as last_applied_at
       from portcullis_region.batch where run = r.id
     ) b on true
     cross join lateral (
       select coalesce(jsonb_agg(one order by created_at, id), '[]') as restores,
         (jsonb_agg(one order by created_at desc, id desc) filter (where one ->> 'part' is null)) -> 0 as whole,
         sum((one ->> 'restored')::bigint) as restored
       from (
         select x.id, x.created_at, jsonb_build_object(
           'id', x.id, 'status', x.status, 'createdAt', ${isoOf('x.created_at')}, 'finishedAt', ${isoOf('x.finished_at')},
           'conflicts', x.conflicts,
           'restored', (select coalesce(sum(n::bigint), 0) from jsonb_each_text(x.applied) a (kind, n)),
           -- Whatever the schema's age.
           'part', to_jsonb(x) -> 'part'
         ) as one
         from portcullis_region.run x
         where x.restores = r.id and not x.dry_run
       ) each
     ) x
     where r.job = $1 and r.region = $2 and ($3::text is null or r.version = $3)
       and r.created_at >= $4 and r.created_at <= coalesce($5, 'infinity'::timestamptz)
       and not r.dry_run and r.restores is null and r.status not in ('held', 'skipped')`,
    [job, region, version, since, containedAt],
  );
  return rows.map((row) => viewOf(IncidentRun, row));
}
