import type pg from 'pg';
import { recordAudit } from '../../audit/record.js';
import { startPoller, type Poller } from '../../kernel/poller.js';
import { messageOf } from '../../kernel/errors.js';
import { flagName, HOLD, type FlagAnswer } from '../../flags/definition.js';
import type { Policy } from '../../flags/policy.js';
import { openIncident } from '../../incidents/open-incident.js';
import { notify } from '../../notify/notice.js';
import { NAMED_LOCKS } from '../../postgres/locks.js';
import { inTransaction } from '../../postgres/pool.js';
import type { Log } from '../../telemetry/log.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { closingOf, sharedEvidence } from '../../containment/closing.js';
import { consequenceOf } from '../../containment/consequences.js';
import { measureVerdicts } from '../measure-verdicts.js';
import { judgeRegions, lnEvidence, type OutcomeState } from '../outcome.js';
import { rulesOf } from '../../flags/guard-policy.js';
import { forgetAlerts } from './browse-alerts.js';
import type { DropGate } from '../../containment/drop-gate.js';
import { judgeCandidate, type CandidateJudgement } from './judge-candidate.js';
import type { Candidate } from './judge-outcome.js';
import { forgetOutcomes } from './outcome-report.js';
import { keepVerdicts, recall, type Remembered, type RuleJudgement } from './verdicts.js';

/** What the bake works with. */
export interface BakePlatform {
  readonly control: pg.Pool;
  /** The owner's login of a region's database. */
  readonly ownerOf: (region: string) => pg.Pool;
  /** The policies in force. */
  readonly policies: () => Promise<readonly Policy[]>;
  readonly look: (flag: string) => FlagAnswer;
  readonly dropGate: DropGate;
  readonly log: Log;
  readonly metrics: Metrics;
  /** How old an outcome must be before it is read; absent: a little. */
  readonly settleMs?: number;
}

/** Where a verdict over all regions together stands. */
export const EVERYWHERE = '*';

const EVERY_MS = 5_000;
const FORGET_EVERY_MS = 3_600_000;
/**
 * Judges every version that bakes, every few seconds, by its policy's bake rules: keeps the verdicts for the
 * rollout to read, drops the gate where a rule fails, and tells people where one can't be asked. Any number of
 * processes may do so; each job is judged by one at a time.
 */
export function startBake(platform: BakePlatform, everyMs = EVERY_MS): Poller {
  let forgottenAt = -Infinity;
  return startPoller(
    everyMs,
    async (signal) => {
      const policies = await platform.policies();
      for (const policy of policies) {
        if (signal.aborted) return;
        await bakeJob(platform, policy).catch((error: unknown) => complain(platform, policy, error));
      }
      if (performance.now() - forgottenAt < FORGET_EVERY_MS) return;
      await forget(platform, policies);
      forgottenAt = performance.now();
    },
    (error) => platform.log.error({ code: 'bake-error', err: error }, `bake: ${messageOf(error)}`),
  );
}

/** Judges one job once, in all its regions, unless another process is at it. */
export async function bakeJob(platform: BakePlatform, policy: Policy): Promise<void> {
  // Held in a transaction that does nothing else: a session's lock would stay with a pooler's connection.
  await inTransaction(platform.control, async (client) => {
    const { rows } = await client.query<{ mine: boolean; now: Date }>(
      'select pg_try_advisory_xact_lock($1, hashtext($2)) as mine, clock_timestamp() as now',
      [NAMED_LOCKS.bake, policy.job],
    );
    const [row] = rows;
    if (row?.mine === true) await bakeRegions(platform, policy, row.now);
  });
}

interface Baked extends CandidateJudgement {
  readonly candidate: Candidate;
}

async function bakeRegions(platform: BakePlatform, policy: Policy, now: Date): Promise<void> {
  const candidates = policy.regions.flatMap((region) => candidateOf(platform, policy.job, region) ?? []);
  const baked = await Promise.all(
    candidates.map(async (candidate): Promise<Baked | undefined> => {
      try {
        return await bakeCandidate(platform, policy, candidate, now);
      } catch (error) {
        // One region's database that is silent keeps no other region from being judged.
        complain(platform, policy, error, candidate.region);
        return undefined;
      }
    }),
  );
  await bakeTogether(
    platform,
    policy,
    baked.flatMap((each) => each ?? []),
  );
}

/** The version that bakes in a region: the first in the flag's order. None where the flag lets nobody act. */
function candidateOf({ look }: BakePlatform, job: string, region: string): Candidate | undefined {
  const answer = look(flagName(job, region));
  const version = answer.open
    ? answer.definition.variants.find((each) => each.version !== HOLD)?.version
    : undefined;
  return version === undefined ? undefined : { job, region, version };
}

async function bakeCandidate(
  platform: BakePlatform,
  policy: Policy,
  candidate: Candidate,
  now: Date,
): Promise<Baked> {
  const { control, settleMs } = platform;
  const owner = platform.ownerOf(candidate.region);
  const remembered = await recall(control, candidate);
  const judgement = await judgeCandidate({ control, owner, policy, remembered, now, settleMs }, candidate);
  await follow(platform, policy, candidate, judgement.judgements, remembered);
  return { ...judgement, candidate };
}

/** Does what the verdicts call for, the gate first, and keeps them. */
async function follow(
  platform: BakePlatform,
  policy: Policy,
  candidate: Candidate,
  judgements: readonly RuleJudgement[],
  remembered: ReadonlyMap<string, Remembered>,
): Promise<void> {
  const fresh = judgements.filter(({ judged }) => remembered.get(judged.rule)?.verdict !== judged.verdict);
  // An alert has dropped its gates when it came.
  const failures = fresh.filter(
    ({ kind, judged }) => consequenceOf('bake', judged) === 'trip' && kind !== 'alert',
  );
  const [first, ...others] = failures.map(({ judged }) => judged);
  if (first) {
    const { version } = candidate;
    const { onTrip, rules } = policy.guard;
    const shared = sharedEvidence(
      rules,
      failures.map(({ judged }) => judged.rule),
    );
    await platform.dropGate({
      ...candidate,
      failed: [first, ...others],
      restore: onTrip.restore,
      closing: closingOf(onTrip, { version, shared }),
    });
  }
  await keepVerdicts(platform.control, candidate, judgements);
  measureVerdicts(
    platform.metrics,
    candidate,
    judgements.map(({ judged }) => judged),
  );
  for (const each of fresh) await tell(platform, candidate, each);
}

/** A rule that comes and goes is told of at most so often. */
const TOLD_AGAIN_MS = 3_600_000;

/** Tells people of a rule that does not answer; and of something that does not come any more, with an incident. */
async function tell(
  { control, log }: BakePlatform,
  { job, region, version }: Candidate,
  { kind, judged }: RuleJudgement,
): Promise<void> {
  // A rule that passes, or has too little to say, is what every bake begins with.
  const level = judged.verdict === 'pass' || judged.verdict === 'too-few' ? 'debug' : 'info';
  log[level]({ code: `bake-${judged.verdict}`, job, region, version, rule: judged.rule }, judged.reason);
  const absent = kind === 'absence' && judged.verdict === 'no-data';
  if (consequenceOf('bake', judged) !== 'hold-and-alert' && !absent) return;
  const { verdict, rule, reason, figures } = judged;
  const by = `guard:${rule}`;
  await inTransaction(control, async (client) => {
    const evidence = { version, rule, verdict, reason, figures };
    const subject = `${job}.${region}`;
    await recordAudit(client, { principal: by, action: 'hold-bake', subject, evidence });
    const incident = absent
      ? await openIncident(client, {
          ...{ job, version, regions: [{ region, containedAt: null }], cause: 'absence', evidence, by },
          title: `${job} is silent in ${region}`,
        })
      : undefined;
    await notify(
      client,
      {
        ...{ kind: 'hold', job, region },
        title: `${job} is held in ${region}: ${rule} is ${verdict}`,
        lines: [
          reason,
          'Nothing was killed. The version advances no further until the rule can be asked again.',
        ],
        details: { ...(incident && { incident: incident.id }), version, rule, verdict, figures },
      },
      `hold:${job}.${region}:${version}:${rule}:${verdict}`,
      TOLD_AGAIN_MS,
    );
  });
}

/** Judges each outcome rule over all the regions of a version: what no region shows alone, all may together. */
async function bakeTogether(platform: BakePlatform, policy: Policy, baked: readonly Baked[]): Promise<void> {
  const versions = new Set(baked.map(({ candidate }) => candidate.version));
  for (const version of versions) {
    const regions = baked.filter(({ candidate }) => candidate.version === version);
    if (regions.length < 2) continue;
    const everywhere = { job: policy.job, region: EVERYWHERE, version };
    const remembered = await recall(platform.control, everywhere);
    for (const rule of rulesOf(policy.guard.rules, 'outcome')) {
      const states = regions.flatMap((each) => {
        const state = each.outcomes.get(rule.name);
        return state === undefined ? [] : [{ region: each.candidate.region, state }];
      });
      // Once failed, failed for good.
      if (states.length < 2 || remembered.get(rule.name)?.verdict === 'fail') continue;
      const judged = judgeRegions(
        rule.name,
        rule.alpha,
        states.map(({ state }) => state),
      );
      if (judged.verdict === 'fail') {
        const region = gravest(states);
        const { onTrip } = policy.guard;
        const closing = closingOf(onTrip, { version, shared: [] });
        const { restore } = onTrip;
        await platform.dropGate({ job: policy.job, region, version, failed: [judged], restore, closing });
      }
      await keepVerdicts(platform.control, everywhere, [{ kind: 'outcome', judged, state: {} }]);
    }
  }
}

function gravest(states: readonly { readonly region: string; readonly state: OutcomeState }[]): string {
  const [first] = states.toSorted((one, other) => lnEvidence(other.state) - lnEvidence(one.state));
  return first?.region ?? '';
}

async function forget({ control, ownerOf }: BakePlatform, policies: readonly Policy[]): Promise<void> {
  await forgetAlerts(control);
  const owners = new Set(policies.flatMap(({ regions }) => regions.map(ownerOf)));
  await Promise.all([...owners].map(forgetOutcomes));
}

function complain({ log }: BakePlatform, { job }: Policy, error: unknown, region?: string): void {
  log.error(
    { code: 'bake-error', job, ...(region !== undefined && { region }), err: error },
    `bake: ${messageOf(error)}`,
  );
}
