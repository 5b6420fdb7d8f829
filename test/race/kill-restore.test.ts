import { beforeAll, describe, expect, test } from '@jest/globals';
import { killJob } from '../../src/containment/kill.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, untilWith, type Finished, type Running } from '../support/portcullis.js';
import { commitOrder, watchCommitOrder } from './commit-order.js';
import { batchesIn, changedRows, runIn, type Killed } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { stopped, wake } from './standing-still.js';
import { person, tokenOf } from '../support/people.js';

const database = await testDatabase();
const { owner } = database;
const ANN = person('ann', 'operator');
const [killed, planning, inBatch, betweenBatches] = SAMPLE_REGIONS;

let world: SampleWorld;
/** Each region's run, that is to be taken back. */
const runs = new Map<string, string>();
beforeAll(async () => {
  world = await sampleWorld(database, 'apply: { lanes: 2, batch: 2, firstBatches: [] }');
  await watchCommitOrder(owner);
  for (const region of [killed, planning, inBatch, betweenBatches]) {
    const { code, stdout } = await command(['run', 'domain-claim', '--region', region, '--json']);
    expect(code).toBe(0);
    runs.set(region, (JSON.parse(stdout) as { runId: string }).runId);
  }
});

const command = async (
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Finished> => portcullis(args, { env: { ...world.env, ...env } }).finished;
const restore = (region: string): string[] => ['restore', runs.get(region) ?? '', '--json'];

interface Answer {
  readonly runs: readonly { readonly status: string; readonly reason: string }[];
}

const answered = ({ stdout }: Finished): Answer['runs'] => (JSON.parse(stdout) as Answer).runs;

describe('a restore', () => {
  test('goes on through an ordinary kill, and through another, to the last row', async () => {
    const cure = portcullis(restore(killed), { env: world.env });
    await untilWith(cure, 'it writes', async () => (await batchesIn(world, killed, 'restore')) > 3);
    for (const reason of ['the job is faulty', 'really']) {
      const kill = { job: 'domain-claim', regions: [killed], reason };
      expect(await killJob(owner, () => owner, kill, ANN)).toMatchObject({
        killed: [{ runsEnded: [] }],
        failed: [],
      });
    }
    const { code } = await cure.finished;
    expect(code).toBe(0);
    const row = await runIn(world, killed, 'restore');
    // The judge sees what was committed after the kill: most of it.
    expect((await commitOrder(owner, row.id)).late).toBeGreaterThan(0);
    expect(row).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(await changedRows(world, killed)).toBe(0);
  });

  test('is stopped by a stop of everything, wherever it is; not one of its batches commits after', async () => {
    // One is planning, one in the middle of a batch's transaction, one stands between two, and none can hear.
    const zombies: readonly (readonly [string, Running])[] = [
      [planning, await stopped(world, restore(planning), 'plan.copied', 1)],
      [inBatch, await stopped(world, restore(inBatch), 'apply.written', 4)],
      [betweenBatches, await stopped(world, restore(betweenBatches), 'apply.committed', 4)],
    ];
    const before = new Map<string, number>();
    for (const [region] of zombies) before.set(region, await batchesIn(world, region, 'restore'));
    const stop = await command(['stop', '--all', '--reason', 'nobody knows', '--json']);
    expect([stop.code, stop.stderr]).toEqual([0, '']);
    // A line for each job.
    const lines = stop.stdout.trimEnd().split('\n');
    const acknowledged = lines.flatMap((line) => (JSON.parse(line) as { killed: Killed[] }).killed);
    expect(new Set(acknowledged.map(({ region }) => region))).toEqual(new Set(SAMPLE_REGIONS));
    const inBatchMet = acknowledged.find(({ region }) => region === inBatch);
    expect(inBatchMet?.terminated).toBeGreaterThan(0);
    for (const [region, zombie] of zombies) {
      const end = await wake(zombie);
      expect([region, end.code]).toEqual([region, 3]);
      const row = await runIn(world, region, 'restore');
      expect(row).toMatchObject({ status: 'killed', batches: before.get(region) });
      expect(row.reason).toContain('nobody knows');
      expect(await commitOrder(owner, row.id)).toMatchObject({ late: 0 });
    }
    expect(before.get(inBatch)).toBeGreaterThan(0);
  });

  test('does not begin while everything is stopped, and takes up all the rest once two have agreed to re-arm', async () => {
    const refused = await command(restore(inBatch));
    expect(refused.code).toBe(3);
    expect(answered(refused)).toMatchObject([
      { status: 'held', reason: 'everything is stopped: nobody knows' },
    ]);
    const ask = ['rearm', 'domain-claim', '--region', inBatch, '--reason', 'it was the network', '--json'];
    const { id } = JSON.parse((await command(ask)).stdout) as { id: string };
    const { token } = await tokenOf(owner, { name: 'bob', role: 'approver' });
    expect((await command(['approve', id, '--json'], { PORTCULLIS_TOKEN: token })).code).toBe(0);
    const done = await command(restore(inBatch));
    expect([done.code, answered(done)]).toMatchObject([0, [{ status: 'succeeded' }]]);
    expect(await changedRows(world, inBatch)).toBe(0);
  });
});
