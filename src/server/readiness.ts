import { formatDurationMs } from '../kernel/duration.js';
import { within } from '../kernel/within.js';
import type { SourceProblem, SourceState } from '../flags/hearing.js';

export interface ReadinessOptions {
  /** Asks each database something, by the name to show: `control`, `region`. */
  readonly databases: Readonly<Record<string, () => Promise<unknown>>>;
  /** The runs of this process: which hang, in words, and what asks the databases that runs are under way on. */
  readonly runs?: {
    hanging(): readonly string[];
    databases(): readonly (() => Promise<unknown>)[];
  };
  /** The flag source as this process hears it. */
  readonly flags: () => SourceState;
  /** Beyond this age every gate is closed, and so this process is of no use. */
  readonly flagsMaxAgeMs: number;
  /** How long a database may take to answer. */
  readonly timeoutMs?: number;
}

/**
 * Tells why a process is not ready: a database that does not answer, a run that hangs, flags that are stale. The reasons hold
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
  const { runs } = options;
  const asked = await Promise.all((runs?.databases() ?? []).map((ask) => answersWithin(ask, timeoutMs)));
  const cutOff = asked.every(Boolean) ? [] : ['the database of a run under way does not answer'];
  return [
    ...away.flat(),
    ...cutOff,
    ...(runs?.hanging() ?? []),
    ...flagReasons(options.flags(), options.flagsMaxAgeMs),
  ];
}

function answersWithin(ask: () => Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const late = (): Error => new Error('no answer in time');
  return within(timeoutMs, ask, late).then(
    () => true,
    () => false,
  );
}

/** What closes every flag at once goes before their age. Its message may name an address, so its code is told. */
function flagReasons(
  { heardAgeMs: ageMs, problem, problemAgeMs = 0 }: SourceState,
  maxAgeMs: number,
): string[] {
  const closes = problem === undefined ? undefined : CLOSING[problem.code];
  if (closes !== undefined) return [`${closes} for ${formatDurationMs(Math.round(problemAgeMs))}`];
  if (ageMs === Infinity) return ['the flag source has not answered yet'];
  if (ageMs <= maxAgeMs) return [];
  return [
    `flags are stale: last heard ${formatDurationMs(ageMs)} ago, at most ${formatDurationMs(maxAgeMs)} allowed`,
  ];
}

const CLOSING: Readonly<Record<SourceProblem['code'], string | undefined>> = {
  'flag-unauthorised': 'the flag source has refused this process',
  'flag-malformed': 'the flag source gave an invalid answer',
  'flag-unreachable': undefined,
};
