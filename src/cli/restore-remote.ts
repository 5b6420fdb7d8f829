import { requireDamage } from '../incidents/incident.js';
import { writers, type SilentRegion } from '../incidents/incident-runs.js';
import type { RestorePart } from '../journal/restore-plan.js';
import type { RestorePreview } from '../journal/restore-preview.js';
import type { FiringTrigger } from '../journal/trigger-effects.js';
import type { Trial } from '../runs/run-triggers.js';
import { PortcullisError } from '../kernel/errors.js';
import type { RunView } from '../runs/browse-runs.js';
import { exitCodeOfRun } from './exit.js';
import { followRun, followText } from './follow-run.js';
import type { Invoke } from './invoke.js';
import type { ExitCode } from './terminal.js';
import { total } from './wording.js';
import { looksLikeIncident } from '../kernel/short-id.js';

/** What `restore --json` prints of each run. */
export interface RestoreResult {
  readonly run: string;
  readonly job: string;
  readonly region: string;
  /** The restore's own run; null for a dry run, or where none was begun. */
  readonly restore: string | null;
  readonly status: string;
  readonly reason: string;
  readonly restored: number;
  readonly left: RestorePreview;
  readonly durationMs: number | null;
  /** Of a dry run: the triggers that a restore fires, and what they were seen to do. */
  readonly triggers?: readonly FiringTrigger[];
  readonly trial?: Trial | null;
}

/** A part as queries name it. */
export function queriedPart(part: RestorePart | undefined) {
  const { resources, units, keys } = part ?? {};
  return {
    ...(resources && { resource: [...resources] }),
    ...(units && { unit: [...units] }),
    ...(keys && { key: [...keys] }),
  };
}

export const DRY_RUN = {
  ...{ restore: null, status: 'planned', reason: 'a dry run: nothing was written' },
  ...{ restored: 0, durationMs: null },
} as const;

/** The runs that ids mean on a server, the newest first, and the incidents among them. */
export interface NamedThere {
  readonly runs: readonly RunView[];
  readonly incidents: readonly { readonly id: string; readonly closed: boolean }[];
  readonly silent: readonly SilentRegion[];
}

/** Throws what `runsNamed` throws. */
export async function namedThere(invoke: Invoke, ids: readonly string[]): Promise<NamedThere> {
  const runs = new Map<string, RunView>();
  const incidents = [];
  const silent = [];
  for (const id of ids) {
    const wanted = [id];
    if (looksLikeIncident(id)) {
      const incident = await invoke('getIncident', { id });
      requireDamage(incident);
      incidents.push({ id: incident.id, closed: incident.state === 'closed' });
      silent.push(...incident.silent);
      wanted.splice(0, 1, ...writers(incident.runs).map((run) => run.id));
    }
    for (const each of wanted) {
      const run = await invoke('getRun', { id: each });
      runs.set(run.runId, run);
    }
  }
  const newestFirst = [...runs.values()].sort(
    (one, other) =>
      Date.parse(other.createdAt) - Date.parse(one.createdAt) || (one.runId < other.runId ? -1 : 1),
  );
  return { runs: newestFirst, incidents, silent };
}

export async function previewThere(
  invoke: Invoke,
  { runs }: NamedThere,
  part: RestorePart | undefined,
): Promise<RestoreResult[]> {
  const results = [];
  for (const { runId: run, job, region } of runs) {
    const { runId, triggers, trial, ...left } = await invoke('previewRestore', {
      id: run,
      ...queriedPart(part),
    });
    results.push({ run: runId, job, region, ...DRY_RUN, left, triggers, trial });
  }
  return results;
}

interface Following {
  /** Why, for the record. */
  readonly reason: string | undefined;
  /** What of each run. */
  readonly part: RestorePart | undefined;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/**
 * Has a server's workers restore runs, one after the other, the newest first, and follows each to its end. Ends with the
 * first that does not succeed, since what is older lies beneath it. Incidents follow their runs. Answers what came of
 * each, and the exit code.
 */
export async function restoreThere(
  invoke: Invoke,
  { runs, incidents }: NamedThere,
  { reason, part, signal, say }: Following,
): Promise<{ readonly results: RestoreResult[]; readonly exit: ExitCode }> {
  const why = reason === undefined ? {} : { reason };
  const begun = new Map<string, string>();
  for (const { id, closed } of incidents) {
    // An incident's own way restores its runs in whole.
    if (closed || runs.length === 0 || part !== undefined) continue;
    const first = await unlessNothing(() => invoke('restoreIncident', { id, ...why }));
    for (const { runId, restore } of 'nothing' in first ? [] : first.restores) begun.set(runId, restore);
  }
  const results: RestoreResult[] = [];
  for (const [at, { runId: run, job, region }] of runs.entries()) {
    const named = { run, job, region };
    const known = begun.get(run);
    const order =
      known === undefined
        ? await unlessNothing(() => invoke('restoreRun', { id: run, ...why, ...orderedPart(part) }))
        : { restore: known };
    if ('nothing' in order) {
      const nothing = {
        restore: null,
        status: 'succeeded',
        reason: order.nothing,
        restored: 0,
        durationMs: null,
      };
      results.push({ ...named, ...nothing, left: await leftOf(invoke, run, part) });
      continue;
    }
    const which = runs.length > 1 ? `run ${at + 1} of ${runs.length}: ` : '';
    const restore = await followRun(invoke, order.restore, signal, (text) => say(which + text));
    results.push({ ...named, ...resultOf(restore), left: await leftOf(invoke, run, part) });
    if (restore.finishedAt === null) return { results, exit: 3 };
    if (restore.status !== 'succeeded') return { results, exit: exitCodeOfRun(restore.status) };
  }
  return { results, exit: 0 };
}

function resultOf({ runId, status, reason, applied, finishedAt, durationMs }: RunView) {
  const now = { restore: runId, status, restored: total(applied), durationMs };
  const why =
    finishedAt === null ? `interrupted here; a worker goes on with it: ${followText(runId)}` : reason;
  return { ...now, reason: why };
}

function orderedPart(part: RestorePart | undefined) {
  const { resources, units, keys } = part ?? {};
  return {
    ...(resources && { resources: [...resources] }),
    ...(units && { units: [...units] }),
    ...(keys && { keys: [...keys] }),
  };
}

async function leftOf(invoke: Invoke, id: string, part: RestorePart | undefined): Promise<RestorePreview> {
  const { applied, alreadyRestored, restorable, asBefore, conflicts } = await invoke('previewRestore', {
    ...{ id, ...queriedPart(part) },
    trial: 'false',
  });
  return { applied, alreadyRestored, restorable, asBefore, conflicts };
}

/** What is ordered, or that there is nothing to restore: of several runs, that one is restored ends nothing. */
async function unlessNothing<T extends object>(
  order: () => Promise<T>,
): Promise<T | { readonly nothing: string }> {
  try {
    return await order();
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'NOTHING_REACHED')
      return { nothing: error.message };
    throw error;
  }
}
