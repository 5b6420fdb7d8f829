import type pg from 'pg';
import type { KnownJob } from '../worker/registry.js';
import { bakeVerdicts } from '../rollout/bake-verdicts.js';
import type { ViewSources } from '../rollout/rollout-view.js';
import type { RegionDatabases } from './region-database.js';
import { countQuery } from '../worker/units.js';

/** Where rollouts read what is known of a version in each region. */
export function rolloutSources(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  jobs: readonly KnownJob[],
  flagsAt?: string,
): ViewSources {
  return {
    control,
    flagsAt,
    regionOf: (region) => regionDatabases.of(region).worker,
    verdictsOf: (job, version, region) => bakeVerdicts(control, job, version, region),
    unitsOf: async (name, region) => {
      const unit = jobs.find(({ definition }) => definition.name === name)?.definition.unit;
      if (!unit) return undefined;
      const { rows } = await regionDatabases
        .of(region)
        .worker.query<{ n: number }>(countQuery(unit), [region]);
      return rows[0]?.n;
    },
  };
}
