import type pg from 'pg';
import { z } from 'zod';
import { requireMay, type Principal } from '../access/roles.js';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { readRestored } from '../worker/restore-plan-phase.js';
import { requirePart, writesNoMore } from '../worker/restore-runs.js';
import { partText, type RestorePart } from '../journal/restore-plan.js';
import { previewRestore, whatIsLeft } from '../journal/restore-preview.js';
import type { FoundRun } from '../regions/browse.js';
import { activeRestore, electRestore } from '../runs/election.js';
import { named } from '../kernel/schema.js';

export const RestoreBegun = named(
  'RestoreBegun',
  z.strictObject({
    runId: z.guid(),
    restore: z.guid().describe('the run that restores it; its progress is at /api/v1/runs/{id}'),
    begun: z.boolean().describe('false where one was under way already'),
  }),
);

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
  { reason, part }: { readonly reason?: string | undefined; readonly part?: RestorePart | undefined } = {},
): Promise<BegunRestore> {
  requireMay(principal, 'restore', region);
  const details = { run: runId, job, region };
  if (!(await writesNoMore(regionDatabase.worker, runId))) {
    throw new PortcullisError('RUN_ACTIVE', `run ${runId.slice(0, 8)} of ${job} is not over in ${region}`, {
      hint: `stop it first: kill ${job} in ${region}; then restore it`,
      details,
    });
  }
  if (part !== undefined) {
    const restored = await readRestored(regionDatabase.worker, runId);
    requirePart({ id: runId, job }, restored, part);
    const left = await previewRestore(regionDatabase.worker, runId, restored, part);
    if (left.restorable + left.asBefore + left.conflicts === 0)
      throw new PortcullisError(
        'NOTHING_REACHED',
        `${partText(part)} of run ${runId.slice(0, 8)} of ${job} ${left.applied === 0 ? 'was not changed' : `is restored already: ${countOf(left.applied, 'row')}`}`,
        { hint: 'nothing to do', details },
      );
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
    evidence: { job, version, region, ...(part && { part }), ...(reason !== undefined && { reason }) },
  });
  const begun = await electRestore(regionDatabase.worker, { of: runId, worker: 'http', leaseMs: 0, part });
  const active = begun ? undefined : await activeRestore(regionDatabase.worker, runId, part);
  if (active?.samePart === false)
    throw new PortcullisError(
      'RUN_ACTIVE',
      `a restore of another part of run ${runId.slice(0, 8)} is under way: ${active.id.slice(0, 8)}`,
      { hint: `wait for it: portcullis run show ${active.id.slice(0, 8)}; then ask again`, details },
    );
  const restore = begun?.id ?? active?.id;
  if (restore !== undefined) return { runId, restore, begun: begun !== undefined };
  throw new PortcullisError('RUN_ACTIVE', `a restore of run ${runId.slice(0, 8)} ended in this moment`, {
    hint: 'try again',
    details,
  });
}
