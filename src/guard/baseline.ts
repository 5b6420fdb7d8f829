import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { acceptedHistory, countedRuns } from './accepted-runs.js';

/**
 * Accepts a run that was held, tripped or restored: what it planned was right, and counts as usual from now
 * on. Throws REQUEST_INVALID for a run that has no plan of its own, and NOTHING_REACHED for one that was accepted.
 */
export async function acceptRun(
  owner: pg.Pool,
  control: pg.Pool,
  run: { readonly runId: string; readonly job: string; readonly region: string },
  { reason, by }: { readonly reason: string; readonly by: string },
): Promise<void> {
  const { rows } = await owner.query<{ fresh: boolean; by: string }>(
    `update portcullis_region.run n
     set accepted_at = coalesce(n.accepted_at, clock_timestamp()), accepted_by = coalesce(n.accepted_by, $2)
     from portcullis_region.run o
     where n.id = $1 and o.id = n.id and n.planned_at is not null and not n.dry_run and n.restores is null
     returning o.accepted_at is null as fresh, n.accepted_by as by`,
    [run.runId, by],
  );
  const [accepted] = rows;
  if (!accepted) {
    throw new PortcullisError(
      'REQUEST_INVALID',
      `run ${run.runId.slice(0, 8)} cannot be part of a baseline`,
      {
        hint: 'accept a run that has a plan and is neither a dry run nor a restore',
        details: { run: run.runId },
      },
    );
  }
  if (!accepted.fresh) {
    throw new PortcullisError(
      'NOTHING_REACHED',
      `run ${run.runId.slice(0, 8)} was accepted already, by ${accepted.by}; nothing was changed`,
      { hint: 'nothing to do: it is part of the baseline', details: { run: run.runId } },
    );
  }
  const { job, region, runId } = run;
  await recordAudit(control, {
    principal: by,
    action: 'accept-run',
    subject: runId,
    evidence: { job, region, reason },
  });
}

export interface Baseline {
  readonly job: string;
  readonly region: string;
  /** Absent: changes of every kind. */
  readonly kind?: string | undefined;
  readonly reason: string;
  readonly by: string;
}

/**
 * Declares that a level has shifted for good: runs until now are no longer the baseline, and the rule begins again
 * with those that follow, leaning on caps until there are enough. Answers since when (ISO 8601 in UTC). Throws
 * NOTHING_REACHED where no run is part of the baseline that there is.
 */
export async function rebaseline(owner: pg.Pool, control: pg.Pool, baseline: Baseline): Promise<string> {
  const { job, region, kind, reason, by } = baseline;
  const newest = await acceptedHistory(owner, baseline, 1);
  if (countedRuns(newest, { change: kind ?? '', of: 'changes' }).length === 0) {
    const what = kind === undefined ? job : `${job}, ${kind}`;
    throw new PortcullisError(
      'NOTHING_REACHED',
      `no run is part of the baseline of ${what} in ${region}; nothing was changed`,
      {
        hint: `the next runs are the baseline anyway; portcullis runs --job ${job} --region ${region} shows those there were`,
        details: { job, region, kind: kind ?? null },
      },
    );
  }
  const { rows } = await owner.query<{ since: Date }>(
    `insert into portcullis_region.baseline (job, region, kind, since, reason, set_by)
     values ($1, $2, $3, clock_timestamp(), $4, $5)
     on conflict (job, region, kind) do update
     set since = excluded.since, reason = excluded.reason, set_by = excluded.set_by, set_at = clock_timestamp()
     returning since`,
    [job, region, kind ?? '', reason, by],
  );
  const since = (rows[0]?.since ?? new Date()).toISOString();
  await recordAudit(control, {
    principal: by,
    action: 'rebaseline',
    subject: `${job}.${region}`,
    evidence: { kind: kind ?? null, since, reason },
  });
  return since;
}
