import type pg from 'pg';
import type { Principal } from '../access/roles.js';
import { rolloutElsewhere } from '../flags/flags-elsewhere.js';
import type { LoadedJob } from '../jobs/registry.js';
import { requireVersion } from '../rollout/announce.js';
import type { Rollout } from '../rollout/rollout-store.js';
import { startRollout } from '../rollout/start-rollout.js';
import { quarantineOf } from '../rollout/stop-version.js';
import type { RegionPlanes } from './region-plane.js';

export interface RolloutWish {
  readonly job: string;
  /** A name that `versionsNamed` knows, or `current` for the version that this program has. */
  readonly version: string;
  readonly reason: string;
  /** Where flags are, if elsewhere, where a rollout can't set them. */
  readonly flagsAt?: string | undefined;
}

/**
 * Starts the rollout that a person means. Throws VERSION_UNKNOWN, FLAGS_ELSEWHERE where flags come from elsewhere,
 * ROLLOUT_REFUSED where the version is quarantined in any region, and what `startRollout` throws.
 */
export async function orderRollout(
  control: pg.Pool,
  planes: RegionPlanes,
  jobs: readonly LoadedJob[],
  { job, version: meant, reason, flagsAt }: RolloutWish,
  principal: Principal,
): Promise<Rollout> {
  if (flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
  const installed = jobs.find(({ definition }) => definition.name === job)?.version;
  const version =
    installed !== undefined && (meant === 'current' || meant === installed)
      ? installed
      : await requireVersion(control, job, meant);
  const reasons = await Promise.all(planes.all().map(({ owner }) => quarantineOf(owner, job, version)));
  const quarantined = reasons.find((each) => each !== undefined);
  return startRollout(control, { job, version, reason, quarantined }, principal);
}
