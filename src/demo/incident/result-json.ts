import type { Reading, ReplayResult, Span, WorldResult } from './result.js';

const SPANS = ['detectMs', 'stopMs', 'restoreMs'] as const;
type SpanName = (typeof SPANS)[number];

/** What `replay --json` prints of a world: durations in whole milliseconds, null for what there was not. */
export interface WorldJson extends Readonly<Record<SpanName, number | null>> {
  readonly name: string;
  readonly guarded: string;
  readonly wronglyClaimed: number;
  readonly wronglyVerified: number;
  readonly lockedOut: Readonly<Record<string, number>>;
  readonly regionsTouched: number;
  readonly organisationsTouched: number;
  /**
   * Which durations are by the world's clock: these, and all else that is printed, come out the same for the same
   * accounts, regions, seed and code.
   */
  readonly virtual: readonly SpanName[];
  /** Which are what a computer took, and differ from one replay to the next. */
  readonly real: readonly SpanName[];
  readonly rowsRestored: number;
  readonly editsLost: number;
  readonly restoredExactly: boolean;
  readonly rowsNotAsBefore: number;
  readonly noticedBy: string;
  readonly readings: readonly Reading[];
}

/** What `replay --json` prints. */
export interface ReplayJson {
  readonly accounts: number;
  readonly organisations: number;
  readonly regions: number;
  readonly seed: number;
  readonly stableVersion: string;
  readonly faultyVersion: string;
  readonly healthyRuns: number;
  /** What a computer took for all of it. */
  readonly tookMs: number;
  readonly worlds: readonly WorldJson[];
}

export function replayJson({ regions, tookMs, worlds, ...rest }: ReplayResult): ReplayJson {
  return { ...rest, regions: regions.length, tookMs: Math.round(tookMs), worlds: worlds.map(worldJson) };
}

function worldJson({ detect, stop, restore, ...world }: WorldResult): WorldJson {
  const spans: Readonly<Record<SpanName, Span | null>> = {
    detectMs: detect,
    stopMs: stop,
    restoreMs: restore,
  };
  const ms = (span: Span | null): number | null => (span === null ? null : Math.round(span.ms));
  const by = (clock: Span['clock']): SpanName[] => SPANS.filter((name) => spans[name]?.clock === clock);
  return {
    ...world,
    detectMs: ms(detect),
    stopMs: ms(stop),
    restoreMs: ms(restore),
    virtual: by('virtual'),
    real: by('real'),
    restoredExactly: world.rowsNotAsBefore === 0,
  };
}
