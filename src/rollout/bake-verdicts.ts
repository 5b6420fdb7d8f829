import type pg from 'pg';
import type { RuleKind } from '../flags/guard-policy.js';
import { loadPolicy } from '../flags/policy-store.js';
import { readVerdicts } from '../guard/bake/verdicts.js';
import type { RuleVerdict } from './evidence.js';

/** The rules that go on judging while a version bakes; the others have judged each run already. */
const BAKING: readonly RuleKind[] = ['outcome', 'promql', 'alert', 'absence'];

/** A verdict that nobody has renewed for so long says nothing of now. */
const STALE_MS = 120_000;

/**
 * What each bake rule of the job's policy last said of a version in a region. One that has not been asked yet has
 * too few samples, and one that has not been asked for two minutes has no data.
 */
export async function bakeVerdicts(
  control: pg.Pool,
  job: string,
  version: string,
  region: string,
): Promise<RuleVerdict[]> {
  const loaded = await loadPolicy(control, job);
  if (!loaded.ok) {
    return [{ rule: 'policy', verdict: 'no-data', reason: loaded.reason, judgedAt: new Date(0) }];
  }
  const rules = loaded.policy.guard.rules.filter(({ kind }) => BAKING.includes(kind));
  if (rules.length === 0) return [];
  const said = await readVerdicts(control, { job, version, region });
  return rules.map(({ name }): RuleVerdict => {
    const found = said.find(({ rule }) => rule === name);
    if (!found) {
      return { rule: name, verdict: 'too-few', reason: `${name}: not judged yet`, judgedAt: new Date(0) };
    }
    const { verdict, reason, judgedAt, ageMs } = found;
    // A failure is for good, however old.
    if (verdict === 'fail' || ageMs <= STALE_MS) return { rule: name, verdict, reason, judgedAt };
    return {
      rule: name,
      verdict: 'no-data',
      reason: `${name}: not judged since ${judgedAt.toISOString()}`,
      judgedAt,
    };
  });
}
