import { SHARE_FLOOR, type GuardDocument, type SpikeDocument } from './guard-document.js';
import { milliseconds, permille } from './policy-values.js';

/** How much of one kind of change a run may plan. A limit that is absent does not limit. */
export interface Cap {
  readonly kind: string;
  /** Changes in one run. */
  readonly perRun?: number;
  /** Changes for one unit in one run. */
  readonly perUnit?: number;
  /** Thousandths of the region's rows of the resource that the kind changes. */
  readonly shareOfRegionPermille?: number;
  /** The share is never less than so many rows; absent: {@link SHARE_FLOOR}. */
  readonly shareFloor?: number;
}

/** The most rows that a cap's share lets a run change in a region of so many; undefined where it has none. */
export function shareLimit(cap: Cap, rowsInRegion: number): number | undefined {
  if (cap.shareOfRegionPermille === undefined) return undefined;
  return Math.max((rowsInRegion * cap.shareOfRegionPermille) / 1000, cap.shareFloor ?? SHARE_FLOOR);
}

/** A query over a run's proposed changes that must return no rows. */
export interface InvariantRule {
  readonly kind: 'invariant';
  readonly name: string;
  readonly timeoutMs: number;
  readonly sql: string;
}

/** What is counted of a kind of change: the changes themselves, or the units that have any. */
export type CountOf = 'changes' | 'units';

/** A run's count of one kind of change against the region's accepted runs. */
export interface CountRule {
  readonly kind: 'count';
  readonly name: string;
  readonly change: string;
  readonly of: CountOf;
  /** The chance of a false alarm at each run. */
  readonly alpha: number;
  /** A smaller count never fails. */
  readonly floor: number;
}

/** What a rate counts: rows that were no longer as planned, changes that the database refused, or both. */
export type RateOf = 'conflicts' | 'refusals' | 'errors';

export interface RateRule {
  readonly kind: 'rate';
  readonly name: string;
  readonly of: RateOf;
  /** From 0 to 0.5. */
  readonly acceptableShare: number;
  /** The chance of a false alarm in each run. */
  readonly alpha: number;
}

export interface OutcomeRule {
  readonly kind: 'outcome';
  readonly name: string;
  /** The kind of bad outcome, such as `login-failed`. */
  readonly event: string;
  /** The chance of a false alarm for each release. */
  readonly alpha: number;
  /** How many times worse than the stable version is still accepted; 1 or more. */
  readonly tolerance: number;
}

export interface PromqlRule {
  readonly kind: 'promql';
  readonly name: string;
  /** With `{{job}}`, `{{region}}` and `{{version}}` to be filled in. */
  readonly query: string;
  /** Exactly one of these two is there. */
  readonly above?: number;
  readonly below?: number;
  readonly forMs: number;
}

export interface AlertRule {
  readonly kind: 'alert';
  readonly name: string;
  /** Absent: any alert that names the job. */
  readonly alerts?: readonly string[];
  /** What Prometheus is to watch for, where its rule is made from the policy. */
  readonly spike?: Spike;
}

/** More changes of a kind, applied in five minutes, than `times` the rate of a day, and than `least` a second. */
export interface Spike {
  readonly change: string;
  readonly times: number;
  readonly least: number;
  readonly forMs: number;
  readonly runbook?: string;
}

export interface AbsenceRule {
  readonly kind: 'absence';
  readonly name: string;
  readonly of: 'run' | 'scrape' | 'outcome';
  readonly longerThanMs: number;
}

export type Rule = InvariantRule | CountRule | RateRule | OutcomeRule | PromqlRule | AlertRule | AbsenceRule;

export type RuleKind = Rule['kind'];

/** A Prometheus that promql rules ask, for some regions or for all. */
export interface PrometheusServer {
  readonly url: string;
  readonly regions?: readonly string[];
}

/** What a trip closes: the candidate that failed, by its own epoch, or the region's gate. */
export type Close = 'candidate' | 'region';

/** What a job's runs are judged by. */
export interface GuardPolicy {
  /** The IANA time zone in which the job's day turns; absent: UTC. */
  readonly timeZone?: string;
  readonly onTrip: {
    readonly restore: 'propose' | 'auto' | 'never';
    /** Absent: the candidate where the evidence is its own alone, and the region otherwise. */
    readonly close?: Close;
  };
  readonly prometheus: readonly PrometheusServer[];
  readonly caps: readonly Cap[];
  /** Each with a name of its own. */
  readonly rules: readonly Rule[];
}

/** The rules of one kind. */
export function rulesOf<Kind extends RuleKind>(
  rules: readonly Rule[],
  kind: Kind,
): Extract<Rule, { kind: Kind }>[] {
  return rules.filter((rule): rule is Extract<Rule, { kind: Kind }> => rule.kind === kind);
}

/** Where a policy names kinds of change, with the path of each name in its document. */
export function kindsNamed(
  guard: GuardPolicy,
): { readonly kind: string; readonly path: readonly PropertyKey[] }[] {
  return [
    ...guard.caps.map(({ kind }, at) => ({ kind, path: ['guard', 'caps', at, 'kind'] })),
    ...guard.rules.flatMap((rule, at) =>
      rule.kind === 'count'
        ? [{ kind: rule.change, path: ['guard', 'rules', at, 'change'] }]
        : rule.kind === 'alert' && rule.spike
          ? [{ kind: rule.spike.change, path: ['guard', 'rules', at, 'spike', 'change'] }]
          : [],
    ),
  ];
}

/** The guard of a document that the schema has let through. */
export function typedGuard({ timeZone, onTrip, prometheus, caps, rules }: GuardDocument): GuardPolicy {
  return {
    ...(timeZone !== undefined && { timeZone }),
    onTrip: { restore: onTrip.restore, ...(onTrip.close !== undefined && { close: onTrip.close }) },
    prometheus: prometheus.map(({ url, regions }) => ({ url, ...(regions && { regions }) })),
    caps: caps.map(({ kind, perRun, perUnit, shareOfRegion, floor }) => ({
      kind,
      ...(perRun !== undefined && { perRun }),
      ...(perUnit !== undefined && { perUnit }),
      ...(shareOfRegion !== undefined && { shareOfRegionPermille: permille(shareOfRegion) }),
      ...(floor !== undefined && { shareFloor: floor }),
    })),
    rules: rules.map(typedRule),
  };
}

function typedRule(rule: GuardDocument['rules'][number]): Rule {
  switch (rule.kind) {
    case 'invariant': {
      const { timeout, ...rest } = rule;
      return { ...rest, timeoutMs: milliseconds(timeout) };
    }
    case 'rate': {
      const { acceptable, ...rest } = rule;
      return { ...rest, acceptableShare: share(acceptable) };
    }
    case 'promql': {
      const { for: lasting, above, below, ...rest } = rule;
      return {
        ...rest,
        ...(above !== undefined && { above }),
        ...(below !== undefined && { below }),
        forMs: milliseconds(lasting),
      };
    }
    case 'alert': {
      const { alerts, spike, ...rest } = rule;
      return { ...rest, ...(alerts && { alerts }), ...(spike && { spike: typedSpike(spike) }) };
    }
    case 'absence': {
      const { longerThan, ...rest } = rule;
      return { ...rest, longerThanMs: milliseconds(longerThan) };
    }
    case 'count':
    case 'outcome':
      return rule;
  }
}

function typedSpike({ for: lasting, runbook, ...rest }: SpikeDocument): Spike {
  return { ...rest, forMs: milliseconds(lasting), ...(runbook !== undefined && { runbook }) };
}

/** `0.05%` is 0.0005: by way of whole hundred-thousandths, for which there is one nearest number. */
function share(text: string): number {
  return Math.round(Number(text.slice(0, -1)) * 1_000) / 100_000;
}
