import type pg from 'pg';
import { storableJson } from '../../kernel/text.js';
import type { RuleKind } from '../../flags/guard-policy.js';
import type { Figures, Judged, Verdict } from '../../containment/verdict.js';
import type { Candidate } from './judge-outcome.js';

/** What a rule last said of a version in a region. */
export interface BakeVerdict {
  readonly job: string;
  readonly region: string;
  readonly version: string;
  readonly rule: string;
  readonly kind: RuleKind;
  readonly verdict: Verdict;
  /** In words, with the figures. */
  readonly reason: string;
  readonly figures: Figures;
  /** Since when it says so. */
  readonly since: Date;
  /** When it was last asked. One that is old says nothing of now: `ageMs` is its age by the database's clock. */
  readonly judgedAt: Date;
  readonly ageMs: number;
}

const COLUMNS = `job, region, version, rule, kind, verdict, reason, figures, since, judged_at as "judgedAt",
  (extract(epoch from clock_timestamp() - judged_at) * 1000)::float8 as "ageMs"`;

/**
 * What the bake rules last said: of one version, or of all; in one region, or in all. By region and rule, one
 * verdict each. A rule that is not in the policy any more is not asked any more, so its verdict only ages.
 */
export async function readVerdicts(
  control: pg.Pool,
  of: {
    readonly job: string;
    readonly version?: string | undefined;
    readonly region?: string | undefined;
  },
): Promise<BakeVerdict[]> {
  const { rows } = await control.query<BakeVerdict>(
    `select ${COLUMNS} from portcullis_control.bake_verdict
     where job = $1 and ($2::text is null or version = $2) and ($3::text is null or region = $3)
     order by region, rule, version`,
    [of.job, of.version, of.region],
  );
  return rows;
}

/** What a rule said before, and what it wanted remembered. */
export interface Remembered {
  readonly verdict: Verdict;
  readonly state: Readonly<Record<string, unknown>>;
  readonly since: Date;
}

/** By the rule's name. */
export async function recall(
  control: pg.Pool,
  { job, region, version }: Candidate,
): Promise<Map<string, Remembered>> {
  const { rows } = await control.query<Remembered & { rule: string }>(
    `select rule, verdict, state, since from portcullis_control.bake_verdict
     where job = $1 and region = $2 and version = $3`,
    [job, region, version],
  );
  return new Map(rows.map(({ rule, ...rest }) => [rule, rest]));
}

/** A verdict, and what the rule wants remembered until it is asked again. */
export interface RuleJudgement {
  readonly kind: RuleKind;
  readonly judged: Judged;
  readonly state: Readonly<Record<string, unknown>>;
}

/** Keeps what the rules said now. `since` stays where a rule says what it said before. */
export async function keepVerdicts(
  control: pg.Pool,
  { job, region, version }: Candidate,
  judgements: readonly RuleJudgement[],
): Promise<void> {
  const rows = judgements.map(({ kind, judged: { rule, verdict, reason, figures }, state }) => ({
    ...{ rule, kind, verdict, reason, figures, state },
  }));
  await control.query(
    `insert into portcullis_control.bake_verdict as v (job, region, version, rule, kind, verdict, reason, figures, state)
     select $1, $2, $3, rule, kind, verdict, reason, figures, state
     from jsonb_to_recordset($4) as said (rule text, kind text, verdict text, reason text, figures jsonb, state jsonb)
     on conflict (job, region, version, rule) do update
     set kind = excluded.kind, verdict = excluded.verdict, reason = excluded.reason, figures = excluded.figures,
         state = excluded.state, judged_at = clock_timestamp(),
         since = case when v.verdict = excluded.verdict then v.since else clock_timestamp() end`,
    [job, region, version, storableJson(rows)],
  );
}
