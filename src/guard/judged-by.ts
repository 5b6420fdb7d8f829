import type pg from 'pg';
import { rulesOf, type GuardPolicy } from '../flags/guard-policy.js';
import { acceptedHistory, countedRuns } from './accepted-runs.js';
import { decide, type CountOptions } from './count.js';
import { CountHistory, type CountedRun } from './count-history.js';
import { shownInterval, unlikelyFrom } from './count-prediction.js';

/** By what a count rule judges a run of some units at some time. */
export interface JudgedBy {
  readonly rule: string;
  /** Which runs it is compared with: `runs 09:00–17:00 on Mon–Fri`. */
  readonly comparable: string;
  readonly samples: number;
  readonly expected: number;
  readonly low: number;
  readonly high: number;
  /** The smallest count that trips; null where none does. */
  readonly tripsFrom: number | null;
}

/** By what the next run is judged that is due at the same time of week; undefined where there is nothing to compare with. */
export function nextJudgedBy(
  past: readonly CountedRun[],
  { due, units }: { readonly due: number; readonly units: number },
  options: CountOptions,
): JudgedBy | undefined {
  const history = new CountHistory(options.timeZone, past);
  const newest = past.reduce((latest, { at }) => Math.max(latest, Number(at)), -Infinity);
  if (!Number.isFinite(newest)) return undefined;
  const { usualMs } = history.compare({ at: newest + 1, count: 0, units });
  const { comparison, expected } = decide(history, { at: newest + usualMs, due, count: 0, units }, options);
  if (!expected) return undefined;
  const from = unlikelyFrom(expected.own, options.alpha);
  return {
    rule: options.rule,
    comparable: comparison.class.words,
    samples: comparison.class.runs.length,
    expected: expected.own.mean,
    ...shownInterval(expected.own),
    tripsFrom: Number.isFinite(from) ? Math.max(options.floor, from) : null,
  };
}

/** The same by each count rule of a policy, of a run in the database. */
export async function judgedByRules(
  region: pg.Pool,
  run: { readonly runId: string; readonly job: string; readonly region: string },
  { rules, timeZone }: GuardPolicy,
): Promise<JudgedBy[]> {
  const { rows } = await region.query<{ slot: Date; units: number | null }>(
    'select slot, admitted_units as units from portcullis_region.run where id = $1',
    [run.runId],
  );
  const [like] = rows;
  if (!like?.units) return [];
  const history = await acceptedHistory(region, { ...run, timeZone });
  return rulesOf(rules, 'count').flatMap(({ name, change, of, alpha, floor }) => {
    const options = { rule: name, of, alpha, floor, ...(timeZone !== undefined && { timeZone }) };
    const due = { due: Number(like.slot), units: like.units ?? 0 };
    return nextJudgedBy(countedRuns(history, { change, of, rule: name }), due, options) ?? [];
  });
}
