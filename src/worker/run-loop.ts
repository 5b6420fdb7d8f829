import { EVERY_BUCKET } from '../kernel/bucketing.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import { faultPoint } from '../kernel/fault-point.js';
import { measureVerdicts } from '../guard/measure-verdicts.js';
import { bucketsGiven } from '../flags/admitted-units.js';
import { type FlagAnswer, type FlagDefinition, flagName } from '../flags/definition.js';
import type { Policy } from '../flags/policy.js';
import { decideAdmission } from '../gate/decide.js';
import { reconcileGate } from '../gate/permit.js';
import { lastOfRates } from '../guard/judge-batch.js';
import { writeVerdicts } from '../guard/verdict-rows.js';
import type { Tripped } from '../containment/trip.js';
import { unitsBeside } from '../journal/units-beside.js';
import type { Run } from '../runs/election.js';
import type { Outcome } from '../runs/finish.js';
import type { RunStatus } from '../runs/run-states.js';
import type { AdmittedUnits } from '../sdk/contract.js';
import { admittedUnder, applyRun, conflictsOf, plannedSteps, type Epochs } from './apply-phase.js';
import { watchGate } from './gate-watch.js';
import { stopCause, type LeaseKeeper } from './lease-keeper.js';
import { Aborted, planRun, type PlanLeave } from './plan-phase.js';
import { PHASE_LIMITS, judgeLimitMs, type Phase } from './phase-limits.js';
import type { Platform } from './platform.js';
import type { LoadedJob } from './registry.js';
import { beginApplying } from './begin-applying.js';
import { anyUnique, reserveIn, settleAfter, type TakenElsewhere } from './reservations.js';
import { executeRestore } from './restore-run.js';
import { expiredPlan, judgedBefore, type StoredPlan } from './judged-plan.js';
import { endOf, endOfStopped, failure, type End, type RunOptions, type RunReport } from './run-end.js';
import { measurePhase, measureRun } from './run-metrics.js';
import { trippedEnd } from './tripped-run.js';
import { tryPlan } from './trial.js';
import { underLease } from './under-lease.js';
import { unitsQuery } from './units.js';

export type { RunOptions, RunProgress, RunReport } from './run-end.js';

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
  const { region, metrics } = platform;
  const log = platform.log.child({ runId: run.id, job: run.job, region: run.region });
  const { progressMs, underWay } = platform;
  const keeping = { leaseMs: policy.leaseMs, progressMs, underWay };
  const leased = { region, run, ...keeping, signal: options.signal, log, what: 'run' } as const;
  const finished = await underLease(
    leased,
    (keeper) =>
      carryOut({ platform: watched(platform, policy, keeper), job, policy, run, keeper, options }, status),
    async (end) => {
      if ('tripped' in end) await conclude(platform, end.tripped);
    },
  );
  if (!finished) return undefined;
  await settleAfter(platform, run.id);
  measureRun(metrics, [...job.kinds.keys()], run, finished);
  return { run, ...finished };
}

/** What is left undone is done by whoever looks for orphaned trips next. */
async function conclude(platform: Platform, tripped: Tripped): Promise<void> {
  await platform.trips.conclude(tripped).catch((error: unknown) => {
    platform.log.error({ code: 'trip-unfinished', trip: tripped.trip.id, err: error }, messageOf(error));
  });
}

/** A platform whose answers count as progress of a run, and whose queries end with it. */
function watched(platform: Platform, { guard }: Policy, keeper: LeaseKeeper): Platform {
  const { planner } = platform;
  return {
    ...platform,
    planner: planner.under({ signal: keeper.signal, onProgress: () => keeper.progressed() }),
    planning: {
      progressed: () => keeper.progressed(),
      judging: () => keeper.enter('judge', platform.limits?.judge ?? judgeLimitMs(guard)),
    },
  };
}

function limitOf({ limits }: Platform, phase: Phase): number {
  return limits?.[phase] ?? PHASE_LIMITS[phase];
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
  const { platform, run } = attempt;
  const { signal } = attempt.keeper;
  let writing = status === 'applying';
  attempt.keeper.enter('decide', limitOf(platform, 'decide'));
  let endWatch = (): Promise<void> => Promise.resolve();
  const watch = (admitted: Epochs): void => {
    const { policy, keeper } = attempt;
    endWatch = watchGate(platform, policy, run, admitted, (cause) => keeper.stop(cause));
  };
  try {
    if (status === 'planning') {
      let judged = await judgedBefore(platform.region, run);
      if (judged) {
        const expired = judged.end ? undefined : await expiredPlan(platform.region, run, status);
        if (expired) return expired;
        if (judged.admitted) watch(judged.admitted);
      } else {
        const leave = await seekLeave(attempt);
        if ('status' in leave) return leave;
        if (leave.epoch !== null) {
          const { epoch: gate, versionEpoch: version, breakGlass } = leave;
          const until = breakGlass === undefined ? null : new Date(breakGlass.until);
          watch({ gate, version, breakGlass: breakGlass?.id ?? null, until });
        }
        judged = await plan(attempt, leave);
        if (run.dryRun && judged.end?.code === 'dry-run' && leave.epoch !== null) await tryOut(attempt);
      }
      if (judged.end) return (await trippedEnd(platform, run)) ?? judged.end;
      const refused = await begin(attempt, judged);
      if (refused) return refused;
      writing = true;
    } else {
      const tripped = await trippedEnd(platform, run);
      if (tripped) return tripped;
      const expired = await expiredPlan(platform.region, run, status);
      if (expired) return expired;
      watch(await admittedUnder(platform.region, run));
    }
    return await apply(attempt);
  } catch (error) {
    if (error instanceof Aborted || signal.aborted)
      return endOf(stopCause(signal), writing ? 'stopped' : 'held', run);
    return failure(error, run);
  } finally {
    await endWatch();
  }
}

/** Plans and judges. */
async function plan(
  { platform, job, policy, run, keeper, options }: Attempt,
  leave: PlanLeave,
): Promise<StoredPlan> {
  options.onProgress?.({ phase: 'planning' });
  keeper.enter('plan', limitOf(platform, 'plan'));
  const planned = await planRun(platform, job, policy, run, leave, keeper.signal);
  await faultPoint('plan.committed');
  measurePhase(platform.metrics, run, 'plan', planned.planMs);
  measurePhase(platform.metrics, run, 'judge', planned.judgeMs);
  measureVerdicts(platform.metrics, run, planned.judged);
  return planned;
}

/** Tries what a dry run has planned where triggers fire: what they do besides can be told in no other way. */
async function tryOut({ platform: { region, log }, run }: Attempt): Promise<void> {
  try {
    const { steps } = await plannedSteps(region, run.id);
    const trial = await tryPlan(region, run.id, steps);
    if (trial)
      await region.query(
        `update portcullis_region.plan set triggers = jsonb_set(triggers, '{trial}', $2::jsonb) where run = $1`,
        [run.id, storableJson(trial)],
      );
  } catch (error) {
    log.warn({ code: 'trial-failed', err: error }, messageOf(error));
  }
}

/** Has a judged plan applied from now on. Answers how the run ends where it may not be. */
async function begin(
  { platform, job, run, keeper, options }: Attempt,
  { counts, admitted }: StoredPlan,
): Promise<End | undefined> {
  if (admitted === undefined) throw new Error(`run ${run.id} was not admitted`);
  if (keeper.signal.aborted) return endOf(stopCause(keeper.signal), 'held', run);
  const taken = await reserveFor(platform, job, run);
  if ('status' in taken) return taken;
  await faultPoint('run.reserved');
  const passage = await beginApplying(platform.region, run, admitted, taken);
  if (!passage.passed) return endOfStopped(passage, keeper.signal, run, 'held');
  options.onProgress?.({ phase: 'applying', planned: counts });
  return undefined;
}

/** Reserves the values that a run takes and that are unique across regions. Answers how it ends where that cannot be done. */
async function reserveFor(
  { region, reservations }: Platform,
  { shapes }: LoadedJob,
  run: Run,
): Promise<readonly TakenElsewhere[] | Outcome> {
  const resources = [...shapes].map(([name, { resource }]) => [name, resource] as const);
  if (!anyUnique(resources.map(([, resource]) => resource))) return [];
  try {
    return await reserveIn(reservations, region, run, resources);
  } catch (error) {
    if (!(error instanceof PortcullisError) || error.code !== 'RESERVATION_UNAVAILABLE') throw error;
    return { status: 'held', code: 'reservation-unavailable', reason: error.message };
  }
}

async function apply({ platform, policy, run, keeper, options }: Attempt): Promise<End> {
  const startedAt = performance.now();
  keeper.enter('apply', limitOf(platform, 'apply'));
  const applied = await applyRun(platform.region, policy, run, keeper.signal, (written) => {
    keeper.progressed();
    options.onProgress?.({ phase: 'batch', written });
  });
  measurePhase(platform.metrics, run, 'apply', performance.now() - startedAt);
  const judged = await lastOfRates(platform.region, run.id);
  measureVerdicts(platform.metrics, run, judged);
  if (applied.complete) {
    await writeVerdicts(platform.region, run.id, 'apply', judged);
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
  const tripped = applied.code === 'guard-tripped' ? await trippedEnd(platform, run) : undefined;
  return tripped ?? endOfStopped(applied, keeper.signal, run);
}

/** Asks the flag and the gate; a run that is not admitted ends here, with the reason. */
async function seekLeave({ platform, job, policy, run }: Attempt): Promise<PlanLeave | Outcome> {
  const look = (): FlagAnswer => platform.flags.look(flagName(run.job, run.region));
  const { gate, answer } = await reconcileGate(platform.region, run.job, run.region, look, policy.permitMs);
  const admission = decideAdmission(gate, answer, job.version);
  if (admission.admitted && answer.open) {
    const units = platform.flags.admit(
      answer.definition,
      job.version,
      await unitsOf(platform, job, run.region),
    );
    const beside = run.dryRun ? NOBODY : await unitsBeside(platform.region, run);
    return {
      units: beside.size === 0 ? units : new Set([...units].filter((unit) => !beside.has(unit))),
      covered: bucketsGiven(answer.definition, job.version),
      epoch: admission.epoch,
      versionEpoch: admission.versionEpoch,
      flagRevision: admission.flagRevision,
      ...admittedTo(answer.definition, job.version),
    };
  }
  if (run.dryRun) {
    // Nothing is written behind a closed gate, but a person may see what would be: for every unit.
    return {
      units: everyUnit(await unitsOf(platform, job, run.region)),
      covered: EVERY_BUCKET,
      epoch: null,
      versionEpoch: 0,
      flagRevision: null,
      asked: null,
      admitted: null,
    };
  }
  if (admission.admitted) return { status: 'held', code: 'flag-held', reason: 'the flag gives no version' };
  const { code, reason } = admission;
  return { status: 'held', code, reason: await withStanding(platform, run, code, reason) };
}

/** How much the flag asks for a version, what it is admitted to, and by what break-glass. */
function admittedTo(
  { admission }: FlagDefinition,
  version: string,
): Pick<PlanLeave, 'asked' | 'admitted' | 'breakGlass'> {
  const asked = admission?.asked?.get(version) ?? null;
  const beyond = admission?.beyond.find((each) => each.version === version);
  return { asked, admitted: beyond?.admitted ?? asked, breakGlass: admission?.breakGlass?.get(version) };
}

const NOBODY: ReadonlySet<string> = new Set();

/** A version that is not admitted: says what has become of its rollout too, where that can be told. */
async function withStanding(platform: Platform, run: Run, code: string, reason: string): Promise<string> {
  const untold = code !== 'version-not-admitted' && code !== 'flag-held';
  if (untold || !platform.standingOf) return reason;
  try {
    return `${reason}; ${await platform.standingOf(run.job, run.version, run.region)}`;
  } catch {
    // The control plane is away. That the version is held does not hang on it.
    return reason;
  }
}

async function unitsOf(platform: Platform, job: LoadedJob, region: string): Promise<string[]> {
  const units: string[] = [];
  const rows = platform.planner.rows(unitsQuery(job.definition.unit), [region]);
  for await (const row of rows) units.push(String(row['unit']));
  return units;
}

function everyUnit(units: readonly string[]): AdmittedUnits {
  return new Set(units);
}
