import { setTimeout } from 'node:timers/promises';
import { PortcullisError } from '../kernel/errors.js';
import type { RunView } from '../runs/browse-runs.js';
import type { Invoke } from './invoke.js';
import { bar } from './progress.js';
import { total } from './wording.js';

const LOOK_MS = 500;
/** How long a server may be away before its run is left to itself. */
const AWAY_MS = 60_000;

/**
 * Follows a run that a server's workers carry out, until it is over or the signal is aborted; answers it as it is then.
 * A server that is away for a minute ends this, and not the run: throws SERVER_UNREACHABLE or DATABASE_UNREACHABLE, with
 * the way to follow it later.
 */
export async function followRun(
  invoke: Invoke,
  id: string,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<RunView> {
  let heardMs = performance.now();
  for (;;) {
    try {
      const run = await invoke('getRun', { id });
      heardMs = performance.now();
      if (run.finishedAt !== null || signal.aborted) return run;
      say(progressText(run));
    } catch (error) {
      if (!isAway(error) || signal.aborted || performance.now() - heardMs > AWAY_MS)
        throw leftAlone(error, id);
    }
    await setTimeout(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** How to see what became of a run that was left to the server's workers. */
export function followText(id: string): string {
  return `portcullis run show ${id.slice(0, 8)} follows it`;
}

/** A run that no worker has taken yet bears the name of who began it. */
function progressText({ worker, region, status, restores, planned, applied, conflicts }: RunView): string {
  if (worker === 'http') return `waiting for a worker of ${region}`;
  if (status !== 'applying') return 'planning';
  const what = restores === null ? 'applying' : 'restoring';
  return `${what}  ${bar(total(applied) + conflicts, total(planned))}`;
}

function isAway(error: unknown): error is PortcullisError {
  return (
    error instanceof PortcullisError &&
    (error.code === 'SERVER_UNREACHABLE' || error.code === 'DATABASE_UNREACHABLE')
  );
}

function leftAlone(error: unknown, id: string): unknown {
  if (!isAway(error)) return error;
  return new PortcullisError(error.code, `${error.message}; run ${id.slice(0, 8)} goes on`, {
    hint: `once the server answers, ${followText(id)}`,
    details: { ...error.details, run: id },
    cause: error,
  });
}
