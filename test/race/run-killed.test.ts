import { beforeAll, expect, test } from '@jest/globals';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, untilWith } from '../support/portcullis.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { person } from '../support/people.js';

const database = await testDatabase();
const ann = person('ann', 'operator');

let world: SampleWorld;
beforeAll(async () => {
  world = await sampleWorld(database, 'apply: { lanes: 1, batch: 1, firstBatches: [] }');
});

test.each(SAMPLE_REGIONS.slice(0, 2))(
  'a run by hand that is killed in %s says so, by whom and why, and not that a worker goes on with it',
  async (region) => {
    const { owner } = database;
    const run = portcullis(['run', 'domain-claim', '--region', region, '--json'], { env: world.env });
    await untilWith(run, 'the run has written something', async () => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
        [region],
      );
      return (rowCount ?? 0) > 3;
    });
    const order = { job: 'domain-claim', regions: [region], reason: 'enough' };
    await killWithIncident(owner, () => owner, order, ann);
    const { code, stdout } = await run.finished;
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'killed',
      reason: expect.stringMatching(/^killed( by ann)?: enough$/),
    });
  },
);
