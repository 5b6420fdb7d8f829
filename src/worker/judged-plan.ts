import type pg from 'pg';
import { formatDurationMs } from '../kernel/duration.js';
import { countOf } from '../kernel/words.js';
import { gravest } from '../containment/consequences.js';
import type { Judged } from '../containment/verdict.js';
import type { Run } from '../runs/election.js';
import { EPOCHS, type Epochs } from './apply-phase.js';
import type { Outcome } from '../runs/finish.js';
import type { FinalStatus } from '../runs/run-states.js';

/** How a run ends whose plan is judged and has nothing to be applied, by the code of its reason. */
const ENDS = {
  'guard-tripped': 'refused',
  'guard-failed': 'refused',
  'guard-held': 'held',
  'dry-run': 'planned',
  'nothing-to-do': 'succeeded',
} as const satisfies Record<string, FinalStatus>;

type EndCode = keyof typeof ENDS;

/** What a judged plan comes to: an end, and the rules that trip; or nothing, where it is to be applied. */
export interface JudgedPlan {
  readonly end: Outcome | undefined;
  readonly tripping: readonly Judged[];
}

/**
 * Decides what follows from what the rules said of a plan. Pure. A rule that fails trips, but never for a dry
 * run: that was not going to write.
 */
export function judgedPlan(
  judged: readonly Judged[],
  dryRun: boolean,
  counts: Readonly<Record<string, number>>,
): JudgedPlan {
  const { consequence, because } = gravest('plan', judged) ?? { consequence: 'go-on', because: [] };
  const words = because.map(({ reason }) => reason).join('; ');
  if (consequence === 'trip') {
    return dryRun
      ? { end: endOf('guard-failed', words), tripping: [] }
      : { end: endOf('guard-tripped', words), tripping: because };
  }
  if (consequence === 'hold') return { end: endOf('guard-held', words), tripping: [] };
  if (dryRun) return { end: endOf('dry-run', 'a dry run: nothing was written'), tripping: [] };
  if (Object.keys(counts).length > 0) return { end: undefined, tripping: [] };
  return { end: endOf('nothing-to-do', 'there was nothing to change'), tripping: [] };
}

/** A plan that stands in the database, judged, and not begun. */
export interface StoredPlan {
  readonly counts: Readonly<Record<string, number>>;
  /** The epochs that the run was admitted under; undefined for a dry run behind a closed gate. */
  readonly admitted: Epochs | undefined;
  /** How the run ends; undefined where the plan is to be applied. */
  readonly end: Outcome | undefined;
}

/**
 * The plan of a run that its former worker has planned and judged, and left there. Undefined for a run that is not
 * planned yet.
 */
export async function judgedBefore(region: pg.Pool, run: Run): Promise<StoredPlan | undefined> {
  const { rows } = await region.query<
    Omit<Epochs, 'gate'> & {
      counts: StoredPlan['counts'];
      gate: number | null;
      outcome: Outcome | null;
    }
  >(
    `select planned as counts, outcome, ${EPOCHS}
     from portcullis_region.plan where run = $1`,
    [run.id],
  );
  const [row] = rows;
  if (!row) return undefined;
  const { counts, gate, version, breakGlass, until, outcome } = row;
  return {
    counts,
    admitted: gate === null ? undefined : { gate, version, breakGlass, until },
    end: outcome ?? undefined,
  };
}

/** The code of a run that was taken over with a plan that is too old: what it applied stays, and another plans the rest. */
export const PLAN_EXPIRED = 'plan-expired';

/** How a run ends that was taken over when its plan was older than the policy's `plan.maxAge`; undefined: it is not. */
export async function expiredPlan(
  region: pg.Pool,
  run: Run,
  status: 'planning' | 'applying',
): Promise<Outcome | undefined> {
  const { rows } = await region.query<{ age: number; applied: number; all: number }>(
    `select extract(epoch from clock_timestamp() - p.planned_at)::float8 * 1000 as age,
       coalesce(sum(l.applied_seq), 0)::bigint as applied, coalesce(sum(l.last_seq), 0)::bigint as "all"
     from portcullis_region.plan p left join portcullis_region.lane l on l.run = p.run
     where p.run = $1 and p.expires_at <= clock_timestamp() group by p.run`,
    [run.id],
  );
  const [plan] = rows;
  if (!plan) return undefined;
  const old = `its plan was ${formatDurationMs(plan.age)} old, over the policy's plan.maxAge, when the run was taken over`;
  return status === 'planning'
    ? { status: 'held', code: PLAN_EXPIRED, reason: `${old}; nothing was applied, and a new run plans again` }
    : {
        ...{ status: 'stopped', code: PLAN_EXPIRED },
        reason: `${old}; ${plan.applied} of ${countOf(plan.all, 'change')} stay applied, and a new run plans the rest`,
      };
}

function endOf(code: EndCode, reason: string): Outcome {
  return { status: ENDS[code], code, reason };
}
