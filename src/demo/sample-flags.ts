import type pg from 'pg';
import { admitInitially } from '../flags/admission-store.js';
import { setFlag } from '../flags/flag-store.js';

/** The regions that are held (on, but no version has a share) and off; of few, none: all that is on is what one sees. */
const FEW = 3;
const HELD = 1;
const OFF = 1;

const SAMPLE = { name: 'system:sample', role: 'operator', regions: null } as const;

/**
 * Sets a job's flags so that gating shows: all but the last two regions give everything to `version`, the
 * last but one is on and holds every unit, and the last is off. The version is admitted first, as the first of the job.
 * Only in the regions `within`, which were filled just now.
 */
export async function setSampleFlags(
  control: pg.Pool,
  job: string,
  regions: readonly string[],
  version: string,
  within: ReadonlySet<string>,
): Promise<void> {
  const reason = 'sample: the first version';
  await admitInitially(control, { job, version, regions: [...within], reason }, SAMPLE);
  for (const [at, region] of regions.entries()) {
    if (!within.has(region)) continue;
    const many = regions.length > FEW;
    if (many && at >= regions.length - OFF) continue;
    const held = many && at >= regions.length - OFF - HELD;
    await setFlag(control, {
      job,
      region,
      enabled: true,
      variants: held ? [] : [{ version, permille: 1000 }],
      reason: held ? 'sample: held, to show what that looks like' : 'sample: on for everyone',
      changedBy: SAMPLE.name,
    });
  }
}
