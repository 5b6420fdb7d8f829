import type pg from 'pg';
import type { Admissions } from '../../src/flags/admission.js';
import { admitVersion } from '../../src/flags/admission-store.js';
import { type FlagChange, type FlagState, setFlag } from '../../src/flags/flag-store.js';
import type { AdmissionFeed } from '../../src/flags/source.js';
import { inTransaction } from '../../src/postgres/pool.js';

/** Admits any version that is asked about to everything: for tests that are about something else. */
class EveryVersion extends Map<string, number> {
  override get(): number {
    return 1000;
  }
}

/** Every version may act everywhere. */
export const EVERYTHING: Admissions = { of: () => ({ revision: 0, permille: new EveryVersion() }) };

/** Says at all times that every version may act everywhere. */
export const everythingAdmitted: AdmissionFeed = {
  admissions: EVERYTHING,
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
  state: () => ({ heardAgeMs: 0 }),
  onChange: () => () => undefined,
};

/** Admits versions to a share of a region, as a rollout's step does. */
export async function admitVersions(
  control: pg.Pool,
  flag: { readonly job: string; readonly region: string },
  versions: readonly string[],
  permille = 1000,
): Promise<void> {
  const { job, region } = flag;
  await inTransaction(control, async (client) => {
    for (const version of versions) {
      await admitVersion(client, {
        ...{ job, region, version, permille },
        ...{ source: 'rollout', reason: 'a test', by: 'test' },
      });
    }
  });
}

/** Sets a flag whose versions a rollout has admitted. */
export async function setAdmittedFlag(control: pg.Pool, change: FlagChange): Promise<FlagState> {
  await admitVersions(
    control,
    change,
    (change.variants ?? []).map(({ version }) => version),
  );
  return setFlag(control, change);
}
