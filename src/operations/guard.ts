import { z } from 'zod';
import { isTimeZone } from '../flags/guard-document.js';
import { rulesOf } from '../flags/guard-policy.js';
import type { Policy } from '../flags/policy.js';
import { requirePolicy } from '../flags/policy-store.js';
import { acceptedHistory, acceptedRuns, countedRuns } from '../guard/accepted-runs.js';
import { backtestCountInTurns, expectedBands } from '../guard/backtest.js';
import { judgedByRules } from '../guard/judged-by.js';
import { policyDifference, suggestRules, type KindHistory } from '../guard/suggest.js';
import { acceptRun, rebaseline } from '../guard/baseline.js';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { requireRegion } from '../kernel/unknown-name.js';
import { findRunOf } from '../regions/browse.js';
import type { KnownJob } from '../worker/registry.js';
import { installedJob, type OperationContext } from './context.js';
import { operation, SENT_OR_EVERYWHERE } from './operation.js';
import { word, count, named, reason, isoTime } from '../kernel/schema.js';
import { namePath, runIdPath } from './schemas.js';
import { VERDICTS } from '../containment/verdict.js';

const figure = z.number();
const stops = {
  alpha: figure,
  trips: count.describe('runs that were too many'),
  holds: count.describe('runs that were far too few'),
};
const of = z.enum(['changes', 'units']);

const bands = z
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
  .describe('what the next runs are expected to plan');

const Backtest = named(
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
          verdict: z.enum(VERDICTS),
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
    bands,
    budget: z.strictObject({
      runsAYear: figure.nullable(),
      falseTripsAYear: figure.nullable().describe('the most, on average, when nothing is ever wrong'),
    }),
  }),
);

const Expectation = named('Expectation', z.strictObject({ rule: z.string(), of, bands }));

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

const Suggestions = named(
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

const RunAcceptance = named('RunAcceptance', z.strictObject({ reason: reason.describe('for the record') }));
const RunAccepted = named(
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

const Rebaseline = named(
  'Rebaseline',
  z.strictObject({
    region: word,
    kind: word.optional().describe('only changes of this kind'),
    reason: reason.describe('for the record'),
  }),
);
const Rebaselined = named(
  'Rebaselined',
  z.strictObject({
    job: z.string(),
    region: z.string(),
    kind: z.string().nullable(),
    since: isoTime.describe('runs before this are no longer part of the baseline'),
  }),
);

/** The most runs that a rule is tried on. */
const MOST_RUNS = 40_000;

const params = z.strictObject({ job: namePath });
const errors = ['JOB_UNKNOWN', 'POLICY_MISSING', 'POLICY_INVALID'] as const;

/** A job that is installed and has a policy. Throws JOB_UNKNOWN with the nearest name, POLICY_MISSING, POLICY_INVALID. */
async function knownJob(
  context: OperationContext,
  name: string,
): Promise<{ readonly job: KnownJob; readonly policy: Policy }> {
  return { job: installedJob(context, name), policy: await requirePolicy(context.control, name) };
}

/** A count rule of a job's policy. Throws what `knownJob` throws, REGION_UNKNOWN, and REQUEST_INVALID where there is no such rule. */
async function knownRule(context: OperationContext, job: string, region: string, name: string) {
  const { policy } = await knownJob(context, job);
  requireRegion(region, policy.regions);
  const rules = rulesOf(policy.guard.rules, 'count');
  const found = rules.find((each) => each.name === name);
  if (found === undefined) {
    throw unknownRule(
      name,
      job,
      rules.map(({ name }) => name),
    );
  }
  return { policy, rule: found };
}

/** The rules that judge runs, tried on past ones; and which runs they learn from. */
export const guardOperations = {
  backtestRule: operation({
    at: 'GET /api/v1/jobs/:job/backtest',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', rule: 'changes-per-run' },
    summary: 'Tries a count rule on the accepted runs of a region: what it would have said of each',
    action: 'read',
    params,
    query: z.strictObject({
      rule: word.describe("one of the job's policy"),
      region: word,
      of: z.enum(['changes', 'units']).optional().describe('instead of what the policy says'),
      alpha: z.coerce.number().min(1e-9).max(0.1).optional().describe('instead of what the policy says'),
      floor: z.coerce
        .number()
        .int()
        .min(0)
        .max(99_999_999)
        .optional()
        .describe('instead of what the policy says'),
      timeZone: word
        .refine(isTimeZone, 'must be an IANA name such as Europe/Berlin')
        .optional()
        .describe('the zone in which the day turns, instead of what the policy says'),
      accepted: z
        .enum(['true', 'false'])
        .transform((text) => text === 'true')
        .optional()
        .describe('take every run that is stopped for accepted by a person'),
    }),
    result: Backtest,
    errors: [...errors, 'REGION_UNKNOWN'],
    run: async (context, { job, region, rule, accepted = false, ...given }) => {
      const { policy, rule: found } = await knownRule(context, job, region, rule);
      const { of = found.of, alpha = found.alpha, floor = found.floor } = given;
      const { timeZone = policy.guard.timeZone } = given;
      const subject = { job, region, timeZone, rule, change: found.change, of };
      const history = await acceptedRuns(context.regionDatabases.of(region).worker, subject, MOST_RUNS);
      return backtestCountInTurns(accepted ? history.map((run) => ({ ...run, accepted: true })) : history, {
        ...{ rule, of, alpha, floor },
        ...(timeZone !== undefined && { timeZone }),
      });
    },
  }),
  getExpectation: operation({
    at: 'GET /api/v1/jobs/:job/expectation',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', rule: 'changes-per-run' },
    summary: 'What a count rule expects the runs of the next week to plan, by the time of day',
    action: 'read',
    params,
    query: z.strictObject({ rule: word.describe("one of the job's policy"), region: word }),
    result: Expectation,
    errors: [...errors, 'REGION_UNKNOWN'],
    run: async (context, { job, region, rule }) => {
      const { policy, rule: found } = await knownRule(context, job, region, rule);
      const { change, of, alpha, floor } = found;
      const { timeZone } = policy.guard;
      const subject = { job, region, timeZone, rule, change, of };
      const accepted = await acceptedRuns(context.regionDatabases.of(region).worker, subject);
      const options = { rule, of, alpha, floor, ...(timeZone !== undefined && { timeZone }) };
      return { rule, of, bands: await expectedBands(accepted, options) };
    },
  }),
  suggestRules: operation({
    at: 'GET /api/v1/jobs/:job/suggestions',
    example: { job: 'dormant-cleanup' },
    summary: 'Proposes caps, count rules and floors from accepted runs; applies nothing',
    action: 'read',
    params,
    result: Suggestions,
    errors,
    run: async (context, { job }) => {
      const { policy, job: loaded } = await knownJob(context, job);
      const histories: KindHistory[] = [];
      for (const region of policy.regions) {
        const { timeZone } = policy.guard;
        const history = await acceptedHistory(context.regionDatabases.of(region).worker, {
          job,
          region,
          timeZone,
        });
        for (const change of Object.keys(loaded.definition.kinds)) {
          for (const counted of ['changes', 'units'] as const) {
            const runs = countedRuns(history, { change, of: counted });
            histories.push({ region, change, of: counted, runs });
          }
        }
      }
      const suggestions = suggestRules(histories, policy.guard).map((each) => ({
        ...each,
        difference: policyDifference(each),
      }));
      return { job, applied: false as const, suggestions };
    },
  }),
  acceptRun: operation({
    at: 'POST /api/v1/runs/:id/accept',
    example: { id: '5eed0000', reason: 'a merger: the changes are right' },
    summary: 'Accepts a run that was held, tripped or restored into the baseline; re-arms nothing',
    action: 'set-baseline',
    reach: async ({ regionDatabases }, { id }) => [(await findRunOf(regionDatabases, id)).run.region],
    params: z.strictObject({ id: runIdPath }),
    body: RunAcceptance,
    result: RunAccepted,
    errors: ['RUN_UNKNOWN', 'RUN_AMBIGUOUS', ...errors, 'NOTHING_REACHED'],
    run: async (context, { id, reason }, { name: by }) => {
      const { run, regionDatabase } = await findRunOf(context.regionDatabases, id);
      const { runId, job, region } = run;
      const { policy } = await knownJob(context, job);
      const before = await judgedByRules(regionDatabase.owner, run, policy.guard);
      await acceptRun(regionDatabase.owner, context.control, run, { reason, by });
      const after = await judgedByRules(regionDatabase.owner, run, policy.guard);
      return { runId, job, region, accepted: true as const, before, after };
    },
  }),
  rebaseline: operation({
    at: 'POST /api/v1/jobs/:job/rebaseline',
    example: { job: 'dormant-cleanup', region: 'eu-west-1', reason: 'twice the customers' },
    summary: 'Excludes the runs until now from the baseline: a level has shifted for good',
    action: 'set-baseline',
    reach: SENT_OR_EVERYWHERE,
    params,
    body: Rebaseline,
    result: Rebaselined,
    errors: [...errors, 'REGION_UNKNOWN', 'NOTHING_REACHED'],
    run: async (context, { job, region, kind, reason }, { name: by }) => {
      const { policy, job: loaded } = await knownJob(context, job);
      requireRegion(region, policy.regions);
      const kinds = Object.keys(loaded.definition.kinds);
      if (kind !== undefined && !kinds.includes(kind)) {
        throw new PortcullisError('REQUEST_INVALID', `${job} has no kind of change ${kind}`, {
          hint: `there are ${kinds.join(', ')}`,
          details: { kind, kinds },
        });
      }
      const { owner } = context.regionDatabases.of(region);
      const since = await rebaseline(owner, context.control, { job, region, kind, reason, by });
      return { job, region, kind: kind ?? null, since };
    },
  }),
};

function unknownRule(rule: string, job: string, known: readonly string[]): PortcullisError {
  const meant = nearest(rule, known);
  const hint =
    meant !== undefined
      ? `did you mean ${meant}?`
      : known.length === 0
        ? 'write one into the policy under guard.rules, or try one on a file with --csv'
        : `there is ${known.join(', ')}`;
  return new PortcullisError('REQUEST_INVALID', `the policy of ${job} has no count rule ${rule}`, {
    hint,
    details: { rule, known },
  });
}
