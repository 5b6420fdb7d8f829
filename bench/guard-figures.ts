/** One figure of a rule, beside what it must reach. */
export interface GuardFigure {
  readonly rule: 'count' | 'rate' | 'outcome';
  readonly what: string;
  readonly setting: string;
  readonly measured: number;
  /** The bound to keep; null where the figure is for comparison. */
  readonly reach: { readonly most: number } | { readonly least: number } | null;
  readonly ok: boolean;
  readonly repetitions: number;
  /** The same figure for rules that one would write without thinking about it. */
  readonly naive: Readonly<Record<string, number>>;
}

export function figureOf(
  each: Omit<GuardFigure, 'ok' | 'naive'> & { naive?: GuardFigure['naive'] },
): GuardFigure {
  const { reach, measured, naive = {} } = each;
  const ok = reach === null || ('most' in reach ? measured <= reach.most : measured >= reach.least);
  const rounded = Object.entries(naive).map(([name, value]): [string, number] => [name, digits(value)]);
  return { ...each, measured: digits(measured), ok, naive: Object.fromEntries(rounded) };
}

function digits(value: number): number {
  return Number(value.toPrecision(3));
}

/** The upper end of the 95 % interval of a share that was seen `events` times in `trials` (Wilson's, one-sided). */
export function upperBound(events: number, trials: number): number {
  const z2 = 1.645 ** 2;
  const share = events / trials;
  const spread = Math.sqrt(z2 * (share * (1 - share)) * trials + z2 ** 2 / 4) / trials;
  return (share + z2 / (2 * trials) + spread) / (1 + z2 / trials);
}
