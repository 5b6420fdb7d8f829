import type pg from 'pg';
import { faultPoint } from '../kernel/fault-point.js';
import { REASON_LETTERS } from '../kernel/reason.js';
import { shorten } from '../kernel/text.js';
import { clearAdmission } from '../flags/admission-store.js';
import { type FlagState, lockFlags, setFlag } from '../flags/flag-store.js';
import { loadPolicy } from '../flags/policy-store.js';
import { endRollout } from './end-rollout.js';
import { sharesOf } from './read-evidence.js';
import { recordEvent, type Rollout } from './rollout-store.js';
import { sameShares, sharesWithout } from './shares.js';
import type { Variant } from '../flags/variant.js';

export interface TakeBack {
  readonly at: Date;
  readonly by: string;
  readonly reason: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/**
 * Aborts a rollout in the client's transaction, which holds its lock: the version goes to zero in every region's
 * flag, and where the flag is as the rollout left it, the others get back what they had. A flag that is off stays
 * off, and what a person took from others stays taken.
 */
export async function takeBack(client: pg.PoolClient, rollout: Rollout, order: TakeBack): Promise<void> {
  const flags = await lockFlags(client, rollout.job);
  const { job, version } = rollout;
  await clearAdmission(client, { job, version, reason: order.reason, by: order.by });
  const loaded = await loadPolicy(client, rollout.job);
  const mayOpen = new Set(loaded.ok ? loaded.policy.regions : []);
  const revisions: Record<string, number> = {};
  for (const flag of flags) {
    const variants = sharesAfter(rollout, flag);
    if (variants === undefined) continue;
    const set = await setFlag(client, {
      job: rollout.job,
      region: flag.region,
      // A region that has left the policy can't be opened, not even for others.
      variants: mayOpen.has(flag.region) ? variants : [],
      reason: shorten(`rollout of ${rollout.version} aborted: ${order.reason}`, REASON_LETTERS),
      changedBy: order.by,
      beyond: 'close',
    });
    revisions[flag.region] = set.revision;
    await faultPoint('rollout.flag-set');
  }
  await endRollout(client, rollout, { status: 'aborted', ...order });
  await recordEvent(client, rollout, {
    action: 'abort',
    ...order,
    evidence: { ...order.evidence, flagRevisions: revisions },
  });
}

/** The shares without the version; undefined where nothing changes. */
function sharesAfter(rollout: Rollout, flag: FlagState): readonly Variant[] | undefined {
  const part = rollout.parts.find(({ region }) => region === flag.region);
  const expected = part && sharesOf(rollout, part);
  const left = sharesWithout(flag.variants, rollout.version);
  // A trip of the guard may have taken the version's share away before us.
  const asWeLeftIt =
    expected !== undefined &&
    (sameShares(flag.variants, expected) ||
      sameShares(flag.variants, sharesWithout(expected, rollout.version)));
  const after = asWeLeftIt && part?.base ? part.base : left;
  return flag.malformed === undefined && sameShares(flag.variants, after) ? undefined : after;
}
