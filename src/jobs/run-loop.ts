import { faultPoint } from '../base/fault-point.js';
import { flagName } from '../flags/definition.js';
import type { Policy } from '../flags/policy.js';
import { decideAdmission } from '../gate/decide.js';
import { reconcileGate } from '../gate/permit.js';
import type { BatchWritten } from '../journal/write-batch.js';
import type { Run } from '../scheduler/election.js';
import { finishRun, type Finished, type Outcome } from '../scheduler/finish.js';
import { releaseLease } from '../scheduler/lease.js';
import type { RunStatus } from '../scheduler/run-states.js';
import type { AdmittedUnits } from './contract.js';
import { admittedEpoch, applyRun, conflictsOf } from './apply-phase.js';
import { watchGate } from './gate-watch.js';
import { keepLease, stopCause, type LeaseKeeper } from './lease-keeper.js';
import { Aborted, planRun, type PlanLeave } from './plan-phase.js';
import type { Platform } from './platform.js';
import type { LoadedJob } from './registry.js';
import { executeRestore } from './restore-run.js';
import { endOf, failure, isKill, type End } from './run-end.js';

/** What a person or a table hears of a run. */
export interface RunReport extends Finished {
  readonly run: Run;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  /** Told of each phase and batch, for a progress display. */
  readonly onProgress?: (progress: RunProgress) => void;
}

export type RunProgress =
  | { readonly phase: 'planning' }
  | { readonly phase: 'applying'; readonly planned: Readonly<Record<string, number>> }
  | { readonly phase: 'batch'; readonly written: BatchWritten };

/**
 * Carries a run from where it stands to its end: decide, plan, judge, apply, finish; a restore by the way of
 * its own. Answers undefined when the run went to another worker, or was given up for one because this process
 * is shutting down.
 */
export async function executeRun(
  platform: Platform,
  job: LoadedJob,
  policy: Policy,
  run: Run,
  status: Extract<RunStatus, 'planning' | 'applying'>,
  options: RunOptions,
): Promise<RunReport | undefined> {
  if (run.restores !== null) {
    const pace = { leaseMs: policy.leaseMs, batch: policy.apply.batch };
    return executeRestore(platform, { ...run, restores: run.restores }, status, pace, options);
  }
  const log = platform.log.child({ runId: run.id, job: run.job, region: run.region });
  await faultPoint('run.elected');
  const keeper = keepLease(platform.region, run, policy.leaseMs, options.signal);
  try {
    const end = await carryOut({ platform, job, policy, run, keeper, options }, status);
    if (end === 'not-ours') {
      log.warn({ code: 'lease-lost' }, 'another worker has this run');
      return undefined;
    }
    if (end === 'given-up') {
      await releaseLease(platform.region, run);
      log.info({ code: 'given-up' }, 'gave the run up for another worker');
      return undefined;
    }
    await faultPoint('run.before-finish');
    const finished = await finishRun(platform.region, run, end);
    if (!finished) return undefined;
    await faultPoint('run.finished');
    report(platform, job, run, finished);
    const { code, planned, applied, conflicts } = finished;
    log.info({ code, status: finished.status, planned, applied, conflicts }, finished.reason);
    return { run, ...finished };
  } finally {
    keeper.end();
  }
}

interface Attempt {
  readonly platform: Platform;
  readonly job: LoadedJob;
  readonly policy: Policy;
  readonly run: Run;
  readonly keeper: LeaseKeeper;
  readonly options: RunOptions;
}

async function carryOut(attempt: Attempt, status: 'planning' | 'applying'): Promise<End> {
  const { signal } = attempt.keeper;
  let writing = status === 'applying';
  let endWatch = (): Promise<void> => Promise.resolve();
  const watch = (epoch: number): void => {
    const { platform, policy, run, keeper } = attempt;
    endWatch = watchGate(platform, policy, run, epoch, (cause) => keeper.stop(cause));
  };
  try {
    if (status === 'planning') {
      const leave = await seekLeave(attempt);
      if ('status' in leave) return leave;
      if (leave.epoch !== null) watch(leave.epoch);
      const end = await plan(attempt, leave);
      if (end) return end;
      writing = true;
    } else {
      watch(await admittedEpoch(attempt.platform.region, attempt.run));
    }
    return await apply(attempt);
  } catch (error) {
    if (error instanceof Aborted || signal.aborted)
      return endOf(stopCause(signal), writing ? 'stopped' : 'held');
    return failure(error, attempt.run);
  } finally {
    await endWatch();
  }
}

/** Plans and judges. Answers how the run ends, or undefined when there is something to apply. */
async function plan(
  { platform, job, policy, run, keeper, options }: Attempt,
  leave: PlanLeave,
): Promise<End | undefined> {
  options.onProgress?.({ phase: 'planning' });
  const planned = await planRun(platform, job, policy, run, leave, keeper.signal);
  await faultPoint('plan.committed');
  phase(platform, run, 'plan', planned.planMs);
  phase(platform, run, 'judge', planned.judgeMs);
  if (planned.exceeded.length > 0) {
    return {
      status: 'refused',
      code: 'cap-exceeded',
      reason: planned.exceeded.map((each) => each.reason).join('; '),
    };
  }
  if (run.dryRun) return { status: 'planned', code: 'dry-run', reason: 'a dry run: nothing was written' };
  if (Object.keys(planned.counts).length === 0) {
    return { status: 'succeeded', code: 'nothing-to-do', reason: 'there was nothing to change' };
  }
  options.onProgress?.({ phase: 'applying', planned: planned.counts });
  return undefined;
}

async function apply({ platform, policy, run, keeper, options }: Attempt): Promise<End> {
  const startedAt = performance.now();
  const applied = await applyRun(platform.region, policy, run, keeper.signal, (written) =>
    options.onProgress?.({ phase: 'batch', written }),
  );
  phase(platform, run, 'apply', performance.now() - startedAt);
  if (applied.complete) {
    const conflicts = await conflictsOf(platform.region, run);
    const left =
      conflicts === 1
        ? '1 conflict was left as it was found'
        : `${conflicts} conflicts were left as they were found`;
    return {
      status: 'succeeded',
      code: 'applied',
      reason: conflicts === 0 ? 'every change was applied' : left,
    };
  }
  if (applied.code === 'lease-lost') return 'not-ours';
  if (applied.code === 'aborted') return endOf(stopCause(keeper.signal), 'stopped');
  const status = isKill(applied.code) ? 'killed' : 'stopped';
  return { status, code: applied.code, reason: applied.reason };
}

/** Asks the flag and the gate; a run that is not admitted ends here, with the reason. */
async function seekLeave({ platform, job, policy, run }: Attempt): Promise<PlanLeave | Outcome> {
  const answer = platform.flags.look(flagName(run.job, run.region));
  const { gate } = await reconcileGate(platform.region, run.job, run.region, answer, policy.permitMs);
  const admission = decideAdmission(gate, answer, job.version);
  if (admission.admitted && answer.open) {
    const units = platform.flags.admit(
      answer.definition,
      job.version,
      await unitsOf(platform, job, run.region),
    );
    return { units, epoch: admission.epoch, flagRevision: admission.flagRevision };
  }
  if (run.dryRun) {
    // Nothing is written behind a closed gate, but a person may see what would be: for every unit.
    return { units: everyUnit(await unitsOf(platform, job, run.region)), epoch: null, flagRevision: null };
  }
  return admission.admitted
    ? { status: 'held', code: 'flag-held', reason: 'the flag gives no version' }
    : { status: 'held', code: admission.code, reason: admission.reason };
}

async function unitsOf(platform: Platform, job: LoadedJob, region: string): Promise<string[]> {
  const { table, key, region: column } = job.definition.unit;
  const units: string[] = [];
  const rows = platform.planner.rows(`select ${key}::text as unit from ${table} where ${column} = $1`, [
    region,
  ]);
  for await (const row of rows) units.push(String(row['unit']));
  return units;
}

function everyUnit(units: readonly string[]): AdmittedUnits {
  return new Set(units);
}

function phase(platform: Platform, run: Run, name: 'plan' | 'judge' | 'apply', durationMs: number): void {
  platform.metrics.phaseFinished({ job: run.job, region: run.region, phase: name, durationMs });
}

function report(platform: Platform, job: LoadedJob, run: Run, finished: Finished): void {
  const { region, version } = run;
  const { status, code: reasonCode, durationMs } = finished;
  const labels = { job: run.job, region, version };
  platform.metrics.runFinished({ ...labels, status, reasonCode, durationMs });
  for (const kind of job.kinds.keys()) {
    const stages = {
      planned: finished.planned,
      applied: finished.applied,
      conflicted: finished.conflictsByKind,
    };
    for (const [stage, counts] of Object.entries(stages)) {
      platform.metrics.changes({
        ...labels,
        kind,
        stage: stage as keyof typeof stages,
        count: counts[kind] ?? 0,
      });
    }
  }
}
