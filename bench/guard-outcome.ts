import { lnEvidence, startOutcome, takeLook } from '#dist/guard/outcome.js';
import { seededRandom, type Random } from '#dist/demo/random.js';
import { median } from './bench.js';
import { divergence } from './guard-draws.js';
import { figureOf, upperBound, type GuardFigure } from './guard-figures.js';

const ALPHA = 0.01;
const ORGANISATIONS = 10_000;
const CANARY = 0.1;
const EVENTS = 2_000;

/** Told of new units with a bad outcome; answers whether it trips. */
type Judge = (newEvents: number, candidateEvents: number, theta: number) => boolean;

function ours(): Judge {
  let state = startOutcome({ rule: 'outcome', alpha: ALPHA });
  return (newEvents, candidateEvents, theta) => {
    state = takeLook(state, { newEvents, candidateEvents, theta });
    return lnEvidence(state) >= -Math.log(ALPHA);
  };
}

/** What one would write without thinking about how often it looks; z at the same nominal one in a hundred. */
const NAIVE: Readonly<Record<string, () => Judge>> = {
  '2 × its share, of 20 or more': () => {
    let [events, candidate, expected] = [0, 0, 0];
    return (k, x, theta) => {
      [events, candidate, expected] = [events + k, candidate + x, expected + k * theta];
      return events >= 20 && candidate > 2 * expected;
    };
  },
  'median + 3 MAD of 50s': () => {
    const counts: number[] = [];
    let [events, candidate] = [0, 0];
    return (k, x) => {
      [events, candidate] = [events + k, candidate + x];
      if (events < 50) return false;
      const middle = median(counts);
      const limit = middle + 3 * 1.4826 * median(counts.map((count) => Math.abs(count - middle)));
      const trips = counts.length >= 10 && candidate > limit;
      counts.push(candidate);
      [events, candidate] = [0, 0];
      return trips;
    };
  },
  'EWMA 3σ': () => {
    let [level, expected] = [CANARY, CANARY];
    return (k, x, theta) => {
      const kept = 0.98 ** k;
      level = kept * level + (1 - kept) * (x / k);
      expected = kept * expected + (1 - kept) * theta;
      return level > expected + 3 * Math.sqrt((0.02 / 1.98) * theta * (1 - theta));
    };
  },
  'peeked z-test': () => {
    let [events, excess, variance] = [0, 0, 0];
    return (k, x, theta) => {
      events += k;
      excess += x - k * theta;
      variance += k * theta * (1 - theta);
      return events >= 20 && excess > 2.326 * Math.sqrt(variance);
    };
  },
};

export function measureOutcome(
  seed: string,
  repetitions: number,
  progress: (text: string) => void,
): GuardFigure[] {
  const random = seededRandom(`${seed} outcome`);
  const figures = [1, 50].flatMap((burst) => {
    progress(`outcome, false trips, ${burst} at a time`);
    return falseTrips(burst, random, repetitions);
  });
  const delays = Math.ceil(repetitions / 10);
  const reaches = [
    { times: 1.5, most: 1.3 },
    { times: 2, most: 1.3 },
    { times: 5, most: 1.35 },
    { times: 20, most: 1.55 },
  ];
  return [
    ...figures,
    ...reaches.map(({ times, most }) => {
      progress(`outcome, ${times} × as bad`);
      const share = (CANARY * times) / (1 - CANARY + CANARY * times);
      const limit = Math.log(1 / ALPHA) / divergence(share, CANARY);
      let events = 0;
      for (let repetition = 0; repetition < delays; repetition += 1) {
        const judge = ours();
        do events += 1;
        while (!judge(1, random.chance(share) ? 1 : 0, CANARY));
      }
      return figureOf({
        rule: 'outcome',
        what: 'events until the trip ÷ ln(1/α)/KL, canary 10 %',
        setting: `${times} × as bad, where ${limit.toPrecision(3)} is the limit`,
        measured: events / delays / limit,
        reach: { most },
        repetitions: delays,
      });
    }),
  ];
}

/**
 * The candidate is no worse: of the organisations at risk any is as likely the next. With bursts, many fail at
 * once (one identity provider), and their look comes after all of them.
 */
function falseTrips(burst: number, random: Random, repetitions: number): GuardFigure[] {
  const shares = Object.entries({ ours, ...NAIVE }).map(([name, judgeFor]): [string, number] => {
    let trips = 0;
    for (let repetition = 0; repetition < repetitions; repetition += 1) {
      if (tripsFalsely(judgeFor(), burst, random)) trips += 1;
    }
    return [name, trips / repetitions];
  });
  const { ours: share = Number.NaN, ...naive } = Object.fromEntries(shares);
  const common = { rule: 'outcome', repetitions } as const;
  const setting = `canary 10 %, ${EVENTS} events, ${burst === 1 ? 'one at a time' : `${burst} at a time`}`;
  const upper = upperBound(share * repetitions, repetitions);
  return [
    figureOf({
      ...common,
      what: `false trips, α ${ALPHA}`,
      setting,
      measured: share,
      reach: { most: ALPHA },
      naive,
    }),
    figureOf({
      ...common,
      what: `false trips, upper 95 % bound, α ${ALPHA}`,
      setting,
      measured: upper,
      reach: { most: 1.2 * ALPHA },
    }),
  ];
}

function tripsFalsely(judge: Judge, burst: number, random: Random): boolean {
  let [atRisk, candidates] = [ORGANISATIONS, ORGANISATIONS * CANARY];
  for (let events = 0; events < EVENTS; events += burst) {
    const theta = candidates / atRisk;
    let candidateEvents = 0;
    for (let event = 0; event < burst; event += 1) {
      const isCandidate = random.unit() * atRisk < candidates;
      atRisk -= 1;
      if (!isCandidate) continue;
      candidates -= 1;
      candidateEvents += 1;
    }
    if (judge(burst, candidateEvents, theta)) return true;
  }
  return false;
}
