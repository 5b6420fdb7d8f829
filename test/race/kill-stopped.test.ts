import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { issueToken } from '../../src/access/tokens.js';
import type { FaultPoint } from '../../src/base/fault-point.js';
import { GRACE_MS } from '../../src/gate/kill.js';
import { SAMPLE_REGIONS } from '../../src/replay/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis, type Finished, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { commitOrder, watchCommitOrder } from './commit-order.js';
import { sampleWorld, type SampleWorld } from './sample.js';

const ask = promisify(execFile);
const database = await testDatabase();
const { owner } = database;

/** A batch for each change, so that a run has hundreds of moments at which a kill can find it. */
const SLOW = 'apply: { lanes: 1, batch: 1, firstBatches: [] }';
/** What a kill may take on top of the grace before it has ended every zombie's connection, on a busy machine. */
const BUSY_MS = 700;

let world: SampleWorld;
beforeAll(async () => {
  world = await sampleWorld(database, SLOW);
  await watchCommitOrder(owner);
}, 60_000);

const [inBatch, betweenBatches, inPlan, inTakeover, twice, rearmed] = SAMPLE_REGIONS;

interface RunRow {
  readonly id: string;
  readonly status: string;
  readonly reason: string;
  readonly attempt: number;
  readonly batches: number;
}

async function runIn(region: string): Promise<RunRow> {
  const { rows } = await owner.query<RunRow>(
    `select id, status, reason, attempt,
       (select count(*) from portcullis_region.batch b where b.run = r.id) as batches
     from portcullis_region.run r where region = $1 and not dry_run`,
    [region],
  );
  const [row] = rows;
  if (!row || rows.length > 1) throw new Error(`${rows.length} runs in ${region}, not one`);
  return row;
}

/** Starts a run, or a worker, that stands still the nth time that it meets the point. Answers when it does. */
async function stopped(args: readonly string[], point: FaultPoint, nth: number): Promise<Running> {
  const running = portcullis(args, { env: world.env, stopAt: `${point}:${nth}` });
  // The state of a process that SIGSTOP has stopped, as Linux and every other Unix names it.
  await until(`${args.join(' ')} stands still at ${point}`, () => isStopped(running));
  return running;
}

async function isStopped({ child }: Running): Promise<boolean> {
  const { stdout } = await ask('ps', ['-o', 'stat=', '-p', String(child.pid)]);
  return stdout.startsWith('T');
}

interface KillAnswer {
  readonly killed: readonly {
    readonly tookMs: number;
    readonly inFlight: number;
    readonly terminated: number;
    readonly epoch: number;
    readonly runsEnded: readonly string[];
  }[];
}

async function kill(region: string, reason: string): Promise<KillAnswer['killed'][number]> {
  const args = ['kill', 'domain-claim', '--region', region, '--reason', reason, '--json'];
  const { code, stdout, stderr } = await portcullis(args, { env: world.env }).finished;
  expect([code, stderr]).toEqual([0, '']);
  const [killed] = (JSON.parse(stdout) as KillAnswer).killed;
  if (!killed) throw new Error(`nothing was killed in ${region}`);
  return killed;
}

/** Wakes a stopped process up, and answers how it ends. */
async function wake({ child, finished }: Running): Promise<Finished> {
  child.kill('SIGCONT');
  return finished;
}

async function gateState(region: string): Promise<string | undefined> {
  const { rows } = await owner.query<{ state: string }>(
    `select state from portcullis_region.gate where region = $1 and job = 'domain-claim'`,
    [region],
  );
  return rows[0]?.state;
}

/** The run ended as killed, nothing committed after the kill, and the rows are as the journal says. */
async function expectKilled(region: string, reason: string, batches: number): Promise<void> {
  const run = await runIn(region);
  expect(run).toMatchObject({ status: 'killed', batches });
  expect(run.reason).toContain(reason);
  const order = await commitOrder(owner, run.id);
  expect(order).toMatchObject({ late: 0 });
  const { rowCount } = await owner.query(
    `select from directory.account t join directory.account_before b using (id)
     where t.home_region = $1 and to_jsonb(t) <> to_jsonb(b)
     union all
     select from directory.domain t join directory.domain_before b using (id)
     where t.home_region = $1 and to_jsonb(t) <> to_jsonb(b)`,
    [region],
  );
  expect(rowCount).toBe(order.changes);
}

const run = (region: string): string[] => ['run', 'domain-claim', '--region', region, '--json'];

describe('a kill', () => {
  test('of a worker that stands still inside its transaction returns when the grace is over', async () => {
    const zombie = await stopped(run(inBatch), 'apply.written', 5);
    const before = (await runIn(inBatch)).batches;
    const killed = await kill(inBatch, 'it hangs');
    expect(killed).toMatchObject({ terminated: killed.inFlight, runsEnded: [expect.any(String)] });
    expect(killed.inFlight).toBeGreaterThan(0);
    expect(killed.tookMs).toBeGreaterThan(GRACE_MS - 10);
    expect(killed.tookMs).toBeLessThan(GRACE_MS + BUSY_MS);
    const { code, stdout } = await wake(zombie);
    expect([code, JSON.parse(stdout)]).toMatchObject([
      3,
      { status: 'killed', reason: expect.stringContaining('it hangs') },
    ]);
    await expectKilled(inBatch, 'it hangs', before);
  }, 30_000);

  test('of a run that two workers believe to be theirs stops both', async () => {
    const first = await stopped(run(betweenBatches), 'apply.committed', 5);
    // Its lease ends, and the second takes the run over and is at it when the first wakes up.
    const second = await stopped(['worker', '--regions', betweenBatches], 'apply.written', 5);
    const { attempt, batches } = await runIn(betweenBatches);
    expect(attempt).toBe(2);
    const { code } = await wake(first);
    expect(code).toBe(3);
    expect((await runIn(betweenBatches)).batches).toBe(batches);
    const killed = await kill(betweenBatches, 'neither');
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
    await expectKilled(betweenBatches, 'neither', batches);
  }, 30_000);

  test('during the plan leaves nothing of it', async () => {
    const planner = await stopped(run(inPlan), 'plan.copied', 1);
    const killed = await kill(inPlan, 'too early');
    expect(killed).toMatchObject({ inFlight: 0, terminated: 0, runsEnded: [expect.any(String)] });
    const { code, stdout } = await wake(planner);
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { status: 'killed', applied: {} }]);
    await expectKilled(inPlan, 'too early', 0);
    const { rowCount } = await owner.query('select from portcullis_region.change where run = $1', [
      (await runIn(inPlan)).id,
    ]);
    expect(rowCount).toBe(0);
  }, 30_000);

  test('racing a takeover stops the heir, whichever comes first', async () => {
    const dying = { env: world.env, killAt: 'apply.committed:5' };
    expect(await portcullis(run(inTakeover), dying).finished).toMatchObject({ signal: 'SIGKILL' });
    const heir = portcullis(['worker', '--regions', inTakeover], {
      env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' },
    });
    await until('its lease ends', async () => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.run where region = $1 and lease_until < clock_timestamp()`,
        [inTakeover],
      );
      return rowCount === 1;
    });
    const killed = await kill(inTakeover, 'whoever has it');
    expect(killed.tookMs).toBeLessThan(GRACE_MS);
    await until('the run is over', async () => (await runIn(inTakeover)).status === 'killed');
    heir.child.kill('SIGTERM');
    await heir.finished;
    await expectKilled(inTakeover, 'whoever has it', (await runIn(inTakeover)).batches);
  }, 30_000);

  test('given twice at once holds, and both are told so', async () => {
    const running = portcullis(run(twice), { env: world.env });
    await until('it writes', async () => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
        [twice],
      );
      return (rowCount ?? 0) > 3;
    });
    // Held where it is, so that it can't be over before the kills have begun.
    running.child.kill('SIGSTOP');
    const kills = await Promise.all([kill(twice, 'one and two'), kill(twice, 'one and two')]);
    expect(new Set(kills.map(({ epoch }) => epoch)).size).toBe(2);
    // One of them ended the run, or its own worker did, when it met the fence.
    expect(kills.flatMap(({ runsEnded }) => runsEnded).length).toBeLessThanOrEqual(1);
    running.child.kill('SIGCONT');
    const { code, stdout } = await running.finished;
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { status: 'killed' }]);
    await expectKilled(twice, 'one and two', (await runIn(twice)).batches);
  }, 30_000);

  test('racing the approval of a re-arm wins', async () => {
    const { token } = await issueToken(owner, { name: 'bob', role: 'approver' }, 'test');
    for (let round = 1; round <= 2; round += 1) {
      await kill(rearmed, `round ${round}`);
      const ask = ['rearm', 'domain-claim', '--region', rearmed, '--reason', 'mended', '--json'];
      const asked = await portcullis(ask, { env: world.env }).finished;
      const { id } = JSON.parse(asked.stdout) as { id: string };
      const env = { ...world.env, PORTCULLIS_TOKEN: token };
      const [approved] = await Promise.all([
        portcullis(['approve', id, '--json'], { env }).finished,
        kill(rearmed, 'again'),
      ]);
      // Whichever came first: a kill that came second killed what had been re-armed.
      if (approved.code !== 0) expect(approved.stderr).toContain('REARM_OUTDATED');
      expect(await gateState(rearmed)).toBe('killed');
    }
  }, 30_000);
});
