import { beforeEach, describe, expect, test } from '@jest/globals';
import { elect, electMissed, lastSlotDone, type SlotClaim } from '../../src/runs/election.js';
import { finishRun } from '../../src/runs/finish.js';
import { attemptName, releaseLease, renewLease, takeOver } from '../../src/runs/lease.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const pool = database.pool(database.workerUrl);
const SLOT = new Date('2026-01-01T00:15:00Z');
let regions = 0;

function claim(changes: Partial<SlotClaim> = {}): SlotClaim & { slot: Date } {
  return {
    job: 'claims',
    version: '1.0.0_aaaaaaaa',
    region: `region-${regions}`,
    slot: SLOT,
    trigger: 'schedule',
    worker: 'one',
    leaseMs: 20_000,
    ...changes,
  };
}

async function elected(changes: Partial<SlotClaim> = {}) {
  const election = await elect(pool, claim(changes));
  if (!election.elected) throw new Error(election.why);
  return election.run;
}

const done = { status: 'succeeded', code: 'applied', reason: 'done' } as const;
const held = { status: 'held', code: 'flag-off', reason: 'off' } as const;

beforeEach(() => {
  regions += 1;
});

describe('a slot', () => {
  test('is won by one of many who try at once', async () => {
    const tries = await Promise.all(
      Array.from({ length: 40 }, (_, n) => elect(pool, claim({ worker: `worker-${n}` }))),
    );
    expect(tries.filter((each) => each.elected)).toHaveLength(1);
  });

  test('that is not due yet by the database’s clock is nobody’s, and leaves no run', async () => {
    const { rows } = await pool.query<{ soon: Date }>(
      `select clock_timestamp() + interval '2 minutes' as soon`,
    );
    const slot = rows[0]?.soon ?? SLOT;
    expect(await elect(pool, claim({ slot }))).toEqual({ elected: false, why: 'early' });
    expect(await electMissed(pool, claim({ slot }))).toBeUndefined();
    const runs = await pool.query('select from portcullis_region.run where region = $1', [claim().region]);
    expect(runs.rowCount).toBe(0);
  });

  test('that is over is not run again', async () => {
    await finishRun(pool, await elected(), done);
    expect(await elect(pool, claim())).toMatchObject({ elected: false, why: 'taken' });
  });

  test('that comes while a run is active is recorded as skipped, with that run', async () => {
    const first = await elected();
    const second = await elect(pool, claim({ slot: new Date('2026-01-01T00:30:00Z') }));
    expect(second).toEqual({ elected: false, why: 'busy', activeRun: first.id });
    const { rows } = await pool.query<{ reason: string }>(
      `select reason from portcullis_region.run where region = $1 and status = 'skipped'`,
      [`region-${regions}`],
    );
    expect(rows[0]?.reason).toBe(`run ${first.id.slice(0, 8)} was still active when the slot came`);
  });

  test('does not stand in the way of a dry run', async () => {
    await elected();
    expect(
      await elect(pool, { ...claim({ trigger: 'manual' }), dryRun: true, slot: new Date() }),
    ).toMatchObject({ elected: true });
  });
});

describe('a missed slot', () => {
  test('that nobody had is caught up once, whoever tries', async () => {
    const tries = await Promise.all(Array.from({ length: 20 }, () => electMissed(pool, claim())));
    expect(tries.filter((each) => each !== undefined)).toHaveLength(1);
  });

  test('that was held is taken up again once, with another attempt', async () => {
    await finishRun(pool, await elected(), held);
    expect(await lastSlotDone(pool, 'claims', '1.0.0_aaaaaaaa', `region-${regions}`)).toBeUndefined();
    const tries = await Promise.all(Array.from({ length: 20 }, () => electMissed(pool, claim())));
    const won = tries.filter((each) => each !== undefined);
    expect(won).toHaveLength(1);
    expect(won[0]).toMatchObject({ attempt: 2, trigger: 'catch-up', slot: SLOT });
  });

  test('that was done is left alone', async () => {
    await finishRun(pool, await elected(), done);
    expect(await electMissed(pool, claim())).toBeUndefined();
    expect(await lastSlotDone(pool, 'claims', '1.0.0_aaaaaaaa', `region-${regions}`)).toEqual(SLOT);
  });
});

describe('a lease', () => {
  const scope = () => ({
    jobs: ['claims'],
    regions: [`region-${regions}`],
    versions: ['1.0.0_aaaaaaaa'],
    worker: 'two',
    leaseMs: 20_000,
  });

  test('that is kept is not taken over', async () => {
    await elected();
    expect(await takeOver(pool, scope())).toBeUndefined();
  });

  test('that has ended is taken over by one of many, and lost to the former owner', async () => {
    const run = await elected({ leaseMs: 0 });
    const takers = await Promise.all(Array.from({ length: 20 }, () => takeOver(pool, scope())));
    const taken = takers.filter((each) => each !== undefined);
    expect(taken).toHaveLength(1);
    expect(taken[0]).toMatchObject({
      status: 'planning',
      fromWorker: 'one',
      run: { id: run.id, attempt: 2 },
    });
    expect(await renewLease(pool, run, 20_000, true)).toMatchObject({ ours: false, renewed: false });
    expect(await finishRun(pool, run, done)).toBeUndefined();
  });

  test.each([
    ['its plan', `update portcullis_region.run set reason = 'half a plan' where id = $1`],
    ['a batch', `update portcullis_region.lane set applied_seq = 1 where run = $1`],
  ])('is not kept by an owner that stands still in the middle of %s', async (_, sql) => {
    const run = await elected({ leaseMs: 0 });
    await pool.query(
      'insert into portcullis_region.lane (run, lane, attempt, last_seq) values ($1, 0, 1, 5)',
      [run.id],
    );
    const zombie = await pool.connect();
    await zombie.query(`select set_config('application_name', $1, false)`, [attemptName(run)]);
    await zombie.query('begin');
    await zombie.query(sql, [run.id]);
    // The server ends the connection in its own time; a worker looks again at its next sweep.
    const taken = await until('the run is taken over', () => takeOver(pool, scope()));
    expect(taken).toMatchObject({ run: { id: run.id, attempt: 2 } });
    await expect(zombie.query('commit')).rejects.toThrow();
    zombie.release(true);
  });

  test('that is given up is free at once', async () => {
    await releaseLease(pool, await elected());
    expect(await takeOver(pool, scope())).toMatchObject({ run: { attempt: 2 } });
  });

  test('of a run still planning goes only to a worker with the same version', async () => {
    await elected({ leaseMs: 0 });
    expect(await takeOver(pool, { ...scope(), versions: ['2.0.0_bbbbbbbb'] })).toBeUndefined();
  });
});
