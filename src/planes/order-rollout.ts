import type pg from 'pg';
import type { Principal } from '../access/roles.js';
import { PortcullisError } from '../base/errors.js';
import type { LoadedJob } from '../jobs/registry.js';
import { requireVersion } from '../rollout/announce.js';
import type { Rollout } from '../rollout/rollout-store.js';
import { startRollout } from '../rollout/start-rollout.js';
import { quarantineOf } from '../rollout/stop-version.js';
import type { RegionPlanes } from './region-plane.js';

export interface RolloutWish {
  readonly job: string;
  /** The whole version, its beginning, or `current` for the one that this program has. */
  readonly version: string;
  readonly reason: string;
  /** Whether flags come from elsewhere, where a rollout can't set them. */
  readonly foreignFlags: boolean;
}

/**
 * Starts the rollout that a person means. Throws VERSION_UNKNOWN, ROLLOUT_REFUSED where flags come from elsewhere
 * or the version is quarantined in any region, and what `startRollout` throws.
 */
export async function orderRollout(
  control: pg.Pool,
  planes: RegionPlanes,
  jobs: readonly LoadedJob[],
  { job, version: meant, reason, foreignFlags }: RolloutWish,
  principal: Principal,
): Promise<Rollout> {
  if (foreignFlags) {
    throw new PortcullisError(
      'ROLLOUT_REFUSED',
      'flags come from an Unleash server, which a rollout does not set',
      {
        mend: 'roll out there, or use the embedded flags (PORTCULLIS_FLAG_SOURCE=embedded)',
      },
    );
  }
  const installed = jobs.find(({ definition }) => definition.name === job)?.version;
  const version =
    installed !== undefined && (meant === 'current' || meant === installed)
      ? installed
      : await requireVersion(control, job, meant);
  const reasons = await Promise.all(planes.all().map(({ owner }) => quarantineOf(owner, job, version)));
  const quarantined = reasons.find((each) => each !== undefined);
  return startRollout(control, { job, version, reason, quarantined }, principal);
}
