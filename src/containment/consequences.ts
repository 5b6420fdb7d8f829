import type { Judged, Verdict } from './verdict.js';

/** When a rule speaks: of a plan before any write, of a run after each batch, of a version while it bakes. */
export const STAGES = ['plan', 'apply', 'bake'] as const;
export type Stage = (typeof STAGES)[number];

/** What follows from a verdict, the mildest first. */
const BY_WEIGHT = [
  'evidence',
  'go-on',
  'leave-to-caps',
  'keep-baking',
  'hold',
  'hold-and-alert',
  'trip',
] as const;

export type Consequence = (typeof BY_WEIGHT)[number];

/**
 * What each verdict leads to at each stage. Missing data is never success and never failure: it holds.
 */
const CONSEQUENCES: Readonly<Record<Stage, Readonly<Record<Verdict, Consequence>>>> = {
  plan: {
    pass: 'go-on',
    fail: 'trip',
    'too-few': 'leave-to-caps',
    'no-data': 'hold',
    unreachable: 'hold',
  },
  apply: {
    pass: 'go-on',
    fail: 'trip',
    'too-few': 'leave-to-caps',
    'no-data': 'hold',
    unreachable: 'hold',
  },
  bake: {
    pass: 'evidence',
    fail: 'trip',
    'too-few': 'keep-baking',
    'no-data': 'hold',
    unreachable: 'hold-and-alert',
  },
};

/** What follows from one verdict. A failure that harms nobody, such as far too few changes, only holds. */
export function consequenceOf(
  stage: Stage,
  { verdict, worth }: Pick<Judged, 'verdict' | 'worth'>,
): Consequence {
  return verdict === 'fail' && worth === 'hold' ? 'hold' : CONSEQUENCES[stage][verdict];
}

/** Of several verdicts the gravest consequence, and the verdicts that call for it. None: undefined. */
export function gravest<One extends Pick<Judged, 'verdict' | 'worth'>>(
  stage: Stage,
  verdicts: readonly One[],
): { readonly consequence: Consequence; readonly because: readonly One[] } | undefined {
  const weights = verdicts.map((each) => BY_WEIGHT.indexOf(consequenceOf(stage, each)));
  const consequence = BY_WEIGHT[Math.max(-1, ...weights)];
  if (consequence === undefined) return undefined;
  return { consequence, because: verdicts.filter((each) => consequenceOf(stage, each) === consequence) };
}
