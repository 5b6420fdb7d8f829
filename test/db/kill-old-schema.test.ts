import { beforeAll, expect, test } from '@jest/globals';
import type { Principal } from '../../src/access/roles.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { countUnrecorded } from '../../src/gate/unrecorded-kill.js';
import { killWithIncident, stopWithIncidents } from '../../src/incidents/kill-incident.js';
import { testDatabase } from '../support/database.js';
import { goBackToFirstRelease } from '../support/old-schema.js';

const { owner } = await testDatabase();
const newer = await testDatabase();
const ANN: Principal = { name: 'ann', role: 'operator', regions: null };

beforeAll(async () => {
  await goBackToFirstRelease(owner);
  await newer.owner.query(`
    alter table portcullis_region.gate add column mode text not null default 'strict';
    alter table portcullis_region.unrecorded_kill add column signed bytea;
    insert into portcullis_store.migration (name, sha256) values ('region/999-later', 'x')`);
});

const gates = async (of = owner): Promise<object[]> =>
  (await of.query<object>('select job, state, epoch, stopped from portcullis_region.gate order by job')).rows;

const recorded = async (of: typeof owner): Promise<string[]> =>
  (
    await of.query<{ subject: string }>(
      `select subject from portcullis_control.audit where action in ('kill', 'quarantine') order by subject`,
    )
  ).rows.map(({ subject }) => subject);

test('a kill takes hold, fences the lanes of its runs, and is on record on the first release’s schema', async () => {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
     values ('9f3c2a1b-0000-4000-8000-000000000000', 'old', '1.0.0+a', 'r1', now(), 'manual', 'applying', 'x', 'x', 'w', now())`,
  );
  await owner.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq) values ('9f3c2a1b-0000-4000-8000-000000000000', 0, 1, 5)`,
  );
  const order = { job: 'old', regions: ['r1'], reason: 'enough' };
  const report = await killWithIncident(owner, () => owner, order, ANN);
  expect(report).toMatchObject({
    killed: [{ job: 'old', region: 'r1' }],
    failed: [],
  });
  // Without this release's columns no incident can be opened; it says so.
  expect(report).toMatchObject({
    incident: null,
    unrecorded: expect.stringContaining('no incident is open yet'),
  });
  expect(await gates()).toEqual([{ job: 'old', state: 'killed', epoch: 1, stopped: false }]);
  const { rows } = await owner.query('select attempt from portcullis_region.lane');
  expect(rows).toEqual([{ attempt: 2 }]);
  expect(await recorded(owner)).toEqual(['old.r1']);
  expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  expect(await countUnrecorded(owner)).toBe(0);
});

test('a version’s kill bumps the gate’s epoch there: the versions have none of their own', async () => {
  await owner.query(
    `insert into portcullis_region.gate (job, region, state, epoch) values ('two', 'r1', 'open', 4)`,
  );
  const order = { job: 'two', regions: ['r1'], version: '1.1.0+b', reason: 'bad build' };
  expect(await killWithIncident(owner, () => owner, order, ANN)).toMatchObject({ killed: [{ epoch: 5 }] });
  const { rows } = await owner.query('select job, version from portcullis_region.quarantine');
  expect(rows).toEqual([{ job: 'two', version: '1.1.0+b' }]);
});

test.each([
  ['the first release’s', () => owner],
  ['a later release’s', () => newer.owner],
])('a stop of everything takes hold on %s schema', async (_, database) => {
  const pool = database();
  const jobs = new Map([['every', ['r1', 'r2']]]);
  const [report] = await stopWithIncidents(pool, () => pool, 'now', ANN, { jobs });
  expect(report).toMatchObject({ killed: [{ region: 'r1' }, { region: 'r2' }], failed: [] });
  expect(await gates(pool)).toEqual(
    expect.arrayContaining([{ job: 'every', state: 'killed', epoch: 1, stopped: true }]),
  );
  expect(await recorded(pool)).toEqual(expect.arrayContaining(['every.r1', 'every.r2']));
});
