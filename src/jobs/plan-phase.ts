import type pg from 'pg';
import { PortcullisError } from '../base/errors.js';
import type { Buckets } from '../base/bucketing.js';
import { faultPoint } from '../base/fault-point.js';
import type { Policy } from '../flags/policy.js';
import { acceptedHistory } from '../guard/accepted-runs.js';
import { batchesOf, startRates } from '../guard/judge-batch.js';
import { judgePlan } from '../guard/judge-plan.js';
import { keptOf, newcomersOf, type NewcomersKept } from '../guard/newcomers.js';
import { failedRule, writeTrip } from '../guard/trip-row.js';
import { writeVerdicts } from '../guard/verdict-rows.js';
import type { Judged } from '../guard/verdict.js';
import type { Operation } from '../journal/change.js';
import type { PlanWritten } from '../journal/plan-tally.js';
import { writePlan } from '../journal/plan-writer.js';
import type { Run } from '../scheduler/election.js';
import type { Outcome } from '../scheduler/finish.js';
import { attemptName } from '../scheduler/lease.js';
import { inTransaction } from '../store/pool.js';
import type { StoredStep } from './apply-phase.js';
import { beginLanes } from './begin-lanes.js';
import { checkedChanges } from './checked-changes.js';
import type { AdmittedUnits, PlannerDatabase } from './contract.js';
import { judgedPlan } from './judged-plan.js';
import type { Platform } from './platform.js';
import type { LoadedJob } from './registry.js';

/** What a run was admitted with. A dry run behind a closed gate has no epoch: it may plan but never apply. */
export interface PlanLeave {
  readonly units: AdmittedUnits;
  /** The buckets of its units, where these alone decide. */
  readonly covered?: Buckets | undefined;
  readonly epoch: number | null;
  readonly flagRevision: number | null;
}

export interface Planned {
  readonly counts: Readonly<Record<string, number>>;
  readonly judged: readonly Judged[];
  /** How the run ends; undefined where the plan is to be applied. */
  readonly end: Outcome | undefined;
  /** Milliseconds of planning and of judging. */
  readonly planMs: number;
  readonly judgeMs: number;
}

/**
 * Plans a run, judges the plan, and stores both in one transaction: a plan is never there unjudged, and a
 * worker that dies while planning leaves nothing behind. Where the plan may be applied, the run goes on to
 * `applying` in the same transaction; where a rule trips, the trip is written in it. Throws LEASE_LOST when another worker has the run by then.
 */
export async function planRun(
  platform: Platform,
  job: LoadedJob,
  policy: Policy,
  run: Run,
  leave: PlanLeave,
  signal: AbortSignal,
): Promise<Planned> {
  const db = watched(platform.planner);
  const clock = await databaseClock(platform.region);
  return inTransaction(platform.region, async (client) => {
    await client.query(`select set_config('application_name', $1, true)`, [attemptName(run)]);
    await faultPoint('plan.started');
    const startedAt = performance.now();
    const changes = job.definition.plan({
      region: run.region,
      units: leave.units,
      db,
      dns: platform.dns,
      https: platform.https,
      clock,
      signal,
    });
    const history = await acceptedHistory(client, run);
    const newcomers = newcomersOf(history.runs, run, leave.covered, leave.units);
    const written = await writePlan(
      client,
      run.id,
      policy.apply.lanes,
      untilAborted(checkedChanges(job, leave.units, changes), signal),
      newcomers.units,
    ).catch((error: unknown) => {
      throw planError(job, error);
    });
    if (db.wrote) throw db.wrote;
    await faultPoint('plan.copied');
    const plannedAt = performance.now();
    const { counts, apart } = written;
    const { units, covered } = leave;
    const plan = { run, counts: written, apart, units: units.size, covered, newcomers, kinds: job.kinds };
    const judged = await judgePlan(client, plan, history, policy.guard);
    const { end, tripping } = judgedPlan(judged, run.dryRun, counts);
    const judgedAt = performance.now();
    await writeVerdicts(client, run.id, 'plan', judged);
    const [first, ...others] = tripping.map(failedRule);
    if (first) {
      const { job: name, region, version, id } = run;
      const trip = {
        job: name,
        region,
        version,
        run: id,
        stage: 'plan',
        failed: [first, ...others],
      } as const;
      await writeTrip(client, { ...trip, restore: policy.guard.onTrip.restore });
    }
    await store(client, job, run, leave, written, keptOf(newcomers, apart), end);
    if (!end) await startRates(client, run, policy.guard, batchesOf(written.lanes, policy.apply));
    await faultPoint('plan.before-commit');
    return { counts, judged, end, planMs: plannedAt - startedAt, judgeMs: judgedAt - plannedAt };
  });
}

async function store(
  client: pg.PoolClient,
  job: LoadedJob,
  run: Run,
  leave: PlanLeave,
  written: PlanWritten,
  newcomers: NewcomersKept | undefined,
  end: Outcome | undefined,
): Promise<void> {
  const goesOn = end === undefined;
  const { rowCount } = await client.query(
    `update portcullis_region.run
     set status = case when $3 then 'applying' else status end,
         reason_code = $11, reason = $12,
         planned = $4, planned_at = clock_timestamp(), gate_epoch = $5, flag_revision = $6, admitted_units = $7,
         resources = $8, steps = $9, lanes = $10, planned_units = $13, covered = $14, newcomers = $15
     where id = $1 and attempt = $2 and status = 'planning'`,
    [
      run.id,
      run.attempt,
      goesOn,
      JSON.stringify(written.counts),
      leave.epoch,
      leave.flagRevision,
      leave.units.size,
      JSON.stringify(job.definition.resources),
      JSON.stringify(orderedSteps(job, written.operations)),
      goesOn ? written.lanes.length : 0,
      end?.code ?? 'planned',
      end?.reason ?? 'the plan is judged',
      JSON.stringify(written.unitCounts),
      leave.covered ? JSON.stringify(leave.covered) : null,
      newcomers ? JSON.stringify(newcomers) : null,
    ],
  );
  if (rowCount !== 1)
    throw new PortcullisError(
      'LEASE_LOST',
      `run ${run.id}: another worker took it over while it was planned`,
    );
  if (goesOn) await beginLanes(client, run, written.lanes);
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

async function databaseClock(pool: pg.Pool): Promise<{ now(): Date }> {
  const { rows } = await pool.query<{ now: Date }>('select clock_timestamp() as now');
  const base = rows[0]?.now.getTime() ?? Number.NaN;
  const since = performance.now();
  return { now: () => new Date(base + (performance.now() - since)) };
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
        mend: 'propose one change that has both effects',
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
