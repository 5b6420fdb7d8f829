import { CountHistory } from '#dist/guard/count-history.js';
import { unlikelyFrom } from '#dist/guard/count-prediction.js';
import { seededRandom, type Random } from '#dist/demo/random.js';
import { negativeBinomial, type CountTable } from './guard-draws.js';
import { figureOf, type GuardFigure } from './guard-figures.js';
import { NAIVE_RULES, type NaiveRule } from './guard-naive.js';

const DAY_MS = 86_400_000;
const ALPHA = 2.5e-4;
/** The alpha at which it is compared with other rules. */
const COMPARED_ALPHA = 1e-3;
const ALPHAS = [ALPHA, COMPARED_ALPHA];

const SETTINGS = [5, 50, 1000].flatMap((mean) => [2, 10].map((k) => ({ mean, k })));

/** The rule's own thresholds at several alphas: what its history says is learned once for all. */
function oursAt(alphas: readonly number[], past: readonly number[]): number[] {
  const history = new CountHistory(
    'UTC',
    past.map((count, day) => ({ at: day * DAY_MS, count, units: 1 })),
  );
  const now = { at: past.length * DAY_MS, count: 0, units: 1 };
  const prediction = history.compare(now).class.predict(1);
  return alphas.map((alpha) => unlikelyFrom(prediction, alpha));
}

/** The smallest count that a naive rule finds too many after a history. */
function naiveThreshold(make: () => NaiveRule, history: readonly number[]): number {
  const rule = make();
  history.forEach((count, day) => {
    rule.learn(day * DAY_MS, count);
  });
  return Math.floor(rule.limit(history.length * DAY_MS)) + 1;
}

/**
 * Histories are drawn; what the rule then does with the next run is not drawn but known, as the exact chance
 * that a healthy (or 3 or 10 times as large) count is at or over the threshold. What is to be reached is meant over
 * all settings together; each by itself is for comparison.
 */
export function measureCount(
  seed: string,
  repetitions: number,
  progress: (text: string) => void,
): GuardFigure[] {
  const each = SETTINGS.map(({ mean: mu, k }) => {
    const setting = `mean ${mu}, k ${k}`;
    progress(`count, ${setting}`);
    const random = seededRandom(`${seed} count ${setting}`);
    return [
      ...falseAlarms(mu, k, random, repetitions),
      ...detection(mu, k, random, Math.ceil(repetitions / 10)),
    ].map((measured) => ({ ...measured, setting }));
  });
  const wholes = (each[0] ?? []).map(({ what }, at) => {
    const parts = each.flatMap((measured) => measured[at] ?? []);
    return figureOf({ ...ratioOf(parts), rule: 'count', what, setting: 'all six settings' });
  });
  const singles = each.flat().map((part) => {
    const { what, setting } = part;
    return figureOf({ ...ratioOf([part]), reach: null, rule: 'count', what, setting });
  });
  return [...wholes, ...singles];
}

/** A chance under each rule, and the chance that it is held against. */
interface Chances {
  readonly what: string;
  readonly ours: number;
  readonly naive: Readonly<Record<string, number>>;
  readonly against: number;
  readonly reach: GuardFigure['reach'];
  readonly repetitions: number;
}

function ratioOf(
  parts: readonly Chances[],
): Pick<GuardFigure, 'measured' | 'naive' | 'reach' | 'repetitions'> {
  const against = parts.reduce((sum, part) => sum + part.against, 0);
  const ratio = (chance: (part: Chances) => number): number =>
    parts.reduce((sum, part) => sum + chance(part), 0) / against;
  return {
    measured: ratio(({ ours }) => ours),
    naive: Object.fromEntries(
      Object.keys(NAIVE_RULES).map((name) => [name, ratio(({ naive }) => naive[name] ?? Number.NaN)]),
    ),
    reach: parts[0]?.reach ?? null,
    repetitions: parts.reduce((sum, part) => sum + part.repetitions, 0),
  };
}

function falseAlarms(mu: number, k: number, random: Random, repetitions: number): Chances[] {
  const healthy = negativeBinomial(mu, k);
  const histories = (): number[] => Array.from({ length: 100 }, () => healthy.draw(random));
  return [
    { runs: 30, most: 1.5 },
    { runs: 100, most: 1.2 },
  ].flatMap(({ runs, most }) => {
    const { ours, naive } = averages(repetitions, () => histories().slice(0, runs), healthy);
    return ALPHAS.map((alpha, at) => ({
      what: `false alarms ÷ α ${alpha}, ${runs} runs`,
      ours: ours[at] ?? Number.NaN,
      naive,
      against: alpha,
      reach: { most },
      repetitions,
    }));
  });
}

/** The spikes are ten times the mean (GUARD.md's), or ten times what the run would have had. */
type Spikes = 'none' | '10 × the mean' | '10 × their own';

function detection(mu: number, k: number, random: Random, repetitions: number): Chances[] {
  const healthy = negativeBinomial(mu, k);
  const cases: readonly { times: number; spikes: Spikes; least?: number }[] = [
    { times: 3, spikes: 'none', least: 0.92 },
    { times: 10, spikes: 'none', least: 0.98 },
    { times: 3, spikes: '10 × the mean', least: 0.8 },
    { times: 10, spikes: '10 × the mean', least: 0.92 },
    { times: 3, spikes: '10 × their own' },
    { times: 10, spikes: '10 × their own' },
  ];
  return cases.flatMap(({ times, spikes, least }) => {
    const bad = negativeBinomial(mu * times, k);
    const draw = (): number => {
      const count = healthy.draw(random);
      if (spikes === 'none' || !random.chance(0.05)) return count;
      return 10 * (spikes === '10 × the mean' ? mu : count);
    };
    const { ours, naive } = averages(repetitions, () => Array.from({ length: 100 }, draw), bad);
    return ALPHAS.map((alpha, at) => ({
      what:
        `detection at ${times} × ÷ an oracle's, α ${alpha}, 100 runs` +
        (spikes === 'none' ? '' : `, 5 % of them spikes of ${spikes}`),
      ours: ours[at] ?? Number.NaN,
      naive,
      against: bad.atLeast(healthy.unlikelyFrom(alpha)),
      // GUARD.md's figures are of the α that it compares at.
      reach: least === undefined || alpha !== COMPARED_ALPHA ? null : { least },
      repetitions,
    }));
  });
}

/** The mean chance that the next count is over the threshold: ours for each alpha, and the naive rules'. */
function averages(
  repetitions: number,
  drawHistory: () => number[],
  next: CountTable,
): { ours: number[]; naive: Record<string, number> } {
  const ours = ALPHAS.map(() => 0);
  const naive = Object.entries(NAIVE_RULES).map(([name, make]) => ({ name, make, sum: 0 }));
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    const history = drawHistory();
    oursAt(ALPHAS, history).forEach((threshold, at) => {
      ours[at] = (ours[at] ?? 0) + next.atLeast(threshold) / repetitions;
    });
    for (const each of naive) each.sum += next.atLeast(naiveThreshold(each.make, history)) / repetitions;
  }
  return { ours, naive: Object.fromEntries(naive.map(({ name, sum }) => [name, sum])) };
}
