import { beforeAll, describe, expect, test } from '@jest/globals';
import type { FaultPoint } from '../../src/kernel/fault-point.js';
import { setAdmittedFlag } from '../support/admissions.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { batchesIn, changedRows, runIn } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { stopped, wake } from './standing-still.js';

const database = await testDatabase();
const { owner } = database;
/** What a process has heard of a flag is too old to act on before the permit that it has carried to a gate is. */
const SLOW = 'apply: { lanes: 1, batch: 1, firstBatches: [] }\nflag: { maxAge: 10s }';
const [alone, takenOver] = SAMPLE_REGIONS;

let world: SampleWorld;
beforeAll(async () => {
  world = await sampleWorld(database, SLOW);
});

/** A run's process that has stood still for so long that it has neither lease nor permit any more. */
async function outlived(region: string, point: FaultPoint): Promise<Running> {
  const args = ['run', 'domain-claim', '--region', region, '--json'];
  const zombie = await stopped(world, args, point, 5);
  await until('its lease and its permit are over', async () => {
    const { rowCount } = await owner.query(
      `select from portcullis_region.run r join portcullis_region.gate g using (job, region)
       where region = $1 and not dry_run and greatest(lease_until, permit_until) < clock_timestamp()`,
      [region],
    );
    return rowCount === 1;
  });
  return zombie;
}

async function turnOff(region: string): Promise<void> {
  const off = { job: 'domain-claim', region, enabled: false };
  await setAdmittedFlag(owner, { ...off, reason: 'enough', changedBy: 'test' });
}

/** Has a worker end whatever is left to end in a region, and answers how the run ended. */
async function ended(region: string): Promise<string> {
  const heir = portcullis(['worker', '--regions', region], {
    env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' },
  });
  await until(
    'the run is over',
    async () => !['planning', 'applying'].includes((await runIn(world, region)).status),
  );
  heir.child.kill('SIGTERM');
  await heir.finished;
  return (await runIn(world, region)).reason;
}

describe('a worker that stood still past its lease and its permit', () => {
  test('writes nothing when it wakes up, though nobody has taken its run over, and its run ends with the reason', async () => {
    const zombie = await outlived(alone, 'apply.before-fence');
    const before = await batchesIn(world, alone);
    expect(before).toBe(4);
    // It cannot have heard of that.
    await turnOff(alone);
    expect((await wake(zombie)).code).toBe(3);
    expect(await ended(alone)).toMatch(/is off|last heard|permit expired/);
    expect(await runIn(world, alone)).toMatchObject({ status: 'stopped', batches: before });
    expect(await changedRows(world, alone)).toBe(before);
  });

  test('in the middle of a batch loses that batch to whoever takes the run over', async () => {
    const zombie = await outlived(takenOver, 'apply.written');
    const before = await batchesIn(world, takenOver);
    await turnOff(takenOver);
    expect(await ended(takenOver)).toContain('is off');
    expect((await wake(zombie)).code).toBe(3);
    expect(await runIn(world, takenOver)).toMatchObject({ status: 'stopped', attempt: 2, batches: before });
    expect(await changedRows(world, takenOver)).toBe(before);
  });
});
