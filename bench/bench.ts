import type { BenchServer } from './server.js';

export interface Figures {
  /** One figure for each run that counts, in the bench's unit. */
  readonly ours: readonly number[];
  readonly reference: readonly number[];
}

export interface BenchContext {
  readonly server: BenchServer;
  /** How often each side is measured. */
  readonly runs: number;
  /** Instead of a bench's own number of changes, to try it: its figures mean nothing then. */
  readonly changes?: number | undefined;
  /** Tells whoever waits, on standard error. */
  readonly progress: (text: string) => void;
}

export interface Bench {
  readonly name: string;
  /** What is measured, and against what. */
  readonly ours: string;
  readonly reference: string;
  readonly unit: 's' | 'MiB' | 'µs a change';
  /**
   * How the ratio is made and bounded. `speed`: the reference's figure over ours, at least `reach`.
   * `growth`: our figure over the reference's, at most `reach`.
   */
  readonly ratio: 'speed' | 'growth';
  readonly reach: number;
  /** Runs where the command line does not say. */
  readonly runs: number;
  measure(context: BenchContext): Promise<Figures>;
}

/** What a bench found; one line of `--json`. Figures are medians, in `unit`. */
export interface Result {
  readonly name: string;
  readonly ratio: number;
  readonly reach: number;
  readonly ok: boolean;
  readonly ours: number;
  readonly reference: number;
  readonly runs: number;
  readonly unit: Bench['unit'];
}

export function resultOf(bench: Bench, figures: Figures): Result {
  const ours = median(figures.ours);
  const reference = median(figures.reference);
  const ratio = bench.ratio === 'speed' ? reference / ours : ours / reference;
  return {
    name: bench.name,
    ratio: rounded(ratio),
    reach: bench.reach,
    ok: bench.ratio === 'speed' ? ratio >= bench.reach : ratio <= bench.reach,
    ours: rounded(ours),
    reference: rounded(reference),
    runs: figures.ours.length,
    unit: bench.unit,
  };
}

/**
 * Measures both sides in turn (ours, reference, ours, reference, …), so that whatever else the machine does
 * meets both. The first turn of each warms up and does not count.
 */
export async function inTurns(
  { runs, progress }: BenchContext,
  ours: () => Promise<number>,
  reference: () => Promise<number>,
): Promise<Figures> {
  const figures = { ours: [] as number[], reference: [] as number[] };
  for (let turn = 0; turn <= runs; turn += 1) {
    const pair = { ours: await ours(), reference: await reference() };
    const counts = turn === 0 ? 'warm-up' : `run ${turn} of ${runs}`;
    progress(`${counts}: ours ${pair.ours.toFixed(3)}, reference ${pair.reference.toFixed(3)}`);
    if (turn === 0) continue;
    figures.ours.push(pair.ours);
    figures.reference.push(pair.reference);
  }
  return figures;
}

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

function rounded(figure: number): number {
  return Number(figure.toPrecision(4));
}
