import type pg from 'pg';
import { faultPoint } from '../kernel/fault-point.js';
import {
  recordRefusal,
  writeBatch,
  type BatchWritten,
  type Step,
  type Stretch,
} from '../journal/write-batch.js';
import { requireBack, requireGone } from '../journal/cascade-triggers.js';
import { keepCascaded, keptOf, keptWith, putBackCascaded } from '../journal/cascades.js';
import { rehearseDeletes } from '../journal/rehearsal.js';
import { readBack } from '../journal/stored-rows.js';
import { attemptName } from '../runs/lease.js';
import { beginTransaction } from '../postgres/pool.js';
import { ChangesRefused, TRIES, asksAgain, blame, explained } from './batch-error.js';
import { commitBatch, passFence, type FenceCode, type Leave } from './fence.js';
import { lockGate } from './lock.js';

export interface Lane {
  readonly lane: number;
  readonly appliedSeq: number;
  readonly lastSeq: number;
}

export interface ApplyPlan {
  readonly run: string;
  readonly leave: Leave;
  readonly lanes: readonly Lane[];
  /** In the order in which a batch carries them out. */
  readonly steps: readonly Step[];
  /** Whether its deletes are tried, and undone, for whether they can be restored: a run's are, a restore's are not. */
  readonly rehearse?: boolean;
  /** Changes in one transaction. */
  readonly batch: number;
  /** Changes in the run's first transactions: small, so that a fault is met early. */
  readonly firstBatches: readonly number[];
  readonly signal: AbortSignal;
  readonly onBatch?: (written: BatchWritten) => void;
  /** Looks at what a batch has written, in its transaction; a change that it finds altered is refused. */
  readonly check?: (client: pg.PoolClient, stretch: Stretch) => Promise<void>;
  /** Judges a batch, last of all in its transaction; where it answers, the run stops. */
  readonly judge?: (
    client: pg.PoolClient,
    stretch: Stretch,
    written: BatchWritten,
  ) => Promise<{ readonly batch: 'commit' | 'undo'; readonly reason: string } | undefined>;
}

export type Applied = { readonly complete: true } | Stopped;

export interface Stopped {
  readonly complete: false;
  readonly code: FenceCode | 'aborted' | 'guard-tripped';
  readonly reason: string;
}

/**
 * The one write path: applies a plan's lanes side by side, each batch in one transaction behind the fence.
 * Answers why it stopped when the fence refused a batch; every batch before that stays applied. An error in
 * one lane stops the others after their batch in flight and is thrown.
 */
export async function applyPlan(pool: pg.Pool, plan: ApplyPlan): Promise<Applied> {
  const led = await applyFirstBatches(pool, plan);
  if (!('lanes' in led)) return led;
  const stop = new AbortController();
  const signal = AbortSignal.any([plan.signal, stop.signal]);
  const ends = await Promise.allSettled(
    led.lanes.map(async (lane) => {
      try {
        const end = await applyLane(pool, plan, lane, [], signal);
        if (!end.complete) stop.abort();
        return end;
      } catch (error) {
        stop.abort();
        throw error;
      }
    }),
  );
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  const stopped = ends.flatMap((end) =>
    end.status === 'fulfilled' && !end.value.complete ? [end.value] : [],
  );
  // A lane that was told to stop is not the reason; the one that met the fence is.
  return stopped.find((end) => end.code !== 'aborted') ?? stopped[0] ?? { complete: true };
}

/**
 * The run's first batches, in one lane, before the others begin: a fault is met after so few changes, not
 * after so few in each lane. A run that is taken up midway has had them. Answers where the lanes stand then.
 */
async function applyFirstBatches(
  pool: pg.Pool,
  plan: ApplyPlan,
): Promise<{ readonly lanes: readonly Lane[] } | Stopped> {
  const [lead, ...others] = plan.lanes.toSorted((one, other) => other.lastSeq - one.lastSeq);
  const begun = plan.lanes.some(({ appliedSeq }) => appliedSeq > 0);
  if (!lead || begun || plan.firstBatches.length === 0) return { lanes: plan.lanes };
  const sum = plan.firstBatches.reduce((total, size) => total + size, 0);
  const appliedSeq = Math.min(sum, lead.lastSeq);
  const end = await applyLane(pool, plan, { ...lead, lastSeq: appliedSeq }, plan.firstBatches, plan.signal);
  return end.complete ? { lanes: [{ ...lead, appliedSeq }, ...others] } : end;
}

/** Applies a lane to its end, in batches of the sizes given and then of the plan's. */
async function applyLane(
  pool: pg.Pool,
  plan: ApplyPlan,
  lane: Lane,
  sizes: readonly number[],
  signal: AbortSignal,
): Promise<Applied> {
  if (lane.appliedSeq === lane.lastSeq) return { complete: true };
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    let from = lane.appliedSeq;
    for (let batch = 0; from < lane.lastSeq; batch += 1) {
      if (signal.aborted) return { complete: false, code: 'aborted', reason: 'told to stop' };
      const to = Math.min(from + (sizes[batch] ?? plan.batch), lane.lastSeq);
      const refused = await applyStretch(client, plan, { run: plan.run, lane: lane.lane, from, to });
      if (refused) return refused;
      from = to;
    }
    return { complete: true };
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    client.release(failure);
  }
}

/**
 * Applies one stretch. Where the database refuses it (a constraint, a value, whatever a trigger raises), it is halved
 * until the change at fault stands alone and can be recorded as a conflict: one bad row does not keep back the others.
 */
async function applyStretch(
  client: pg.PoolClient,
  plan: ApplyPlan,
  stretch: Stretch,
): Promise<Stopped | undefined> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await inBatch(client, plan, stretch, () => writeSteps(client, plan, stretch));
    } catch (error) {
      // Of a connection that is lost, the first error says why.
      await client.query('rollback').catch(() => undefined);
      if (asksAgain(error) && tries < TRIES) continue;
      if (!(error instanceof ChangesRefused)) throw await explained(client, error, plan.steps);
      if (stretch.to - stretch.from === 1) {
        return inBatch(client, plan, stretch, async () => {
          await recordRefusal(client, stretch, error.message);
          return { applied: 0, conflicts: 1 };
        });
      }
      const middle = Math.floor((stretch.from + stretch.to) / 2);
      return (
        (await applyStretch(client, plan, { ...stretch, to: middle })) ??
        (await applyStretch(client, plan, { ...stretch, from: middle }))
      );
    }
  }
}

/** One transaction: the gate's lock, the fence, what `write` writes. Answers the refusal if there was one. */
async function inBatch(
  client: pg.PoolClient,
  plan: ApplyPlan,
  stretch: Stretch,
  write: () => Promise<BatchWritten>,
): Promise<Stopped | undefined> {
  const { leave } = plan;
  await faultPoint('apply.before-fence');
  await beginTransaction(client, { name: attemptName({ id: plan.run, attempt: leave.attempt }) });
  // A statement of its own: the fence, which comes next, takes its snapshot once the lock is had.
  await lockGate(client, leave.job, leave.region, 'shared');
  const passage = await passFence(client, leave, stretch);
  if (!passage.passed) {
    await client.query('rollback');
    return { complete: false, code: passage.code, reason: passage.reason };
  }
  await faultPoint('apply.fenced');
  const written = await write().catch(blame);
  await plan.check?.(client, stretch).catch(blame);
  const stop = await plan.judge?.(client, stretch, written);
  const stopped = stop && ({ complete: false, code: 'guard-tripped', reason: stop.reason } as const);
  if (stop?.batch === 'undo') {
    await client.query('rollback');
    return stopped;
  }
  await faultPoint('apply.written');
  // A deferred constraint, or a trigger that is one, has its say here.
  const committed = await commitBatch(client, leave).catch(blame);
  if (!committed.passed) return { complete: false, code: committed.code, reason: committed.reason };
  plan.onBatch?.(written);
  await faultPoint('apply.committed');
  return stopped;
}

/** Carries out a stretch of a plan in the order of its steps, in the caller’s transaction. */
export async function writeSteps(
  client: pg.PoolClient,
  plan: Pick<ApplyPlan, 'steps' | 'rehearse'>,
  stretch: Stretch,
): Promise<BatchWritten> {
  const sum = { applied: 0, conflicts: 0 };
  const checks: (() => Promise<void>)[] = [];
  for (const step of plan.steps) {
    const { shape, operation } = step;
    if (plan.rehearse === true) await rehearseDeletes(client, step, stretch);
    const cascades = shape.branches.length > 0;
    const locked = cascades && operation === 'delete' ? await keepCascaded(client, step, stretch) : undefined;
    const each = await writeBatch(client, step, stretch, locked);
    if (locked) checks.push(() => requireGone(client, shape, keptOf(stretch.run, stretch.lane, locked)));
    if (cascades && operation === 'insert') {
      const kept = keptWith(shape, stretch);
      await putBackCascaded(client, shape, kept);
      checks.push(() => requireBack(client, shape, kept));
    }
    sum.applied += each.applied;
    sum.conflicts += each.conflicts;
  }
  await readBack(client, plan.steps, stretch);
  for (const check of checks) await check();
  return sum;
}
