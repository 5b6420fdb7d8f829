import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { killJob } from '../../src/containment/kill.js';
import { reconcileGate } from '../../src/gate/permit.js';
import { rearmGate } from '../../src/containment/rearm.js';
import { seededRandom } from '../../src/demo/random.js';
import { testDatabase } from '../support/database.js';
import { HandSetFlags } from '../support/platform.js';
import { commitOrder, watchCommitOrder } from './commit-order.js';
import { seedPlannedRun, Writers, type WriterRun } from './writers.js';
import { person } from '../support/people.js';

const database = await testDatabase();
const { owner } = database;
const flags = new HandSetFlags();
const ann = person('ann', 'operator');

/** Another at each run of the test, and said, so that a round that fails can be played again. */
const seed = process.env['PORTCULLIS_TEST_SEED'] ?? String(Date.now());

/** Writers, rounds of each, and changes for each writer: more than it can write before the kill comes. */
const SETTINGS = [
  { writers: 1, rounds: 70, changesEach: 120 },
  { writers: 8, rounds: 70, changesEach: 60 },
  { writers: 32, rounds: 60, changesEach: 30 },
] as const;
/**
 * The kill comes at a random moment between these. They follow what the rounds before have shown, as machines differ in
 * speed: a kill before the first batch or after the last one shows nothing.
 */
const FIRST_WINDOW = { earliestMs: 0, latestMs: 60 };
type Window = typeof FIRST_WINDOW;

function nextWindow({ earliestMs, latestMs }: Window, delayMs: number, share: number): Window {
  if (share >= 1) return { earliestMs: earliestMs * 0.9, latestMs: Math.max(5, (latestMs + delayMs) / 2) };
  if (share > 0) return { earliestMs: earliestMs * 0.95, latestMs };
  const earliest = (earliestMs + delayMs) / 2;
  return { earliestMs: earliest, latestMs: Math.max(latestMs * 1.1, 2 * earliest) };
}

let writers: Writers;
beforeAll(async () => {
  await watchCommitOrder(owner);
  writers = new Writers(database.workerUrl, 4);
});

async function openGate(region: string): Promise<{ job: string; region: string; epoch: number }> {
  flags.open('move', region, { version: '1.0.0_a', permille: 1000 });
  const { gate } = await reconcileGate(owner, 'move', region, () => flags.look(`move.${region}`), 60_000);
  expect(gate.state).toBe('open');
  return gate;
}

const kill = (region: string, reason: string) =>
  killJob(owner, () => owner, { job: 'move', regions: [region], reason }, ann);

/** Rows that are no longer as they were before the run. */
async function moved(run: WriterRun): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from directory.account where id like $1 || '-%' and email = 'after@a.example'`,
    [run.id],
  );
  return rows[0]?.n ?? -1;
}

describe('a kill at a random moment', () => {
  test.each(SETTINGS)(
    'against $writers writers: after it, not one change commits, in $rounds rounds',
    async ({ writers: lanes, rounds, changesEach }) => {
      const random = seededRandom(`${seed} ${lanes}`);
      const region = `writers-${lanes}`;
      const found = { late: 0, batches: 0, cutShort: 0, inFlight: 0 };
      let window = FIRST_WINDOW;
      for (let round = 1; round <= rounds; round += 1) {
        const where = `seed ${seed}, ${lanes} writers, round ${round}`;
        const gate = await openGate(region);
        const run = await seedPlannedRun(owner, gate, lanes, changesEach);
        const ends = writers.write(run, lanes);
        const delayMs = window.earliestMs + random.unit() * (window.latestMs - window.earliestMs);
        await setTimeout(delayMs);
        const report = await kill(region, where);
        const [killed] = report.killed;
        expect([where, killed]).toMatchObject([where, { terminated: 0, runsEnded: [run.id] }]);
        for (const end of await ends) {
          if (!end.complete) expect([where, end]).toMatchObject([where, { code: 'gate-killed' }]);
        }
        const order = await commitOrder(owner, run.id);
        expect([where, order.late]).toEqual([where, 0]);
        // The journal and the rows say the same: what did not commit has changed nothing.
        expect([where, await moved(run)]).toEqual([where, order.changes]);
        found.late += order.late;
        found.batches += order.batches;
        found.inFlight += killed?.inFlight ?? 0;
        const share = order.changes / (lanes * changesEach);
        found.cutShort += share > 0 && share < 1 ? 1 : 0;
        window = nextWindow(window, delayMs, share);
        const rearm = { job: 'move', region, epoch: killed?.epoch ?? 0, reason: where, by: 'ann and bob' };
        await rearmGate(owner, { ...rearm, onRearm: 'skip' });
      }
      process.stderr.write(
        `kill: seed ${seed}, ${lanes} writers, ${rounds} rounds: ${JSON.stringify(found)}\n`,
      );
      // Rounds in which everything or nothing was written show nothing.
      expect(found.cutShort).toBeGreaterThan(rounds / 2);
      expect(found.inFlight).toBeGreaterThan(0);
    },
    180_000,
  );

  test('is judged by a judge who sees a batch that commits after it', async () => {
    const gate = await openGate('judged');
    const run = await seedPlannedRun(owner, gate, 1, 2);
    const cheat = await owner.connect();
    try {
      // Begun before the kill and committed after it, behind no fence and no lock.
      await cheat.query('begin');
      await cheat.query(
        'insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt) values ($1, 0, 0, 1, 1)',
        [run.id],
      );
      await kill('judged', 'for the judge');
      expect(await commitOrder(owner, run.id)).toEqual({ batches: 0, late: 0, changes: 0 });
      await cheat.query('commit');
    } finally {
      cheat.release();
    }
    expect(await commitOrder(owner, run.id)).toEqual({ batches: 1, late: 1, changes: 1 });
  });
});
