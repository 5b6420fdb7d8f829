import { afterEach, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../src/audit/verify.js';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { advanceRollout } from '../../src/rollout/advance.js';
import { viewRollout } from '../../src/rollout/rollout-view.js';
import { testDatabase } from '../support/database.js';
import { approveWave, bake, begunOn, shares, type Rolling } from '../support/rolling.js';

const database = await testDatabase();
const owner = database.owner;

afterEach(() => onFaultPoint(undefined));

const REASON = 'logins: 9 of 10 fail';

function fails(roll: Rolling, region: string): void {
  roll.verdicts.set(region, [{ rule: 'logins', verdict: 'fail', reason: REASON, judgedAt: roll.now() }]);
}

/** Whatever was first, the failure or the trip: one story, told once. */
async function expectOneStory(roll: Rolling, region: string): Promise<void> {
  const { job, candidate } = roll;
  const { version } = candidate;
  const all = async (sql: string) => (await owner.query<Record<string, unknown>>(sql, [job])).rows;
  expect(await roll.rollout()).toMatchObject({
    status: 'aborted',
    endReason: expect.stringContaining(REASON) as unknown,
  });
  expect(await shares(roll)).toEqual({ a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' });
  // The candidate's own: the gate stays open for the stable version.
  expect(await all(`select region from portcullis_region.gate where job = $1 and state = 'killed'`)).toEqual(
    [],
  );
  expect(await all('select version, set_by as by from portcullis_region.quarantine where job = $1')).toEqual([
    { version, by: 'guard:logins' },
  ]);
  expect(
    await all(
      'select region, version, stage, closed, settled_at is not null as settled from portcullis_region.trip where job = $1',
    ),
  ).toEqual([{ region, version, stage: 'bake', closed: 'candidate', settled: true }]);
  const incidents = await all(
    `select id, version, cause, state, title, jsonb_array_length(evidence) as notes,
            evidence #>> '{0,facts,failed,0,reason}' as why
     from portcullis_control.incident where job = $1`,
  );
  const title = `${job} ${version} tripped in ${region}: logins`;
  expect(incidents).toMatchObject([
    { version, cause: 'trip', state: 'contained', title, why: REASON, notes: 1 },
  ]);
  const told = `select kind from portcullis_control.notice where job = $1 and kind = 'trip'`;
  expect(await all(told)).toHaveLength(1);
  const view = await viewRollout({ ...roll.ports, unitsOf: () => Promise.resolve(100) }, job);
  expect(view).toMatchObject({ status: 'aborted', next: null, incident: incidents[0]?.['id'] });
  expect((await verifyAudit(owner)).ok).toBe(true);
}

describe('a rollout and the guard’s trip are one story', () => {
  test('where the rollout sees a failed verdict, whose trip nobody has made', async () => {
    const roll = await begunOn(database);
    const [a = ''] = roll.regions;
    fails(roll, a);
    await roll.look();
    await expectOneStory(roll, a);
  });

  test('where several control planes see it at once', async () => {
    const roll = await begunOn(database);
    const [a = ''] = roll.regions;
    fails(roll, a);
    const { id } = await roll.rollout();
    // One stands between its decision and its trip until the others have decided too.
    let decided = 0;
    onFaultPoint(async (point) => {
      if (point !== 'trip.written') return;
      decided += 1;
      if (decided === 1) await advanceRollout(roll.ports, id);
    });
    await advanceRollout(roll.ports, id);
    expect(decided).toBeGreaterThan(1);
    await expectOneStory(roll, a);
  });

  test('where the guard trips first: the next look takes the version back', async () => {
    const roll = await begunOn(database);
    const [a = ''] = roll.regions;
    await roll.trip(a);
    expect(await shares(roll)).toEqual({ a: '1.0.0 1000', b: '1.0.0 1000', c: '1.0.0 1000' });
    expect((await roll.look()).decision).toMatchObject({ action: 'abort', region: a });
    await expectOneStory(roll, a);
  });

  test('where the guard’s trip is left half done, and the rollout sees the verdict', async () => {
    const roll = await begunOn(database);
    const [a = ''] = roll.regions;
    onFaultPoint((point) => {
      if (point === 'trip.fenced') throw new Error('died');
    });
    await expect(roll.trip(a)).rejects.toThrow('died');
    onFaultPoint(undefined);
    fails(roll, a);
    await roll.look();
    await expectOneStory(roll, a);
  });

  test('between trip and abort no organisation gets both versions in a slot', async () => {
    const roll = await begunOn(database);
    const [, b = '', c = ''] = roll.regions;
    await bake(roll);
    await bake(roll);
    await roll.look();
    await approveWave(owner, roll);
    await roll.look();
    expect(await shares(roll)).toMatchObject({ b: '1.1.0 500, 1.0.0 500', c: '1.1.0 500, 1.0.0 500' });
    // The candidate has had its run of a slot in c when it trips in b; the stable version's run there comes after.
    const runsInC = async (): Promise<number> => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.run where version = $1 and region = $2 and status = 'succeeded' and job = $3`,
        [roll.candidate.version, c, roll.job],
      );
      return rowCount ?? 0;
    };
    let tripped = false;
    onFaultPoint(async (point) => {
      if (point !== 'run.finished' || tripped || (await runsInC()) === 0) return;
      tripped = true;
      await roll.trip(b);
      // Were it left out by nothing else, it would have all of these now.
      await roll.release();
    });
    const reports = await roll.slot([roll.candidate, roll.stable]);
    onFaultPoint(undefined);
    expect(tripped).toBe(true);
    expect(await shares(roll)).toMatchObject({ b: '1.0.0 1000', c: '1.0.0 1000' });
    expect(await roll.rollout()).toMatchObject({ status: 'running' });
    const after = reports.find(({ run }) => run.region === c && run.version === roll.stable.version);
    expect(after).toMatchObject({ status: 'succeeded' });
    await roll.checkJournal();

    await roll.look();
    await expectOneStory(roll, b);
    const next = await roll.slot([roll.candidate, roll.stable]);
    expect(next.find(({ run }) => run.region === c && run.version === roll.stable.version)).toMatchObject({
      status: 'succeeded',
      applied: { claim: 200 },
    });
    await roll.checkJournal();
  });
});
