import { z } from 'zod';
import { count, named, reason, isoTime, word } from '../kernel/schema.js';

const Verdict = z.enum(['pass', 'fail', 'too-few', 'no-data', 'unreachable']);
const figure = z.number();
const stops = {
  alpha: figure,
  trips: count.describe('runs that were too many'),
  holds: count.describe('runs that were far too few'),
};
const of = z.enum(['changes', 'units']);

export const Backtest = named(
  'Backtest',
  z.strictObject({
    rule: z.string(),
    of,
    floor: count,
    ...stops,
    runs: z
      .array(
        z.strictObject({
          at: isoTime,
          count,
          units: count.describe('admitted units'),
          expected: figure.nullable().describe('null: too few runs to expect anything'),
          low: figure.nullable(),
          high: figure.nullable(),
          p: figure.nullable(),
          verdict: Verdict,
          worth: z.literal('hold').optional().describe('a fail that is worth no trip: far too few'),
          reason: z.string(),
        }),
      )
      .readonly(),
    alternatives: z.array(z.strictObject(stops)).readonly().describe('at a tenth of alpha, and at ten times'),
    measured: z.strictObject({
      judged: count.describe('runs that the rule had something to compare with'),
      expectedTrips: figure.describe('trips that alpha makes of as many'),
    }),
    warnings: z.array(z.string()).readonly(),
    bands: z
      .array(
        z.strictObject({
          days: z.string().describe('`Mon–Fri`'),
          quarters: z
            .array(
              z.strictObject({
                quarter: count.describe('quarters of an hour since midnight'),
                ...{ expected: figure, low: figure, high: figure },
                tripsFrom: figure.nullable().describe('the smallest count that trips; null: none does'),
              }),
            )
            .readonly(),
        }),
      )
      .readonly()
      .describe('what the next runs are expected to plan'),
    budget: z.strictObject({
      runsAYear: figure.nullable(),
      falseTripsAYear: figure.nullable().describe('the most, on average, when nothing is ever wrong'),
    }),
  }),
);

const Said = z.strictObject({ region: z.string(), runs: count, judged: count, trips: count, holds: count });
const Cap = z.strictObject({
  kind: z.string(),
  perRun: count.optional(),
  perUnit: count.optional(),
  shareOfRegionPermille: count.optional(),
  shareFloor: count.optional(),
});
const CountRule = z.strictObject({
  kind: z.literal('count'),
  name: z.string(),
  change: z.string(),
  of,
  alpha: figure,
  floor: count,
});
const suggested = {
  said: z.array(Said).readonly().describe('what it would have said of the accepted runs'),
  difference: z.array(z.string()).readonly().describe('lines of the policy; empty: it has the rule already'),
};

export const Suggestions = named(
  'Suggestions',
  z.strictObject({
    job: z.string(),
    applied: z.literal(false),
    suggestions: z
      .array(
        z.union([
          z.strictObject({ kind: z.literal('cap'), now: Cap.optional(), proposed: Cap, ...suggested }),
          z.strictObject({
            kind: z.literal('count'),
            now: CountRule.optional(),
            proposed: CountRule,
            ...suggested,
          }),
        ]),
      )
      .readonly(),
  }),
);

const JudgedBy = z.strictObject({
  rule: z.string(),
  comparable: z.string().describe('the runs that it is compared with'),
  samples: count,
  ...{ expected: figure, low: figure, high: figure },
  tripsFrom: figure.nullable().describe('the smallest count that trips; null: none does'),
});

export const RunAcceptance = named(
  'RunAcceptance',
  z.strictObject({ reason: reason.describe('for the record') }),
);
export const RunAccepted = named(
  'RunAccepted',
  z.strictObject({
    runId: z.guid(),
    job: z.string(),
    region: z.string(),
    accepted: z.literal(true),
    before: z.array(JudgedBy).readonly().describe('what the next run like it was judged by'),
    after: z.array(JudgedBy).readonly().describe('and is from now on'),
  }),
);

export const Rebaseline = named(
  'Rebaseline',
  z.strictObject({
    region: word,
    kind: word.optional().describe('only changes of this kind'),
    reason: reason.describe('for the record'),
  }),
);
export const Rebaselined = named(
  'Rebaselined',
  z.strictObject({
    job: z.string(),
    region: z.string(),
    kind: z.string().nullable(),
    since: isoTime.describe('runs before this are no longer part of the baseline'),
  }),
);
