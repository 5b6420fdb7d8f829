import type pg from 'pg';
import { bucketsOf } from '../../src/kernel/bucketing.js';
import { flagName, spansOf } from '../../src/flags/definition.js';
import type { Variant } from '../../src/flags/variant.js';

interface RunUnits {
  readonly region: string;
  readonly slot: string;
  readonly version: string;
  /** The shares of the flag that the run was admitted under. */
  readonly variants: readonly Variant[];
  readonly units: readonly string[];
}

/**
 * Reads from the journal, of what a job's runs have applied, for whom each version has acted. Throws where an
 * organisation got two versions in a slot, or one outside its share. Answers how much it has looked at.
 */
export async function checkShares(owner: pg.Pool, job: string): Promise<{ runs: number; units: number }> {
  const { rows } = await owner.query<RunUnits>(
    `select r.region, r.slot::text as slot, r.version, f.variants, array_agg(distinct c.unit) as units
     from portcullis_region.run r
     join portcullis_region.change c on c.run = r.id
     join portcullis_region.lane l on l.run = r.id and l.lane = c.lane and c.seq <= l.applied_seq
     join portcullis_control.flag_change f on f.revision = r.flag_revision
     where r.job = $1 group by r.id, r.region, r.slot, r.version, f.variants`,
    [job],
  );
  const taken = new Map<string, string>();
  for (const { region, slot, version, variants, units } of rows) {
    const bucket = bucketsOf(flagName(job, region));
    const span = spansOf(variants).find((each) => each.version === version);
    for (const unit of units) {
      const at = bucket(unit);
      if (!span || at <= span.after || at > span.upTo) {
        throw new Error(`${version} acted for ${unit} in ${region}`);
      }
      const key = `${region} ${slot} ${unit}`;
      if (taken.has(key)) throw new Error(`${unit} got ${version} and ${taken.get(key) ?? ''} at ${slot}`);
      taken.set(key, version);
    }
  }
  return { runs: rows.length, units: taken.size };
}
