import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { writesNoMore } from '../worker/restore-runs.js';
import { whatIsLeft } from '../journal/restore-preview.js';
import type { FoundRun } from '../regions/browse.js';
import { activeRestore, electRestore } from '../runs/election.js';

/** A restore that a worker of the run's region is to carry out. */
export interface BegunRestore {
  readonly runId: string;
  readonly restore: string;
  /** False where one was under way already: to ask twice is to ask once. */
  readonly begun: boolean;
}

/**
 * Begins a restore of a run, on the record first. Throws FORBIDDEN, RUN_ACTIVE for one that may still write, or
 * NOTHING_REACHED for one that changed nothing, or of which every change is restored.
 */
export async function beginRestore(
  control: pg.Pool,
  { run: { runId, job, version, region }, regionDatabase }: FoundRun,
  principal: Principal,
  reason?: string,
): Promise<BegunRestore> {
  requireMay(principal, 'restore', region);
  const details = { run: runId, job, region };
  if (!(await writesNoMore(regionDatabase.worker, runId))) {
    throw new PortcullisError('RUN_ACTIVE', `run ${runId.slice(0, 8)} of ${job} is not over in ${region}`, {
      hint: `stop it first: kill ${job} in ${region}; then restore it`,
      details,
    });
  }
  const { applied, allTakenBack } = await whatIsLeft(regionDatabase.worker, runId);
  if (allTakenBack) {
    const why = applied === 0 ? 'changed nothing' : `is restored already: ${countOf(applied, 'row')}`;
    throw new PortcullisError('NOTHING_REACHED', `run ${runId.slice(0, 8)} of ${job} ${why}`, {
      hint: 'nothing to do',
      details,
    });
  }
  await recordAudit(control, {
    principal: principal.name,
    action: 'restore',
    subject: runId,
    evidence: { job, version, region, ...(reason !== undefined && { reason }) },
  });
  const begun = await electRestore(regionDatabase.worker, { of: runId, worker: 'http', leaseMs: 0 });
  const restore = begun?.id ?? (await activeRestore(regionDatabase.worker, runId));
  if (restore !== undefined) return { runId, restore, begun: begun !== undefined };
  throw new PortcullisError('RUN_ACTIVE', `a restore of run ${runId.slice(0, 8)} ended in this moment`, {
    hint: 'try again',
    details,
  });
}
