import { beforeAll, describe, expect, test } from '@jest/globals';
import { GRACE_MS } from '../../src/containment/kill-gate.js';
import { killJob } from '../../src/containment/kill.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, untilWith } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { watchCommitOrder } from './commit-order.js';
import { endLeases, expectKilled, kill, runIn } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { stopped, wake } from './standing-still.js';
import { person, tokenOf } from '../support/people.js';

const database = await testDatabase();
const { owner } = database;

/** In whose name a rule's trip kills. */
const GUARD = person('guard', 'operator');
/** A batch for each change, so that a run has hundreds of moments at which a kill can find it. */
const SLOW = 'apply: { lanes: 1, batch: 1, firstBatches: [] }';
/**
 * What a kill may take on top of the grace before it has ended every zombie's connection, on a machine that is busy:
 * less by far than the 30 s after which the server would have done so without it.
 */
const BUSY_MS = 15_000;

let world: SampleWorld;
beforeAll(async () => {
  world = await sampleWorld(database, SLOW);
  await watchCommitOrder(owner);
});

const [inBatch, betweenBatches, inPlan, inTakeover, twice, rearmed] = SAMPLE_REGIONS;

async function gateState(region: string): Promise<string | undefined> {
  const { rows } = await owner.query<{ state: string }>(
    `select state from portcullis_region.gate where region = $1 and job = 'domain-claim'`,
    [region],
  );
  return rows[0]?.state;
}

const run = (region: string): string[] => ['run', 'domain-claim', '--region', region, '--json'];

describe('a kill', () => {
  test('of a worker that stands still inside its transaction returns when the grace is over', async () => {
    const zombie = await stopped(world, run(inBatch), 'apply.written', 5);
    const before = (await runIn(world, inBatch)).batches;
    const killed = await kill(world, inBatch, 'it hangs');
    expect(killed).toMatchObject({ terminated: killed.inFlight, runsEnded: [expect.any(String)] });
    expect(killed.inFlight).toBeGreaterThan(0);
    expect(killed.tookMs).toBeGreaterThan(GRACE_MS - 10);
    expect(killed.tookMs).toBeLessThan(GRACE_MS + BUSY_MS);
    const { code, stdout } = await wake(zombie);
    expect([code, JSON.parse(stdout)]).toMatchObject([
      3,
      { status: 'killed', reason: expect.stringContaining('it hangs') },
    ]);
    await expectKilled(world, inBatch, 'it hangs', before);
  });

  test('of a run that two workers believe to be theirs stops both', async () => {
    const first = await stopped(world, run(betweenBatches), 'apply.committed', 5);
    // Its lease ends, and the second takes the run over and is at it when the first wakes up.
    await endLeases(world);
    const second = await stopped(world, ['worker', '--regions', betweenBatches], 'apply.written', 5);
    const { attempt, batches } = await runIn(world, betweenBatches);
    expect(attempt).toBe(2);
    const { code } = await wake(first);
    expect(code).toBe(3);
    expect((await runIn(world, betweenBatches)).batches).toBe(batches);
    const killed = await kill(world, betweenBatches, 'neither');
    expect(killed.terminated).toBeGreaterThan(0);
    second.child.kill('SIGCONT');
    await until('the second has no batch any more', async () => {
      const { rows } = await owner.query(
        `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
      );
      return rows.length === 0;
    });
    second.child.kill('SIGTERM');
    await second.finished;
    await expectKilled(world, betweenBatches, 'neither', batches);
  });

  test('during the plan leaves nothing of it', async () => {
    const planner = await stopped(world, run(inPlan), 'plan.copied', 1);
    const killed = await kill(world, inPlan, 'too early');
    expect(killed).toMatchObject({ inFlight: 0, terminated: 0, runsEnded: [expect.any(String)] });
    const { code, stdout } = await wake(planner);
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { status: 'killed', applied: {} }]);
    await expectKilled(world, inPlan, 'too early', 0);
    const { rowCount } = await owner.query('select from portcullis_region.change where run = $1', [
      (await runIn(world, inPlan)).id,
    ]);
    expect(rowCount).toBe(0);
  });

  test('racing a takeover stops the heir, whichever comes first', async () => {
    const dying = { env: world.env, killAt: 'apply.committed:5' };
    expect(await portcullis(run(inTakeover), dying).finished).toMatchObject({ signal: 'SIGKILL' });
    const heir = portcullis(['worker', '--regions', inTakeover], {
      env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' },
    });
    await endLeases(world);
    await kill(world, inTakeover, 'whoever has it');
    await until('the run is over', async () => (await runIn(world, inTakeover)).status === 'killed');
    heir.child.kill('SIGTERM');
    await heir.finished;
    await expectKilled(world, inTakeover, 'whoever has it', (await runIn(world, inTakeover)).batches);
  });

  test('given by two people and a rule at once holds, and each is told so', async () => {
    const running = portcullis(run(twice), { env: world.env });
    await untilWith(running, 'it writes', async () => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
        [twice],
      );
      return (rowCount ?? 0) > 3;
    });
    // Held where it is, so that it can't be over before the kills have begun.
    running.child.kill('SIGSTOP');
    // Two people, and a rule that has tripped, which kills in the worker's own process.
    const trip = { job: 'domain-claim', regions: [twice], reason: 'one and two' };
    const kills = (
      await Promise.all([
        kill(world, twice, 'one and two'),
        killJob(owner, () => owner, trip, GUARD).then(({ killed }) => killed),
        kill(world, twice, 'one and two'),
      ])
    ).flat();
    const epochs = kills.map(({ epoch }) => epoch).toSorted((one, other) => one - other);
    const [first = 0] = epochs;
    expect(epochs).toEqual([first, first + 1, first + 2]);
    // One of them ended the run, or its own worker did, when it met the fence.
    expect(kills.flatMap(({ runsEnded }) => runsEnded).length).toBeLessThanOrEqual(1);
    running.child.kill('SIGCONT');
    const { code, stdout } = await running.finished;
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { status: 'killed' }]);
    await expectKilled(world, twice, 'one and two', (await runIn(world, twice)).batches);
    // Each is on the record; and it latches, though the flag is on.
    const { rows } = await owner.query<{ epoch: number }>(
      `select (evidence->>'epoch')::integer as epoch from portcullis_control.audit
       where action = 'kill' and subject = $1 order by epoch`,
      [`domain-claim.${twice}`],
    );
    expect(rows.map(({ epoch }) => epoch)).toEqual(epochs);
    expect((await portcullis(run(twice), { env: world.env }).finished).code).toBe(3);
    expect(await gateState(twice)).toBe('killed');
  });

  test('racing the approval of a re-arm wins', async () => {
    const { token } = await tokenOf(owner, { name: 'bob', role: 'approver' });
    for (let round = 1; round <= 2; round += 1) {
      await kill(world, rearmed, `round ${round}`);
      const ask = ['rearm', 'domain-claim', '--region', rearmed, '--reason', 'mended', '--json'];
      const asked = await portcullis(ask, { env: world.env }).finished;
      const { id } = JSON.parse(asked.stdout) as { id: string };
      const env = { ...world.env, PORTCULLIS_TOKEN: token };
      const [approved] = await Promise.all([
        portcullis(['approve', id, '--json'], { env }).finished,
        kill(world, rearmed, 'again'),
      ]);
      // Whichever came first: a kill that came second killed what had been re-armed.
      if (approved.code !== 0) expect(approved.stderr).toContain('REARM_OUTDATED');
      expect(await gateState(rearmed)).toBe('killed');
    }
  });
});
