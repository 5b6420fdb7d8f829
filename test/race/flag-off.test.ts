import { beforeAll, describe, expect, test } from '@jest/globals';
import { setAdmittedFlag } from '../support/admissions.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, untilWith } from '../support/portcullis.js';
import { sampleWorld, type SampleWorld } from './sample.js';

const database = await testDatabase();

/** One change a batch, in one lane: a run that takes long enough to be stopped midway. */
const SLOW = 'apply: { lanes: 1, batch: 1, firstBatches: [] }';
/** Well within a second on a machine of its own. */
const AT_ONCE_S = 5;

describe('a flag that is turned off in the middle of a run', () => {
  let world: SampleWorld;
  beforeAll(async () => {
    world = await sampleWorld(database, SLOW);
  });

  test.each(SAMPLE_REGIONS)(
    'stops it in %s at once; not one change commits after the gate has closed',
    async (region) => {
      const run = portcullis(['run', 'domain-claim', '--region', region, '--json'], { env: world.env });
      const batches = async (): Promise<number> => {
        const { rows } = await database.owner.query<{ n: number }>(
          `select count(*) as n from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
          [region],
        );
        return rows[0]?.n ?? 0;
      };
      await untilWith(run, 'the run has written something', async () => (await batches()) > 3);
      const flag = await setAdmittedFlag(database.owner, {
        job: 'domain-claim',
        region,
        enabled: false,
        reason: 'enough',
        changedBy: 'test',
      });
      const { code, stdout } = await run.finished;
      expect(code).toBe(3);
      const report = JSON.parse(stdout) as {
        runId: string;
        status: string;
        reason: string;
        planned: Record<string, number>;
        applied: Record<string, number>;
      };
      expect(report).toMatchObject({ status: 'stopped', reason: `domain-claim.${region} is off` });
      const total = (counts: Record<string, number>): number =>
        Object.values(counts).reduce((sum, n) => sum + n, 0);
      expect(total(report.applied)).toBeLessThan(total(report.planned));
      // The gate says when it closed; the journal says when each batch committed. Both by the database's clock.
      const { rows } = await database.owner.query<{ late: number; written: number; seconds: number }>(
        `select count(*) filter (where b.applied_at > g.changed_at) as late, count(*) as written,
           extract(epoch from g.changed_at - $3::timestamptz)::float8 as seconds
         from portcullis_region.gate g, portcullis_region.batch b
         where g.job = 'domain-claim' and g.region = $1 and b.run = $2
         group by g.changed_at`,
        [region, report.runId, flag.changedAt],
      );
      expect(rows).toEqual([{ late: 0, written: total(report.applied), seconds: expect.any(Number) }]);
      expect(rows[0]?.seconds).toBeLessThan(AT_ONCE_S);
      const changed = await database.owner.query(
        `select from directory.account t join directory.account_before b using (id)
         where t.home_region = $1 and t.state <> b.state
         union all
         select from directory.domain t join directory.domain_before b using (id)
         where t.home_region = $1 and to_jsonb(t) <> to_jsonb(b)`,
        [region],
      );
      expect(changed.rowCount).toBe(total(report.applied));
    },
    180_000,
  );
});
