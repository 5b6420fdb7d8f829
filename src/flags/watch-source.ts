import { formatDurationMs } from '../kernel/duration.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { FlagSource } from './source.js';

export interface SourceWatch {
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'flagSourceProblem'>;
  /** Beyond this age flags are stale, and so closed. */
  readonly maxAgeMs: number;
  /** What to do about a problem, by its code. */
  readonly advice: (code: string) => string;
  /** How often to look whether flags have become stale, which nothing announces. Default 1 s. */
  readonly everyMs?: number;
}

/**
 * Logs each problem of a flag source once when it begins and once when it ends, and each malformed flag likewise.
 * Answers what ends the watch.
 */
export function watchSource(
  source: FlagSource,
  { log, metrics, maxAgeMs, advice, everyMs = 1_000 }: SourceWatch,
): () => void {
  let now: { readonly code: string; readonly atMs: number } | undefined;
  let malformed: ReadonlyMap<string, string> = new Map();

  const look = (): void => {
    lookAtSource();
    lookAtFlags();
  };

  const lookAtSource = (): void => {
    const { heardAgeMs, problem } = source.state();
    const isStale = Number.isFinite(heardAgeMs) && heardAgeMs > maxAgeMs;
    const code =
      problem !== undefined && problem.code !== 'flag-unreachable'
        ? problem.code
        : isStale
          ? 'flag-stale'
          : problem?.code;
    if (code === now?.code) return;
    const facts = {
      source: source.name,
      ...(Number.isFinite(heardAgeMs) && { heardAgeMs: Math.round(heardAgeMs) }),
    };
    if (code === undefined) {
      const lasted = formatDurationMs(Math.round(performance.now() - (now?.atMs ?? 0)));
      log.warn(
        { code: 'flag-source-heard', was: now?.code, ...facts },
        `the flag source answers again after ${lasted}`,
      );
      now = undefined;
      return;
    }
    metrics.flagSourceProblem(source.name, code.replace('flag-', ''));
    const age = `last heard ${formatDurationMs(Math.round(heardAgeMs))} ago`;
    const what = [
      problem?.reason ?? `the flag source ${source.name} does not answer`,
      ...(code === 'flag-stale' ? [`${age}: flags are closed`] : []),
      advice(code),
    ].join('; ');
    log.error({ code: code.replace('flag-', 'flag-source-'), ...facts }, what);
    now = { code, atMs: now?.atMs ?? performance.now() };
  };

  const lookAtFlags = (): void => {
    const found = new Map(
      source.repository
        .all()
        .flatMap((flag) => ('malformed' in flag ? [[flag.name, flag.malformed] as const] : [])),
    );
    for (const [flag, reason] of found) {
      if (malformed.get(flag) === reason) continue;
      log.error({ code: 'flag-malformed', flag }, `${flag} is malformed, and so closed: ${reason}`);
    }
    for (const flag of malformed.keys()) {
      if (!found.has(flag)) log.warn({ code: 'flag-sound', flag }, `${flag} is no longer malformed`);
    }
    malformed = found;
  };

  const unsubscribe = source.onChange(look);
  const timer = setInterval(look, everyMs).unref();
  look();
  return () => {
    unsubscribe();
    clearInterval(timer);
  };
}
