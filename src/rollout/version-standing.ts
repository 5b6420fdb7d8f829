import type pg from 'pg';
import { newestRolloutOf } from './rollout-store.js';

/**
 * How a version that has no share in a region stands with its rollout, in words: what a run that is held for it
 * says beside that the version is not admitted.
 */
export async function versionStanding(
  control: pg.Pool,
  job: string,
  version: string,
  region: string,
): Promise<string> {
  const rollout = await newestRolloutOf(control, job, version);
  if (!rollout) return 'rollout not started';
  switch (rollout.status) {
    case 'aborted':
      return `its rollout was aborted: ${rollout.endReason ?? ''}`;
    case 'completed':
      return 'its rollout is over, and its share was taken away since';
    case 'running':
    case 'paused': {
      const here = rollout.parts.some((part) => part.region === region && part.step >= 0);
      return here ? 'its share was taken away by hand' : 'its rollout has not come here yet';
    }
  }
}
