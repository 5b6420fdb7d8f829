import { startRate, stepRate, type RateBatch } from '#dist/guard/rate.js';
import { seededRandom, type Random } from '#dist/demo/random.js';
import { median } from './bench.js';
import { binomial, divergence, type CountTable } from './guard-draws.js';
import { figureOf, upperBound, type GuardFigure } from './guard-figures.js';

const ALPHA = 0.001;
const PLANNED = 200;

/** Usual rate, how many times as bad it becomes, and the batch: so small that the best rule needs ten. */
const SETTINGS = [
  { p0: 0.001, times: 2, n: 1000 },
  { p0: 0.001, times: 5, n: 150 },
  { p0: 0.001, times: 20, n: 15 },
  { p0: 0.01, times: 2, n: 150 },
  { p0: 0.01, times: 5, n: 15 },
  { p0: 0.05, times: 2, n: 30 },
];

type Judge = (batch: RateBatch) => boolean;

function ours(p0: number): Judge {
  let state = startRate({ rule: 'rate', alpha: ALPHA, p0, plannedBatches: PLANNED });
  return (batch) => {
    const step = stepRate(state, batch);
    state = step.state;
    return step.judged.verdict === 'fail';
  };
}

/** What one would write without thinking about how often it looks; each at a nominal one in a thousand or 3σ. */
const NAIVE: Readonly<Record<string, (p0: number) => Judge>> = {
  '3 × p0 in a batch': (p0) => (batch) => batch.x > 3 * p0 * batch.n && batch.x > 2,
  'median + 3 MAD': () => {
    const rates: number[] = [];
    return ({ n, x }) => {
      const middle = median(rates);
      const limit = middle + 3 * 1.4826 * median(rates.map((rate) => Math.abs(rate - middle)));
      const trips = rates.length >= 10 && x / n > limit;
      rates.push(x / n);
      if (rates.length > 50) rates.shift();
      return trips;
    };
  },
  'EWMA 3σ': (p0) => {
    let level = p0;
    return ({ n, x }) => {
      level += 0.2 * (x / n - level);
      return level > p0 + 3 * Math.sqrt((0.2 / 1.8) * ((p0 * (1 - p0)) / n));
    };
  },
  'peeked z-test': (p0) => {
    let [changes, events] = [0, 0];
    return ({ n, x }) => {
      changes += n;
      events += x;
      return changes * p0 >= 5 && events - changes * p0 > 3.09 * Math.sqrt(changes * p0 * (1 - p0));
    };
  },
};

export function measureRate(
  seed: string,
  repetitions: number,
  progress: (text: string) => void,
): GuardFigure[] {
  return SETTINGS.flatMap(({ p0, times, n }) => {
    const setting = `p0 ${p0}, batches of ${n}, ${times} × as bad`;
    progress(`rate, ${setting}`);
    const random = seededRandom(`${seed} rate ${setting}`);
    const healthy = binomial(n, p0);
    const bad = binomial(n, p0 * times);
    const kl = divergence(p0 * times, p0);
    const delays = Math.ceil(repetitions / 10);
    const mean = (badFrom: number): number =>
      meanDelay(p0, n, delays, (batch) => (batch < badFrom ? healthy : bad).draw(random), badFrom);
    return [
      ...(times === 2 && p0 > 0.001 ? [falseTrips(p0, n, healthy, random, repetitions)] : []),
      figureOf({
        rule: 'rate',
        what: 'changes until the trip ÷ ln(1/α)/KL, bad from the start',
        setting,
        measured: mean(0) / (Math.log(1 / ALPHA) / kl),
        reach: { most: 1.45 },
        repetitions: delays,
      }),
      figureOf({
        rule: 'rate',
        what: 'changes until the trip ÷ ln(T/α)/KL, bad from midway',
        setting,
        measured: mean(PLANNED / 2) / (Math.log(PLANNED / ALPHA) / kl),
        reach: { most: 1.15 },
        repetitions: delays,
      }),
    ];
  });
}

function falseTrips(
  p0: number,
  n: number,
  healthy: CountTable,
  random: Random,
  repetitions: number,
): GuardFigure {
  const shares = Object.entries({ ours, ...NAIVE }).map(([name, judgeFor]): [string, number] => {
    let trips = 0;
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      const judge = judgeFor(p0);
      for (let batch = 0; batch < PLANNED; batch += 1) {
        if (!judge({ n, x: healthy.draw(random) })) continue;
        trips += 1;
        break;
      }
    }
    return [name, trips / repetitions];
  });
  const { ours: share = Number.NaN, ...naive } = Object.fromEntries(shares);
  const upper = upperBound(share * repetitions, repetitions);
  return figureOf({
    rule: 'rate',
    what: `false trips in a run of ${PLANNED} batches, α ${ALPHA}`,
    setting: `p0 ${p0}, batches of ${n}; 95 % below ${upper.toPrecision(2)}`,
    measured: share,
    reach: { most: ALPHA },
    repetitions,
    naive,
  });
}

/** Changes from the first bad batch to the trip, on average; runs that tripped before it do not count. */
function meanDelay(
  p0: number,
  n: number,
  repetitions: number,
  draw: (batch: number) => number,
  badFrom: number,
): number {
  let [sum, runs] = [0, 0];
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    const judge = ours(p0);
    let batch = 0;
    while (!judge({ n, x: draw(batch) })) batch += 1;
    if (batch < badFrom) continue;
    sum += (batch - badFrom + 1) * n;
    runs += 1;
  }
  return sum / runs;
}
