import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import type { Buckets } from '../kernel/bucketing.js';
import { faultPoint } from '../kernel/fault-point.js';
import type { BreakGlassInForce } from '../flags/definition.js';
import type { Policy } from '../flags/policy.js';
import { acceptedHistory } from '../guard/accepted-runs.js';
import { closingOf } from '../containment/closing.js';
import { batchesOf, startRates } from '../guard/judge-batch.js';
import { judgePlan } from '../guard/judge-plan.js';
import { keptOf, newlyAdmittedOf, type NewlyAdmittedKept } from '../guard/newly-admitted.js';
import { failedRule, writeTrip } from '../containment/trip-row.js';
import { writeVerdicts } from '../guard/verdict-rows.js';
import type { Judged } from '../containment/verdict.js';
import type { Operation } from '../journal/change.js';
import type { PlanWritten } from '../journal/plan-tally.js';
import { writePlan } from '../journal/plan-writer.js';
import { countCascading, type Cascading } from '../journal/cascades.js';
import { keptResource } from '../journal/shape.js';
import { triggersOf } from '../journal/trigger-effects.js';
import type { Run } from '../runs/election.js';
import type { Outcome } from '../runs/finish.js';
import { attemptName, disconnectFormerAttempts } from '../runs/lease.js';
import { inSnapshot, type Snapshot } from '../postgres/snapshot.js';
import { EPOCHS, type Epochs, type StoredStep } from './apply-phase.js';
import { checkedChanges } from './checked-changes.js';
import { heldElsewhereFor } from './held-elsewhere.js';
import type { AdmittedUnits, PlannerDatabase } from '../sdk/contract.js';
import { rowsOf } from '../sdk/rows.js';
import { requireWritable } from './job-faults.js';
import { judgedPlan, type StoredPlan } from './judged-plan.js';
import type { Platform } from './platform.js';
import { schemasOf, type LoadedJob } from './registry.js';

/** What a run was admitted with. A dry run behind a closed gate has no epoch: it may plan but never apply. */
export interface PlanLeave {
  readonly units: AdmittedUnits;
  /** The buckets of its units, where these alone decide. */
  readonly covered?: Buckets | undefined;
  readonly epoch: number | null;
  /** The version's own epoch; 0 where it has none. */
  readonly versionEpoch: number;
  readonly flagRevision: number | null;
  /** Thousandths that the flag asks for, and that the version is admitted to; null where no flag was asked. */
  readonly asked: number | null;
  readonly admitted: number | null;
  /** The break-glass without which the version would have less. */
  readonly breakGlass?: BreakGlassInForce | undefined;
}

export interface Planned extends StoredPlan {
  readonly judged: readonly Judged[];
  /** Milliseconds of planning and of judging. */
  readonly planMs: number;
  readonly judgeMs: number;
}

/**
 * Plans a run, judges the plan, and stores both in one transaction: a plan is never there unjudged, and a worker that
 * dies while planning leaves nothing behind. Where a rule trips, the trip is written in it. The job and the guard read
 * one snapshot, and the guard the plan beside it; so the transaction only inserts, and the run is moved on by another
 * (begin-applying.ts, or the run's end). Throws LEASE_LOST when another attempt has planned the run by then.
 */
export async function planRun(
  platform: Platform,
  job: LoadedJob,
  policy: Policy,
  run: Run,
  leave: PlanLeave,
  signal: AbortSignal,
): Promise<Planned> {
  await disconnectFormerAttempts(platform.region, run);
  return inSnapshot(platform.region, attemptName(run), async (client, snapshot) => {
    await claimPlan(client, run);
    await faultPoint('plan.started');
    const db = watched(platform.planner.in(snapshot));
    const clients = await platform.clients(job);
    const startedAt = performance.now();
    const changes = job.definition.plan({
      region: run.region,
      units: leave.units,
      rows: rowsOf(db),
      clients,
      clock: platform.planClock ?? clockSince(snapshot),
      signal,
      heldElsewhere: heldElsewhereFor(platform, run.job, job.definition.resources),
      progressed: () => platform.planning?.progressed(),
    });
    const history = await acceptedHistory(client, { ...run, timeZone: policy.guard.timeZone });
    const newcomers = newlyAdmittedOf(history.runs, run, leave.covered, leave.units);
    const written = await writePlan(
      client,
      run.id,
      policy.apply.lanes,
      untilAborted(checkedChanges(job, leave.units, changes), signal),
      newcomers.units,
      platform.planning?.progressed,
    ).catch((error: unknown) => {
      throw planError(job, error);
    });
    if (db.wrote) throw db.wrote;
    await requireWritable(client, job.shapes, [...written.operations.keys()]);
    await faultPoint('plan.copied');
    platform.planning?.judging();
    const plannedAt = performance.now();
    const { counts, apart } = written;
    const { units, covered } = leave;
    const cascading = await countCascading(client, run.id, job.shapes.values());
    const plan = {
      ...{ run, counts: written, apart, units: units.size, covered, newcomers, kinds: job.kinds },
      schemas: schemasOf(job.definition),
      cascading,
    };
    const judged = await judgePlan(client, plan, history, policy.guard);
    const { end, tripping } = judgedPlan(judged, run.dryRun, counts);
    const judgedAt = performance.now();
    await faultPoint('plan.judged');
    await writeVerdicts(client, run.id, 'plan', judged);
    const [first, ...others] = tripping.map(failedRule);
    if (first) {
      const { job: name, region, version, id } = run;
      const { onTrip } = policy.guard;
      const trip = {
        job: name,
        region,
        version,
        run: id,
        stage: 'plan',
        failed: [first, ...others],
        restore: onTrip.restore,
        closing: closingOf(onTrip, { version, shared: [] }),
      } as const;
      await writeTrip(client, trip);
    }
    const stored = { written, newcomers: keptOf(newcomers, apart), cascading, end };
    const admitted = await storePlan(client, job, run, leave, policy.planMaxAgeMs, stored);
    if (!end) await startRates(client, run, policy.guard, batchesOf(written.lanes, policy.apply));
    await faultPoint('plan.before-commit');
    return {
      counts,
      admitted,
      judged,
      end,
      planMs: plannedAt - startedAt,
      judgeMs: judgedAt - plannedAt,
    };
  });
}

/** Makes the plan's row, before anything is planned: of two attempts that plan a run, one waits here and then fails. */
async function claimPlan(client: pg.PoolClient, run: Run): Promise<void> {
  try {
    await client.query('insert into portcullis_region.plan (run) values ($1)', [run.id]);
  } catch (error) {
    if ((error as { code?: unknown }).code !== UNIQUE_VIOLATION) throw error;
    throw new PortcullisError('LEASE_LOST', `run ${run.id}: another worker has planned it`, { cause: error });
  }
}

interface Stored {
  readonly written: PlanWritten;
  readonly newcomers: NewlyAdmittedKept | undefined;
  readonly cascading: readonly Cascading[];
  readonly end: Outcome | undefined;
}

async function storePlan(
  client: pg.PoolClient,
  job: LoadedJob,
  run: Run,
  leave: PlanLeave,
  maxAgeMs: number,
  { written, newcomers, cascading, end }: Stored,
): Promise<Epochs | undefined> {
  const { breakGlass } = leave;
  const steps = orderedSteps(job, written.operations);
  const fire = triggersOf(
    steps.flatMap(({ resource, operation }) => {
      const shape = job.shapes.get(resource);
      return shape ? [{ shape, operation }] : [];
    }),
  );
  const besides: Record<string, number> = {};
  for (const { kind, n } of cascading) besides[kind] = (besides[kind] ?? 0) + n;
  const { rows } = await client.query<Epochs>(
    // By the earlier of two clocks: one of the databases' may be wrong, and this process may stop at any moment.
    `update portcullis_region.plan
     set planned_at = clock_timestamp(), planned = $2, planned_units = $3, gate_epoch = $4, flag_revision = $5,
         admitted_units = $6, covered = $7, newcomers = $8, resources = $9, steps = $10, lanes = $11, outcome = $12, version_epoch = $13,
         asked_permille = $14, admitted_permille = $15, break_glass = $16,
         cascading = $19, triggers = $20,
         expires_at = clock_timestamp() + $21 * interval '1 millisecond', break_glass_until = least($17::timestamptz, clock_timestamp() + $18 * interval '1 millisecond')
     where run = $1
     returning ${EPOCHS}`,
    [
      run.id,
      JSON.stringify(written.counts),
      JSON.stringify(written.unitCounts),
      leave.epoch,
      leave.flagRevision,
      leave.units.size,
      leave.covered ? JSON.stringify(leave.covered) : null,
      newcomers ? JSON.stringify(newcomers) : null,
      JSON.stringify(Object.fromEntries([...job.shapes].map(([name, shape]) => [name, keptResource(shape)]))),
      JSON.stringify(steps),
      JSON.stringify(written.lanes),
      end ? storableJson(end) : null,
      leave.versionEpoch,
      leave.asked,
      leave.admitted,
      breakGlass?.id ?? null,
      breakGlass?.until ?? null,
      breakGlass ? breakGlass.endsAtMs - performance.now() : null,
      cascading.length > 0 ? JSON.stringify(besides) : null,
      JSON.stringify({ fire, trial: null }),
      maxAgeMs,
    ],
  );
  return leave.epoch === null ? undefined : rows[0];
}

/** Rows are made and changed in the order of the job's resources, and deleted in the reverse one. */
function orderedSteps(job: LoadedJob, operations: PlanWritten['operations']): StoredStep[] {
  const resources = [...job.shapes.keys()];
  const order: [string, Operation][] = [
    ...resources.flatMap((resource): [string, Operation][] => [
      [resource, 'insert'],
      [resource, 'update'],
    ]),
    ...resources.toReversed().map((resource): [string, Operation] => [resource, 'delete']),
  ];
  return order.flatMap(([resource, operation]) => {
    const requires = operations.get(`${resource}:${operation}`);
    return requires ? [{ resource, operation, requires: [...requires] }] : [];
  });
}

/** A job that tries to write and then carries on regardless is refused all the same. */
function watched(db: PlannerDatabase): PlannerDatabase & { readonly wrote: PortcullisError | undefined } {
  let wrote: PortcullisError | undefined;
  return {
    get wrote() {
      return wrote;
    },
    async *rows(sql, params) {
      try {
        yield* db.rows(sql, params);
      } catch (error) {
        if (error instanceof PortcullisError && error.code === 'PLAN_WROTE') wrote = error;
        throw error;
      }
    },
  };
}

/** Ends the plan as soon as the run is told to stop, even while the job waits for something that never comes. */
async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  // A wait of its own for each change: racing them all against one promise would keep them all in memory.
  let endWait: (error: Error) => void = () => undefined;
  const onAbort = (): void => endWait(new Aborted());
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<T>>((done, fail) => {
        endWait = fail;
        if (signal.aborted) onAbort();
        else iterator.next().then(done, fail);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not waited for: it may be stuck in the very thing that made us stop.
    iterator.return?.().catch(() => undefined);
  }
}

/** The plan was cut short because its run was told to stop. */
export class Aborted extends Error {}

function clockSince({ at }: Snapshot): { now(): Date } {
  const since = performance.now();
  return { now: () => new Date(at.getTime() + (performance.now() - since)) };
}

const UNIQUE_VIOLATION = '23505';
/** SQLSTATE class 22: a value that the journal's columns can't hold, such as JSON with a NUL in it. */
const BAD_VALUE = /^22/;

function planError(job: LoadedJob, error: unknown): unknown {
  const { code, detail } = error as { code?: unknown; detail?: unknown };
  if (typeof code !== 'string' || error instanceof PortcullisError) return error;
  const says = typeof detail === 'string' ? detail : (error as Error).message;
  if (code === UNIQUE_VIOLATION) {
    return new PortcullisError(
      'PLAN_INVALID',
      `${job.definition.name} ${job.version} proposed two changes of one row: ${says}`,
      {
        hint: 'propose one change that has both effects',
        cause: error,
      },
    );
  }
  if (!BAD_VALUE.test(code)) return error;
  return new PortcullisError(
    'PLAN_INVALID',
    `${job.definition.name} ${job.version} proposed a value that cannot be kept: ${says}`,
    {
      cause: error,
    },
  );
}
