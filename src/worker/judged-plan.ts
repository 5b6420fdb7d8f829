import type pg from 'pg';
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

function endOf(code: EndCode, reason: string): Outcome {
  return { status: ENDS[code], code, reason };
}
