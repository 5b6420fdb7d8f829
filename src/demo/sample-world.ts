import type pg from 'pg';
import { domainClaim } from '../jobs/domain-claim/job.js';
import type { OwnerSql } from '../sdk/contract.js';
import { fillSample, sampleState, type SampledJob } from '../worker/job-sample.js';
import { liveOnWhereDone } from './sample-life.js';
import { type SampleSeed, sampleDirectory } from './sample-directory.js';
import { SAMPLE_PREFIX, SAMPLE_REGIONS, type SampleDirectory } from './sample-rows.js';

/**
 * domain-claim with the sample world. It is declared here, and not in the job's folder, whose every file is part of the
 * job's version: another sample is no reason to roll a version out again.
 */
export const sampledDomainClaim: SampledJob = {
  ...domainClaim,
  sample: {
    units: SAMPLE_PREFIX,
    fill: async ({ sql, seed, now }) => {
      const world = sampleDirectory({ seed, now });
      for (const [table, rows] of Object.entries(world) as [keyof SampleDirectory, readonly object[]][])
        await insert(sql, table, rows);
    },
    goOn: ({ sql, region }) => liveOnWhereDone(sql, region),
  },
};

/** Fills an empty directory with the sample world of a seed. Answers whether it did. */
export function seedSampleWorld(pool: pg.Pool, seed: SampleSeed): Promise<boolean> {
  return fillSample(pool, sampledDomainClaim, { ...seed, regions: SAMPLE_REGIONS });
}

/** Writes a table's rows in one statement; all rows have the same columns, named as the table's. */
async function insert(sql: OwnerSql, table: keyof SampleDirectory, rows: readonly object[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {}).join(', ');
  await sql(
    `insert into directory.${table} (${columns})
     select ${columns} from json_populate_recordset(null::directory.${table}, $1::json)`,
    [JSON.stringify(rows)],
  );
}

/**
 * Whether the directory is a sample world and nothing else: there are organisations, and every one is of the
 * sample's making. Only then may the sample's name server answer for its domains.
 */
export async function isSampleWorld(pool: pg.Pool): Promise<boolean> {
  return (await sampleState(pool, sampledDomainClaim)) === 'sample';
}
