import { z } from 'zod';
import { loadPolicies } from '../flags/policy-store.js';
import { databaseTime } from '../postgres/database-clock.js';
import { pageOfList } from '../postgres/page.js';
import { queryRegions } from '../regions/query-regions.js';
import { missedSlots, type Scheduled } from '../runs/missed-slots.js';
import { LATE_MS } from '../runs/ticks.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { named, regionsPageSchema, isoTime } from '../kernel/schema.js';
import { jobQuery, pageQuery, regionQuery } from './schemas.js';

const DAY_MS = 86_400_000;

const MissedRunPage = regionsPageSchema(
  'MissedRunPage',
  named(
    'MissedRun',
    z.strictObject({
      job: z.string(),
      region: z.string(),
      slot: isoTime.describe('when it should have run'),
      runId: z.guid().nullable().describe('the run that was held or skipped; null: none was begun'),
      code: z.string().describe('why: the code of the run, or `no-run`'),
      reason: z.string(),
    }),
  ),
);

/** What should have run and did not. */
export const missedRunOperations = {
  listMissedRuns: operation({
    at: 'GET /api/v1/runs/missed',
    example: { job: 'dormant-cleanup', since: '2026-03-01T00:00:00Z' },
    summary:
      'Scheduled times at which nothing ran, with why, by job and region, the oldest first; since the policy in force was applied',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      job: jobQuery,
      region: regionQuery,
      since: z.iso
        .datetime({ offset: true })
        .optional()
        .describe('only scheduled times after this moment; absent: of the last 24 hours'),
    }),
    result: MissedRunPage,
    run: async (context, { job, region, since, ...page }) => {
      const scheduled = await scheduledIn(context, { job, region, since });
      const { regionDatabases } = context;
      const { answers, unreachable } = await queryRegions(regionDatabases, async (regionDatabase) => {
        const missed = [];
        for (const each of scheduled)
          if (regionDatabases.of(each.region) === regionDatabase)
            missed.push(...(await missedSlots(regionDatabase.worker, each)));
        return missed;
      });
      const all = answers.flatMap(({ answer }) =>
        answer.map(({ slot, run, ...missed }) => ({ ...missed, slot: slot.toISOString(), runId: run })),
      );
      const { items, next } = pageOfList(all, page, (each) => [each.job, each.region, each.slot]);
      return { items, next, unreachable: unreachable.map(({ database }) => database) };
    },
  }),
};

/** What a policy says now says nothing of the time before it was applied; what has just come due may still begin. */
async function scheduledIn(
  { control }: OperationContext,
  wanted: { job: string | undefined; region: string | undefined; since: string | undefined },
): Promise<Scheduled[]> {
  const now = await databaseTime(control);
  const after = wanted.since === undefined ? new Date(now.getTime() - DAY_MS) : new Date(wanted.since);
  const until = new Date(now.getTime() - LATE_MS);
  return (await loadPolicies(control)).flatMap((loaded) => {
    if (!loaded.ok || (wanted.job ?? loaded.job) !== loaded.job) return [];
    const { job, policy, appliedAt } = loaded;
    return policy.regions
      .filter((region) => (wanted.region ?? region) === region)
      .map((region) => ({
        ...{ job, region, schedule: policy.schedule, until },
        after: appliedAt > after ? appliedAt : after,
      }));
  });
}
