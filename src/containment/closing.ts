import type pg from 'pg';
import { within } from '../kernel/within.js';
import type { Close, GuardPolicy, Rule } from '../flags/guard-policy.js';

/** What a trip is to close, and why. */
export interface Closing {
  readonly close: Close;
  readonly why: string;
}

const NO_VERSION = 'no version is named';

/** A version that failed. */
interface Failed {
  /** Null where no one version is to blame. */
  readonly version: string | null;
  /** The rules that failed whose evidence is not that version's alone: see {@link sharedEvidence}. */
  readonly shared: readonly string[];
}

/**
 * Decides what a trip is to close, before it is known whether its version is a candidate. Pure.
 *
 * | version | `onTrip.close` | evidence          | closes      |
 * | ------- | -------------- | ----------------- | ----------- |
 * | none    | any            | any               | the region  |
 * | one     | `region`       | any               | the region  |
 * | one     | `candidate`    | any               | the version |
 * | one     | absent         | its own alone     | the version |
 * | one     | absent         | of others as well | the region  |
 */
export function closingOf(onTrip: GuardPolicy['onTrip'], { version, shared }: Failed): Closing {
  if (version === null) return { close: 'region', why: NO_VERSION };
  if (onTrip.close !== undefined)
    return { close: onTrip.close, why: `the policy says onTrip.close: ${onTrip.close}` };
  return shared.length === 0
    ? { close: 'candidate', why: 'the evidence is its own' }
    : { close: 'region', why: `${shared.join(', ')}: the evidence is not of this version alone` };
}

/**
 * Which of the named bake rules have evidence that is not one version's alone: an alert, a query that does not name the
 * version, and a rule that the policy does not have any more.
 */
export function sharedEvidence(rules: readonly Rule[], names: readonly string[]): string[] {
  return names.filter((name) => {
    const rule = rules.find((each) => each.name === name);
    if (rule === undefined || rule.kind === 'alert') return true;
    return rule.kind === 'promql' && !/\{\{\s*version\s*\}\}/.test(rule.query);
  });
}

/** Whether a version's rollout in a region is unfinished; `unknown`: the control database did not say. */
export type Candidacy = 'candidate' | 'none' | 'unknown';

/** Decides what a trip closes. Pure: what is no candidate, or might be none, closes the region. */
export function closedBy(
  { close, why }: Closing,
  candidacy: Candidacy,
  { version, region }: { readonly version: string | null; readonly region: string },
): Closing {
  if (version === null) return { close: 'region', why: NO_VERSION };
  if (close === 'region') return { close, why };
  switch (candidacy) {
    case 'candidate':
      return { close, why: `${why}, and its rollout in ${region} is unfinished` };
    case 'none':
      return { close: 'region', why: `${version} is no candidate in ${region}` };
    case 'unknown':
      return {
        close: 'region',
        why: `the control database did not say whether ${version} is a candidate in ${region}`,
      };
  }
}

/** The world does not wait for the answer: the version is stopped before it is asked for. */
const ASK_MS = 2_000;

/**
 * Whether a version is a candidate in a region: its newest rollout includes the region and is not done there. One that
 * was aborted never came to be done. Never throws.
 */
export async function askCandidacy(
  control: pg.Pool,
  { job, version, region }: { readonly job: string; readonly version: string; readonly region: string },
): Promise<Candidacy> {
  const ask = async (): Promise<Candidacy> => {
    const { rows } = await control.query<{ unfinished: boolean }>(
      `select r.status <> 'completed' and p.done_at is null as unfinished
       from portcullis_control.rollout r
       join portcullis_control.rollout_part p on p.rollout = r.id and p.region = $3
       where r.job = $1 and r.version = $2
       order by r.started_at desc limit 1`,
      [job, version, region],
    );
    return rows[0]?.unfinished === true ? 'candidate' : 'none';
  };
  return within(ASK_MS, ask, () => new Error('no answer')).catch(() => 'unknown' as const);
}
