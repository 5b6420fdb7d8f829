import { formatDurationMs } from '../base/duration.js';
import { within } from '../base/within.js';

export interface ReadinessOptions {
  /** Asks each database something, by the name to show: `control`, `region`. */
  readonly databases: Readonly<Record<string, () => Promise<unknown>>>;
  /** Milliseconds since the flag source was heard; Infinity where it never was. */
  readonly flagsHeardAgeMs: () => number;
  /** Beyond this age every gate is closed, and so this process is of no use. */
  readonly flagsMaxAgeMs: number;
  /** How long a database may take to answer. */
  readonly timeoutMs?: number;
}

/**
 * Tells why a process is not ready: a database that does not answer, flags that are stale. The reasons hold
 * no address or user, since anyone may ask. Calls that come while a check is under way share it, so that
 * asking often does not load the database.
 */
export function createReadiness(options: ReadinessOptions): () => Promise<readonly string[]> {
  let underWay: Promise<readonly string[]> | undefined;
  return () =>
    (underWay ??= reasonsNow(options).finally(() => {
      underWay = undefined;
    }));
}

async function reasonsNow(options: ReadinessOptions): Promise<readonly string[]> {
  const { databases, timeoutMs = 2_000 } = options;
  const away = await Promise.all(
    Object.entries(databases).map(async ([name, ask]) =>
      (await answersWithin(ask, timeoutMs)) ? [] : [`the ${name} database does not answer`],
    ),
  );
  return [...away.flat(), ...flagReasons(options.flagsHeardAgeMs(), options.flagsMaxAgeMs)];
}

function answersWithin(ask: () => Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const late = (): Error => new Error('no answer in time');
  return within(timeoutMs, ask, late).then(
    () => true,
    () => false,
  );
}

function flagReasons(ageMs: number, maxAgeMs: number): string[] {
  if (ageMs === Infinity) return ['the flag source has not been heard yet'];
  if (ageMs <= maxAgeMs) return [];
  return [
    `flags are stale: last heard ${formatDurationMs(ageMs)} ago, at most ${formatDurationMs(maxAgeMs)} allowed`,
  ];
}
