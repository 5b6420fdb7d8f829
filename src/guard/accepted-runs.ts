import type pg from 'pg';
import type { CountOf, RateOf } from '../flags/guard-policy.js';
import type { Buckets } from '../kernel/bucketing.js';
import { calendarOf, specialDays } from './count-calendar.js';
import type { CountedRun } from './count-history.js';
import type { CountState } from './count-state.js';
import { MOST_OLDER_RUNS, SPECIAL_DAYS_MS, type Covering } from './coverage.js';
import type { NewlyAdmittedKept } from './newly-admitted.js';

/** What a count is of: one kind of change, or the units that have any. */
export interface Counted {
  /** The kind of change: `claim`. */
  readonly change: string;
  readonly of: CountOf;
}

/** Whose history. */
export interface CountSubject extends Counted {
  /** The rule that kept something of each run; absent: what was kept does not matter. */
  readonly rule?: string;
  readonly job: string;
  readonly region: string;
  /** Where the days of its calendar turn; without it UTC. */
  readonly timeZone?: string | undefined;
}

/** What the accepted runs of a job in a region planned. */
export interface AcceptedHistory {
  /** Oldest first. */
  readonly runs: readonly AcceptedRun[];
  /** Since when levels hold, by kind, and under '' for all of them. */
  readonly baselines: ReadonlyMap<string, Date>;
}

interface AcceptedRun extends Covering {
  readonly id: string;
  readonly at: Date;
  readonly due: Date;
  /** A person accepted it after it was held, tripped or restored. */
  readonly accepted: boolean;
  /** What count rules kept of it, by the rule's name; only of the latest runs and of those on a month's special days. */
  readonly states: ReadonlyMap<string, CountState>;
  readonly admitted: number;
  readonly planned: Readonly<Record<CountOf, Readonly<Record<string, number>> | null>>;
  readonly apart: NewlyAdmittedKept | null;
}

/** As many runs as one every five minutes makes in the four weeks of the baseline; today's are beyond MOST_BASELINE_RUNS. */
const MOST_RUNS = 8_200;
/** What rules kept is read of the runs among which they look for a shift of the level, and of a month's special days. */
const STATES_OF = 100;

/**
 * Runs `r` of job $1 in region $2 of the baseline: carried out to their end, neither tripped nor restored
 * since, and what else a person has accepted; never dry runs, restores, or runs that admitted nobody.
 */
const ACCEPTED = `r.job = $1 and r.region = $2 and not r.dry_run and r.restores is null and r.admitted_units > 0
       and (r.accepted_at is not null or (
         r.status = 'succeeded'
         and not exists (select from portcullis_region.trip t where t.run = r.id)
         and not exists (
           select from portcullis_region.run cure
           where cure.restores = r.id and not cure.dry_run
             and cure.status in ('planning', 'applying', 'succeeded'))))`;

const FACTS =
  'id, created_at, slot, accepted_at is not null as accepted, admitted_units, planned, planned_units, covered, newcomers';

/**
 * The newest accepted runs, those that planned and applied to their end and those that a person has accepted, and of
 * 400 days before those of the special days of each month, as they are in `timeZone`. Runs that were held, tripped or
 * restored, restores, dry runs and runs that admitted nobody are not among them.
 */
export async function acceptedHistory(
  client: pg.Pool | pg.PoolClient,
  { job, region, timeZone }: HistoryOf,
  most = MOST_RUNS,
): Promise<AcceptedHistory> {
  const { rows: baselines } = await client.query<{ kind: string; since: Date }>(
    'select kind, since from portcullis_region.baseline where job = $1 and region = $2',
    [job, region],
  );
  const { rows: newest } = await client.query<AcceptedRow>(
    `select ${FACTS} from portcullis_region.run r where ${ACCEPTED} order by created_at desc limit $3`,
    [job, region, most],
  );
  const [last, first] = [newest[0], newest.at(-1)];
  const days =
    last && first && newest.length === most
      ? specialDays(calendarOf(timeZone), Number(last.created_at) - SPECIAL_DAYS_MS, Number(first.created_at))
      : [];
  const rows = [...newest];
  // Only a job of many runs a day has older ones: every other's plan waits for one query less.
  if (days.length > 0) {
    const older = await client.query<AcceptedRow>(
      `select ${FACTS} from portcullis_region.run r
       join unnest($3::timestamptz[], $4::timestamptz[]) as special (day, until)
         on r.created_at >= special.day and r.created_at < special.until
       where ${ACCEPTED} order by created_at desc limit ${MOST_OLDER_RUNS}`,
      [job, region, days.map(({ from }) => new Date(from)), days.map(({ to }) => new Date(to))],
    );
    rows.push(...older.rows);
  }
  const { placeOf } = calendarOf(timeZone);
  const isStateRead = ({ slot }: AcceptedRow, at: number): boolean =>
    at < STATES_OF || placeOf(Number(slot)).month !== 0;
  const states = await statesOf(client, rows.filter(isStateRead));
  return {
    runs: rows.map((row) => acceptedRun(row, states.get(row.id) ?? new Map())).reverse(),
    baselines: new Map(baselines.map(({ kind, since }) => [kind, since])),
  };
}

/** Whose history, and where the days of its calendar turn. */
export interface HistoryOf {
  readonly job: string;
  readonly region: string;
  readonly timeZone?: string | undefined;
}

async function statesOf(
  client: pg.Pool | pg.PoolClient,
  runs: readonly AcceptedRow[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, CountState>>> {
  const { rows } = await client.query<{ run: string; rule: string; state: CountState }>(
    `select run, rule, state from portcullis_region.verdict
     where run = any($1) and stage = 'plan' and state is not null`,
    [runs.map(({ id }) => id)],
  );
  const byRun = new Map<string, Map<string, CountState>>();
  for (const { run, rule, state } of rows) {
    byRun.set(run, (byRun.get(run) ?? new Map<string, CountState>()).set(rule, state));
  }
  return byRun;
}

interface AcceptedRow {
  readonly id: string;
  readonly created_at: Date;
  readonly slot: Date;
  readonly accepted: boolean;
  readonly admitted_units: number;
  readonly planned: Readonly<Record<string, number>>;
  readonly planned_units: Readonly<Record<string, number>> | null;
  readonly covered: Buckets | null;
  readonly newcomers: NewlyAdmittedKept | null;
}

function acceptedRun(row: AcceptedRow, states: AcceptedRun['states']): AcceptedRun {
  return {
    id: row.id,
    at: row.created_at,
    due: row.slot,
    accepted: row.accepted,
    states,
    admitted: row.admitted_units,
    planned: { changes: row.planned, units: row.planned_units },
    covered: row.covered ?? undefined,
    newcomers: row.newcomers?.buckets,
    apart: row.newcomers,
  };
}

/**
 * What the runs of a history planned of a kind for the units that were known then; but for runs from before the
 * level of that kind was said to have shifted, and those of which nobody has counted the units where these are
 * asked for.
 */
export function countedRuns(
  { runs, baselines }: AcceptedHistory,
  { change, of, rule = '' }: Counted & { readonly rule?: string },
): CountedRun[] {
  const since = Math.max(...['', change].map((kind) => Number(baselines.get(kind) ?? -Infinity)));
  return runs.flatMap((run) => {
    const { at, due, accepted, admitted, planned, covered, newcomers, apart } = run;
    const counts = planned[of];
    if (counts === null || Number(at) <= since) return [];
    const beside = { units: apart?.admitted ?? 0, count: apart?.[of][change] ?? 0 };
    const count = (counts[change] ?? 0) - beside.count;
    const units = admitted - beside.units;
    const state = run.states.get(rule);
    const seen = { at, due, accepted, state, covered, newcomers };
    return [{ ...seen, count, units, apart: apart ? beside : undefined }];
  });
}

/** The same of the newest runs in the database, so many at the most (absent: those that judge the next run), and of special days before. Oldest first. */
export async function acceptedRuns(
  pool: pg.Pool | pg.PoolClient,
  subject: CountSubject,
  most?: number,
): Promise<CountedRun[]> {
  return countedRuns(await acceptedHistory(pool, subject, most), subject);
}

/** Rates learn from so many of the newest accepted runs. */
const RUNS_FOR_RATES = 100;

/** How many changes accepted runs carried out, and how many of those went wrong in that way. */
export async function acceptedEvents(
  client: pg.Pool | pg.PoolClient,
  { job, region }: { readonly job: string; readonly region: string },
  of: RateOf,
): Promise<{ readonly changes: number; readonly events: number }> {
  const { rows } = await client.query<{ changes: number; events: number }>(
    `with accepted as (
       select r.id, (select coalesce(sum(value::bigint), 0) from jsonb_each_text(r.planned)) as changes
       from portcullis_region.run r
       where ${ACCEPTED} and r.lanes > 0
       order by r.created_at desc limit ${RUNS_FOR_RATES}
     )
     select coalesce(sum(changes), 0)::float8 as changes,
       (select count(*) from portcullis_region.conflict x
        where x.run in (select id from accepted) and ($3 = 'errors' or (x.refusal is null) = ($3 = 'conflicts'))) as events
     from accepted`,
    [job, region, of],
  );
  return rows[0] ?? { changes: 0, events: 0 };
}
