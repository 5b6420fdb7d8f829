import type { ChangeView } from '../journal/browse-changes.js';
import type { Verdict } from '../containment/verdict.js';
import { onTestDatabase, type TriedJob } from './job-database.js';

/** What a job planned in a region, and what the policy's rules said of that. Nothing was written. */
export interface TriedPlan {
  readonly job: string;
  readonly region: string;
  readonly status: string;
  readonly reason: string;
  readonly planned: Readonly<Record<string, number>>;
  readonly verdicts: readonly { readonly rule: string; readonly verdict: Verdict; readonly reason: string }[];
  readonly changes: readonly Pick<ChangeView, 'kind' | 'resource' | 'key' | 'unit' | 'before' | 'after'>[];
}

/**
 * Plans a job in each of its regions, on a database of its own. Throws JOB_INVALID where its declaration does not fit
 * the tables, and what the schema's SQL throws.
 */
export function tryJob(tried: TriedJob): Promise<readonly TriedPlan[]> {
  return onTestDatabase(tried, async (testIn) => {
    const plans: TriedPlan[] = [];
    for (const region of tried.regions) {
      const { status, reason, planned, verdicts, changes } = await testIn(region).plan();
      plans.push({
        ...{ job: tried.definition.name, region, status, reason },
        planned: planned as Readonly<Record<string, number>>,
        verdicts: verdicts.map(({ rule, verdict, reason: why }) => ({ rule, verdict, reason: why })),
        changes: changes.map(({ kind, resource, key, unit, before, after }) => ({
          ...{ kind, resource, key, unit, before, after },
        })),
      });
    }
    return plans;
  });
}
