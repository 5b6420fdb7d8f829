const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Reads a duration such as `500ms`, `30s`, `10m`, `24h` or `7d`. Answers milliseconds, or undefined. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (!match?.[1] || !match[2]) return undefined;
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}

/** Writes milliseconds the way a person reads them: `740 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDurationMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  // Rounded first, so that 59.99 s does not read as 60.0 s.
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const pair = (large: string, largeMs: number, small: string, smallMs: number): string => {
    const smalls = Math.round(ms / smallMs);
    const whole = Math.floor(smalls / (largeMs / smallMs));
    const rest = smalls % (largeMs / smallMs);
    return rest === 0 ? `${whole} ${large}` : `${whole} ${large} ${rest} ${small}`;
  };
  if (ms < UNIT_MS.h) return pair('min', UNIT_MS.m, 's', UNIT_MS.s);
  if (ms < UNIT_MS.d) return pair('h', UNIT_MS.h, 'min', UNIT_MS.m);
  return pair('d', UNIT_MS.d, 'h', UNIT_MS.h);
}
