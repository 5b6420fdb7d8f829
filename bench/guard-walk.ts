/** Runs one by one, judged by the count rule and by naive rules: what the lines of the guard's bench are made of. */
import { decide, type CountDecision, type CountOptions } from '#dist/guard/count.js';
import { CountHistory, type CountedRun } from '#dist/guard/count-history.js';
import { seededRandom, type Random } from '#dist/demo/random.js';
import { negativeBinomial, type CountTable } from './guard-draws.js';
import { figureOf, type GuardFigure } from './guard-figures.js';
import { NAIVE_RULES, type NaiveRule } from './guard-naive.js';

export const QUARTER_MS = 900_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;
/** A Monday. */
export const START = Date.UTC(2026, 0, 5);
/** The alpha at which rules are compared. */
export const ALPHA = 1e-3;
export const UNITS = 50;

const tables = new Map<string, CountTable>();

export function tableOf(mean: number, k: number): CountTable {
  const key = `${mean.toPrecision(4)} ${k}`;
  const table = tables.get(key) ?? negativeBinomial(Number(mean.toPrecision(4)), k);
  tables.set(key, table);
  return table;
}

export const isWeekend = (at: number): boolean => [0, 6].includes(new Date(at).getUTCDay());

/** Sixty at noon, 0.4 at night, and less at weekends. */
export function meanOfDay(at: number): number {
  const hour = (at % DAY_MS) / HOUR_MS;
  return (isWeekend(at) ? 0.4 : 1) * (0.4 + 59.6 * Math.exp(-((hour - 13) ** 2) / 15));
}

export type Draw = (at: number, random: Random, index: number) => number;

export function series(length: number, step: number, random: Random, draw: Draw): CountedRun[] {
  return Array.from({ length }, (_, index) => {
    const at = START + index * step;
    return { at, units: UNITS, count: draw(at, random, index) };
  });
}

export interface Setting {
  readonly seed: string;
  readonly repetitions: number;
}

export function each<T>({ seed, repetitions }: Setting, name: string, run: (random: Random) => T): T[] {
  return Array.from({ length: repetitions }, (_, at) => run(seededRandom(`${seed} ${name} ${at}`)));
}

/** How often something was so, by the count rule and by each naive rule. */
export class Tally {
  readonly #counts = new Map<string, number>();
  of = 0;

  add(rule: string, by = 1): void {
    this.#counts.set(rule, (this.#counts.get(rule) ?? 0) + by);
  }

  share(rule: string, of: number): number {
    return (this.#counts.get(rule) ?? 0) / of;
  }

  /** The counts over `of`, or over what is given. */
  over(of = this.of): Pick<GuardFigure, 'measured' | 'naive'> {
    const naive = Object.keys(NAIVE_RULES).map((rule): [string, number] => [rule, this.share(rule, of)]);
    return { measured: this.share(OURS, of), naive: Object.fromEntries(naive) };
  }
}

export const OURS = 'count';

/** The count rule and the naive ones, of one series. */
export class Judges {
  readonly history = new CountHistory();
  readonly #naive: readonly (readonly [string, NaiveRule])[];
  readonly #options: CountOptions;

  constructor(alpha = ALPHA) {
    this.#options = { rule: 'rhythm', alpha, floor: 1 };
    this.#naive = Object.entries(NAIVE_RULES).map(([name, make]) => [name, make()] as const);
  }

  decide(run: CountedRun): CountDecision {
    return decide(this.history, run, this.#options);
  }

  /** Which of the rules find a count too many. */
  tripping(at: number, count: number): string[] {
    const { verdict, worth } = this.decide({ at, count, units: UNITS });
    const naive = this.#naive.flatMap(([name, rule]) => (count > rule.limit(at) ? [name] : []));
    return verdict === 'fail' && worth === undefined ? [OURS, ...naive] : naive;
  }

  /** What the count rule says of a run, and which naive rules trip; all learn of it, the count rule unless it is refused. */
  judge(run: CountedRun, accepts = true): { decision: CountDecision; tripped: string[] } {
    const at = Number(run.at);
    const decision = this.decide(run);
    const fails = decision.verdict === 'fail';
    const tripped = fails && decision.worth === undefined ? [OURS] : [];
    for (const [name, rule] of this.#naive) {
      if (run.count > rule.limit(at)) tripped.push(name);
      rule.learn(at, run.count);
    }
    if (!fails || accepts) this.history.add({ ...run, accepted: fails, state: decision.state });
    return { decision, tripped };
  }
}

/** The count rule's holds, counted as a rule of their own. */
export const HOLDS = 'holds';

/** Judges each run after those before it; a person accepts what fails, unless told otherwise. */
export function walk(runs: readonly CountedRun[], tally: Tally, from: number, accepts = true): Judges {
  const judges = new Judges();
  runs.forEach((run, index) => {
    const { decision, tripped } = judges.judge(run, accepts);
    if (index < from) return;
    tally.of += 1;
    for (const rule of tripped) tally.add(rule);
    if (decision.worth === 'hold') tally.add(HOLDS);
  });
  return judges;
}

/** False alarms over alpha of many walks, beside those of the naive rules. */
export function falseAlarms(
  setting: string,
  tally: Tally,
  repetitions: number,
  most: number,
  mostHolds?: number,
): GuardFigure[] {
  const common = { rule: 'count', setting, repetitions } as const;
  const runs = tally.of;
  const trips = figureOf({
    ...common,
    what: `trips ÷ α ${ALPHA}, ${runs} runs`,
    ...tally.over(runs * ALPHA),
    reach: { most },
  });
  if (mostHolds === undefined) return [trips];
  const measured = tally.share(HOLDS, runs * ALPHA);
  const what = `holds ÷ α ${ALPHA}, ${runs} runs`;
  return [trips, figureOf({ ...common, what, measured, reach: { most: mostHolds } })];
}

/** How often something was found. */
export function found(setting: string, what: string, tally: Tally, least: number): GuardFigure {
  return figureOf({
    ...{ rule: 'count', setting, what, reach: { least } },
    ...tally.over(),
    repetitions: tally.of,
  });
}
