import { expect, test } from '@jest/globals';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { takeOver } from '../../src/runs/lease.js';
import { testDatabase } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { changedRows, endLeases } from './killed-run.js';
import { sampleWorld } from './sample.js';

const database = await testDatabase();
const { owner } = database;
const world = await sampleWorld(
  database,
  'plan: { maxAge: 1h }\napply: { lanes: 2, batch: 20, firstBatches: [1] }',
);

interface RunRow {
  readonly id: string;
  readonly status: string;
  readonly reason_code: string;
  readonly reason: string;
  readonly trigger: string;
  readonly version: string;
  readonly planned: Readonly<Record<string, number>>;
  readonly applied: Readonly<Record<string, number>>;
}

async function runsIn(region: string): Promise<RunRow[]> {
  const { rows } = await owner.query<RunRow>(
    `select id, status, reason_code, reason, trigger, version, planned, applied from portcullis_region.run
     where region = $1 and not dry_run and restores is null order by created_at`,
    [region],
  );
  return rows;
}

/** A process dies by `kill -9` in the middle of a run. */
async function killedAt(region: string, point: string): Promise<RunRow> {
  const dead = await portcullis(['run', 'domain-claim', '--region', region], {
    ...{ killAt: point, env: world.env },
  }).finished;
  expect(dead).toMatchObject({ signal: 'SIGKILL' });
  const [run] = await runsIn(region);
  if (!run) throw new Error('there is no run');
  return run;
}

/** As if more time than `plan.maxAge` had gone by since it planned. */
async function grownOld(run: string): Promise<void> {
  for (const table of ['plan', 'run'])
    await owner.query(
      `update portcullis_region.${table} set expires_at = expires_at - interval '2 hours', planned_at = planned_at - interval '2 hours'
       where ${table === 'plan' ? 'run' : 'id'} = $1`,
      [run],
    );
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, n) => all + n, 0);

const [applying, planned, young, cut] = SAMPLE_REGIONS;

test('a run that is taken over with an old plan is planned again: what it applied stays, and nothing is done twice', async () => {
  const killed = await killedAt(applying, 'apply.committed:6');
  const begun = await killedAt(planned, 'plan.committed:1');
  const fresh = await killedAt(young, 'apply.committed:6');
  const left = await killedAt(cut, 'apply.committed:6');
  expect([killed.status, begun.status, fresh.status]).toEqual(['applying', 'planning', 'applying']);
  await grownOld(killed.id);
  await grownOld(begun.id);
  await grownOld(left.id);
  await endLeases(world);
  // A worker with other code carries on with the young plan alone.
  const other = { jobs: ['domain-claim'], versions: ['0.0.1_other'], worker: 'other', leaseMs: 15_000 };
  expect(await takeOver(owner, { ...other, regions: [applying, planned] })).toBeUndefined();
  expect((await takeOver(owner, { ...other, regions: [young] }))?.run.id).toBe(fresh.id);
  await endLeases(world);

  // The worker that ends a run whose plan is too old dies before it begins another: what is left waits for the next worker.
  const between = portcullis(['worker', '--regions', cut], {
    ...{ killAt: 'run.finished', env: world.env },
  });
  expect(await between.finished).toMatchObject({ signal: 'SIGKILL' });
  expect(await runsIn(cut)).toMatchObject([
    { id: left.id, status: 'stopped', reason_code: 'plan-expired' },
    { status: 'planning', trigger: 'catch-up', reason: `plans what run ${left.id.slice(0, 8)} has left` },
  ]);

  portcullis(['worker'], { env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' } });
  const over = (region: string, runs: number): Promise<RunRow[]> =>
    until(`${runs} runs in ${region} are over`, async () => {
      const rows = await runsIn(region);
      const done = rows.filter(({ status }) => status !== 'planning' && status !== 'applying');
      return done.length === runs && done;
    });
  const [first, second] = await over(applying, 2);
  expect(first).toMatchObject({ id: killed.id, status: 'stopped', reason_code: 'plan-expired' });
  expect(first?.reason).toMatch(
    /^its plan was 2 h.* old, over the policy's plan\.maxAge, when the run was taken over; \d+ of \d+ changes stay applied, and a new run plans the rest$/,
  );
  expect(second).toMatchObject({ status: 'succeeded', trigger: 'catch-up', version: killed.version });
  const stays = sum(first?.applied ?? {});
  expect(stays).toBeGreaterThan(0);
  // What another plan finds is what is there now: no row that stayed applied is changed once more.
  const { rows: twice } = await owner.query(
    `select c.resource, c.key from portcullis_region.change c
     join portcullis_region.lane l on l.run = c.run and l.lane = c.lane and c.seq <= l.applied_seq
     join portcullis_region.change d on d.run = $2 and (d.resource, d.key) = (c.resource, c.key)
     where c.run = $1`,
    [first?.id, second?.id],
  );
  expect(twice).toEqual([]);
  expect(sum(second?.applied ?? {})).toBeGreaterThanOrEqual(sum(first?.planned ?? {}) - stays);

  const [held, again] = await over(planned, 2);
  expect(held).toMatchObject({ id: begun.id, status: 'held', reason_code: 'plan-expired', applied: {} });
  expect(again).toMatchObject({ status: 'succeeded', trigger: 'catch-up' });
  const [, rest] = await over(cut, 2);
  expect(rest).toMatchObject({ status: 'succeeded', trigger: 'catch-up' });
  expect(sum(rest?.applied ?? {})).toBeGreaterThan(0);
  expect(await over(young, 1)).toMatchObject([{ id: fresh.id, status: 'succeeded' }]);

  // Both can be restored, and nothing is left of them.
  expect(await changedRows(world, applying)).toBeGreaterThan(stays);
  const restored = await portcullis(['restore', first?.id ?? '', second?.id ?? ''], { env: world.env })
    .finished;
  expect(restored).toMatchObject({ code: 0 });
  expect(await changedRows(world, applying)).toBe(0);
}, 300_000);
