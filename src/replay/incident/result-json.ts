import type { ReplayResult, Span, WorldResult } from './result.js';

/** What `replay --json` prints of a world: durations in whole milliseconds, null for what did not happen. */
export interface WorldJson {
  readonly name: string;
  readonly wronglyClaimed: number;
  readonly lockedOut: Readonly<Record<string, number>>;
  readonly regionsTouched: number;
  readonly organisationsTouched: number;
  readonly detectMs: number | null;
  readonly stopMs: number | null;
  readonly restoreMs: number | null;
  /** Which of these are by the world's clock; the others are what a computer took. */
  readonly virtual: readonly ('detectMs' | 'stopMs' | 'restoreMs')[];
  readonly editsLost: number;
  readonly restoredExactly: boolean;
  readonly noticedBy: string;
}

/** What `replay --json` prints. */
export interface ReplayJson {
  readonly accounts: number;
  readonly regions: number;
  readonly seed: number;
  readonly worlds: readonly WorldJson[];
}

export function replayJson({ accounts, regions, seed, worlds }: ReplayResult): ReplayJson {
  return { accounts, regions: regions.length, seed, worlds: worlds.map(worldJson) };
}

function worldJson(world: WorldResult): WorldJson {
  const { name, wronglyClaimed, lockedOut, regionsTouched, organisationsTouched } = world;
  const spans = { detectMs: world.detect, stopMs: world.stop, restoreMs: world.restore } as const;
  const ms = (span: Span | null): number | null => (span === null ? null : Math.round(span.ms));
  return {
    ...{ name, wronglyClaimed, lockedOut, regionsTouched, organisationsTouched },
    detectMs: ms(world.detect),
    stopMs: ms(world.stop),
    restoreMs: ms(world.restore),
    virtual: (['detectMs', 'stopMs', 'restoreMs'] as const).filter(
      (name) => spans[name]?.clock === 'virtual',
    ),
    editsLost: world.editsLost,
    restoredExactly: world.rowsNotAsBefore === 0,
    noticedBy: world.noticedBy,
  };
}
