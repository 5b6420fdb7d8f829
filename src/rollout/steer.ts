import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { REASON_LETTERS } from '../kernel/reason.js';
import { shorten } from '../kernel/text.js';
import { rolloutElsewhere } from '../flags/flags-elsewhere.js';
import { lockFlags, setFlag } from '../flags/flag-store.js';
import { databaseTime } from '../postgres/database-clock.js';
import { inTransaction } from '../postgres/pool.js';
import { flagStanding, sharesOf } from './read-evidence.js';
import {
  lockRollout,
  recordEvent,
  requireRolloutSeen,
  type Rollout,
  type RolloutEvent,
} from './rollout-store.js';
import { sharesWithout } from './shares.js';
import { requireUnderWay } from './start-rollout.js';
import { takeBack } from './take-back.js';

/** What a person orders of a rollout that is under way. */
export interface Steering {
  readonly job: string;
  readonly reason: string;
  /** Refuses the order where the rollout has another revision by now: see `rolloutRevision`. */
  readonly ifRevision?: number | undefined;
  /** Absent: the database's clock. */
  readonly now?: Date;
  /** Where flags are, if elsewhere: then only a pause does what it says, and the rest throws FLAGS_ELSEWHERE. */
  readonly flagsAt?: string | undefined;
}

/** Keeps every share as it is until somebody resumes it. Throws FORBIDDEN, ROLLOUT_NONE, ROLLOUT_STATE. */
export async function pauseRollout(control: pg.Pool, order: Steering, principal: Principal): Promise<void> {
  requireMay(principal, 'kill');
  return steer(control, order, async (client, rollout, at) => {
    if (rollout.status === 'paused') throw rolloutState(rollout, 'it is paused already');
    await setStatus(client, rollout, 'paused');
    await recordEvent(client, rollout, eventOf('pause', principal, order, at));
  });
}

/**
 * Goes on. Where a flag that is on was given other shares by hand, it gets those of its step again, and the bake
 * there begins again; a flag that is off stays off. Throws FORBIDDEN, ROLLOUT_NONE, ROLLOUT_STATE.
 */
export async function resumeRollout(control: pg.Pool, order: Steering, principal: Principal): Promise<void> {
  requireMay(principal, 'set-flag');
  requireOwnFlags(order);
  return steer(control, order, async (client, rollout, at) => {
    const flagRevisions = await setAgain(client, rollout, order, principal);
    if (rollout.status === 'running' && Object.keys(flagRevisions).length === 0) {
      throw rolloutState(rollout, 'it is running, and no flag that is on has other shares than it set');
    }
    await setStatus(client, rollout, 'running');
    await recordEvent(client, rollout, eventOf('resume', principal, order, at, { flagRevisions }));
  });
}

/** Rolls the version back to zero everywhere, at once. Throws FORBIDDEN, ROLLOUT_NONE. */
export async function abortRollout(control: pg.Pool, order: Steering, principal: Principal): Promise<void> {
  requireMay(principal, 'kill');
  requireOwnFlags(order);
  return steer(control, order, (client, rollout, at) =>
    takeBack(client, rollout, { at, by: principal.name, reason: order.reason, evidence: {} }),
  );
}

/** Throws FLAGS_ELSEWHERE. */
export function requireOwnFlags({ flagsAt }: Steering): void {
  if (flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
}

/** Does something with the job's rollout that is under way, under its lock. Throws ROLLOUT_NONE. */
export async function steer<T>(
  control: pg.Pool,
  order: Steering,
  work: (client: pg.PoolClient, rollout: Rollout, at: Date) => Promise<T>,
): Promise<T> {
  const id = await requireUnderWay(control, order.job);
  return inTransaction(control, async (client) => {
    const rollout = await lockRollout(client, id, false);
    // It ended while we waited for it.
    if (!rollout) throw new PortcullisError('ROLLOUT_NONE', `no rollout of ${order.job} is under way`);
    await requireRolloutSeen(client, order.job, order.ifRevision);
    return work(client, rollout, order.now ?? (await databaseTime(client)));
  });
}

async function setAgain(
  client: pg.PoolClient,
  rollout: Rollout,
  order: Steering,
  principal: Principal,
): Promise<Record<string, number>> {
  const revisions: Record<string, number> = {};
  for (const flag of await lockFlags(client, rollout.job)) {
    const part = rollout.parts.find(({ region }) => region === flag.region);
    if (part === undefined || part.done) continue;
    if (flagStanding(rollout, part, flag).as !== 'changed') continue;
    const set = await setFlag(client, {
      job: rollout.job,
      region: flag.region,
      variants: sharesOf(rollout, part) ?? sharesWithout(flag.variants, rollout.version),
      reason: shorten(`rollout of ${rollout.version} resumed: ${order.reason}`, REASON_LETTERS),
      changedBy: principal.name,
      beyond: 'close',
    });
    revisions[flag.region] = set.revision;
  }
  return revisions;
}

async function setStatus(
  client: pg.PoolClient,
  { id }: Rollout,
  status: 'running' | 'paused',
): Promise<void> {
  await client.query('update portcullis_control.rollout set status = $2 where id = $1', [id, status]);
}

function eventOf(
  action: string,
  principal: Principal,
  { reason }: Steering,
  at: Date,
  evidence: RolloutEvent['evidence'] = {},
): RolloutEvent {
  return { at, action, by: principal.name, reason, evidence };
}

export function rolloutState({ version, status }: Rollout, why: string): PortcullisError {
  return new PortcullisError('ROLLOUT_STATE', `the rollout of ${version} is ${status}: ${why}`, {
    hint: 'portcullis rollout status shows where it stands',
  });
}
