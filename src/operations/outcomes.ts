import { z } from 'zod';
import { requireMay } from '../access/roles.js';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';
import { keepOutcomes, type OutcomeEvent } from '../guard/bake/outcome-report.js';
import { operation } from './operation.js';
import { named, word } from '../kernel/schema.js';

/** An ordinary outcome has some 200 bytes: so many fit into a request's body. */
const MOST_EVENTS = 200;

const Outcome = named(
  'Outcome',
  z.strictObject({
    id: word.describe("the reporter's own id of the event; one that was reported before counts once"),
    job: word,
    region: word,
    unit: word.describe('the unit that it happened to'),
    kind: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a word such as login-failed')
      .describe('what an outcome rule of the policy counts'),
    at: z.iso.datetime({ offset: true }).describe('when it happened'),
  }),
);

const OutcomeReport = named(
  'OutcomeReport',
  z.strictObject({ outcomes: z.array(Outcome).min(1).max(MOST_EVENTS) }),
);
const OutcomesKept = named(
  'OutcomesKept',
  z.strictObject({
    kept: z.int().min(0).describe('outcomes that are new'),
    known: z.int().min(0).describe('outcomes that were reported before'),
  }),
);

/** Bad outcomes, which products report from wherever a unit meets them. */
export const outcomeOperations = {
  reportOutcomes: operation({
    at: 'POST /api/v1/outcomes',
    example: {
      outcomes: [
        {
          ...{
            id: 'login-1',
            job: 'dormant-cleanup',
            region: 'eu-west-1',
            unit: 'org-1',
            kind: 'login-failed',
          },
          at: '2026-03-01T09:30:00Z',
        },
      ],
    },
    summary: 'Reports bad outcomes of units, for the outcome rules to judge versions by',
    action: 'report-outcomes',
    // Each outcome names its own.
    reach: (_context, _params, { regions }) => regions,
    body: OutcomeReport,
    result: OutcomesKept,
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN'],
    run: async ({ regionDatabases, metrics, jobs }, { outcomes }, caller) => {
      // Everything is checked before anything is kept.
      const known = new Map(jobs().map(({ name, regions }) => [name, regions]));
      for (const { job, region } of outcomes) {
        const regions = known.get(job);
        if (!regions) throw unknownName('JOB_UNKNOWN', 'job', job, [...known.keys()]);
        requireRegion(region, regions);
        requireMay(caller, 'report-outcomes', region);
      }
      let kept = 0;
      for (const [region, events] of byRegion(outcomes)) {
        const fresh = await keepOutcomes(regionDatabases.of(region).owner, region, events);
        kept += fresh.length;
        for (const { job } of fresh) metrics.outcomeReported({ job, region });
      }
      return { kept, known: outcomes.length - kept };
    },
  }),
};

function byRegion(outcomes: readonly OutcomeEvent[]): Map<string, OutcomeEvent[]> {
  const regions = new Map<string, OutcomeEvent[]>();
  for (const each of outcomes) regions.set(each.region, [...(regions.get(each.region) ?? []), each]);
  return regions;
}
