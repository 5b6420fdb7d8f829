import type pg from 'pg';
import { storable } from '../kernel/text.js';
import { before, type FinalStatus } from './run-states.js';
import type { Run } from './election.js';

export type Counts = Readonly<Record<string, number>>;

export interface Outcome {
  readonly status: FinalStatus;
  readonly code: string;
  readonly reason: string;
}

export interface Finished extends Outcome {
  readonly planned: Counts;
  readonly applied: Counts;
  readonly conflicts: number;
  readonly conflictsByKind: Counts;
  readonly durationMs: number;
}

/** What a judged plan leaves in the row of its run, when that begins to apply it or ends. */
export const PLAN_COLUMNS = [
  'planned_at',
  'gate_epoch',
  'version_epoch',
  'flag_revision',
  'admitted_units',
  'resources',
  'steps',
  'planned',
  'planned_units',
  'covered',
  'newcomers',
  'asked_permille',
  'admitted_permille',
  'break_glass',
  'break_glass_until',
  'cascading',
  'triggers',
  'expires_at',
] as const;

/** Has the row `r` of a run take the columns of its plan `p`. */
export function takePlan(columns: readonly string[] = PLAN_COLUMNS): string {
  return columns.map((column) => `${column} = coalesce(p.${column}, r.${column})`).join(', ');
}

/** What went with rows that were deleted, by the kind of the change. */
const CASCADED = `,
         cascaded = (
           select jsonb_object_agg(d.kind, d.n) from (
             select c.kind, count(*) as n from portcullis_region.cascaded d join portcullis_region.change c using (run, lane, seq)
             where d.run = $1 and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (d.run, d.lane, d.seq))
             group by c.kind) d)`;

/**
 * Ends a run, counting what was applied from the journal itself. Answers undefined when the run is another
 * worker's by now, or already over: then nothing is changed. `planned`: the columns that the table of plans has, where
 * that may be an older schema's.
 */
export async function finishRun(
  pool: pg.Pool | pg.PoolClient,
  run: Run,
  outcome: Outcome,
  planned: readonly string[] = PLAN_COLUMNS,
): Promise<Finished | undefined> {
  const hasPlans = planned.length > 0;
  const { rows } = await pool.query<Finished>(
    `with conflicted as (
       select c.kind, count(*) as n
       from portcullis_region.conflict x
       join portcullis_region.change c using (run, lane, seq)
       where x.run = $1
       group by c.kind
     ), unapplied as (
       select c.kind, count(*) as n
       from portcullis_region.lane l
       join portcullis_region.change c on c.run = l.run and c.lane = l.lane and c.seq > l.applied_seq
       -- Without lanes that are not at their end, the changes are not even looked for.
       where l.run = $1 and l.applied_seq < l.last_seq
         and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
       group by c.kind
       union all
       select * from conflicted
     ), applied as (
       select coalesce(jsonb_object_agg(p.kind, p.n), '{}') as counts
       from (
         select p.key as kind, p.value::bigint - coalesce((select sum(u.n) from unapplied u where u.kind = p.key), 0) as n
         from portcullis_region.run r, jsonb_each_text(r.planned) p
         where r.id = $1
       ) p
     )
     update portcullis_region.run r
     set status = $3, reason_code = $4, reason = $5, finished_at = clock_timestamp(),
         applied = case when r.lanes = 0 then '{}' else applied.counts end,
         conflicts = (select coalesce(sum(n), 0) from conflicted)${planned.includes('cascading') ? CASCADED : ''}${hasPlans ? `, ${takePlan(planned)}` : ''}
     from applied ${hasPlans ? 'left join portcullis_region.plan p on p.run = $1' : ''}
     where r.id = $1 and r.attempt = $2 and r.status = any($6)
     returning status, reason_code as code, reason, r.planned, r.applied, conflicts,
       (select coalesce(jsonb_object_agg(kind, n), '{}') from conflicted) as "conflictsByKind",
       (extract(epoch from finished_at - created_at) * 1000)::float8 as "durationMs"`,
    [run.id, run.attempt, outcome.status, outcome.code, storable(outcome.reason), before(outcome.status)],
  );
  return rows[0];
}
