/**
 * What a rule says. What follows depends on the stage:
 *
 * | verdict       | plan, apply       | bake               |
 * | ------------- | ----------------- | ------------------ |
 * | `pass`        | go on             | counts as evidence |
 * | `fail`        | stop, trip        | trip               |
 * | `too-few`     | caps carry it     | keep baking        |
 * | `no-data`     | hold              | hold               |
 * | `unreachable` | hold              | hold and alert     |
 */
export const VERDICTS = ['pass', 'fail', 'too-few', 'no-data', 'unreachable'] as const;
export type Verdict = (typeof VERDICTS)[number];

/**
 * The figures that a rule decided by: plain JSON, so that a verdict is kept as it was given. Where a rule has
 * such a figure it uses these names: `observed`, `expected`, `low` and `high` (the interval), `samples`, `p` (a
 * chance) or `lnE` (an e-value's logarithm), and `limit` (what p or lnE was held against).
 */
export type Figures = Readonly<Record<string, number | string | boolean | null>>;

export interface Judged {
  readonly verdict: Verdict;
  /** The rule's name in the policy: `claims-per-run`. */
  readonly rule: string;
  /** In words, with the figures, beginning with the rule's name. */
  readonly reason: string;
  readonly figures: Figures;
  /** The first rows that broke an invariant; plain JSON. */
  readonly evidence?: readonly Readonly<Record<string, unknown>>[];
  /** What the rule keeps of the run, for the runs after it: plain JSON, kept with the verdict. */
  readonly state?: object;
  /** What a `fail` is worth where it is less than a trip: far too few changes harm nobody. */
  readonly worth?: 'hold';
}
