import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from '@jest/globals';
import { verifyAudit } from '../../src/audit/verify.js';
import { openWishes } from '../../src/containment/pending-kill.js';
import { countUnrecorded } from '../../src/containment/unrecorded-kill.js';
import { findIncident } from '../../src/incidents/browse-incidents.js';
import { carryOutWishes, killWithIncident, stopWithIncidents } from '../../src/containment/kill-incident.js';
import { openPool } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { goBackToFirstRelease } from '../support/old-schema.js';
import { person } from '../support/people.js';

const { owner } = await testDatabase();
const newer = await testDatabase();
const migrated = await testDatabase();
const ANN = person('ann', 'operator');

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

test('a kill takes hold, fences and ends its runs, opens an incident and is on record on the first release’s schema', async () => {
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
    killed: [{ job: 'old', region: 'r1', runsEnded: ['9f3c2a1b-0000-4000-8000-000000000000'] }],
    failed: [],
    incident: expect.stringMatching(/^[a-z2-7]{8}$/),
  });
  expect(report.unrecorded).toBeUndefined();
  const { rows: runs } = await owner.query('select status, reason_code, reason from portcullis_region.run');
  expect(runs).toEqual([{ status: 'killed', reason_code: 'gate-killed', reason: 'killed by ann: enough' }]);
  // Another joins it, and a drill too: its title tells.
  const drilled = await killWithIncident(owner, () => owner, { ...order, drill: true }, ANN);
  expect(drilled).toMatchObject({ incident: report.incident, killed: [{ region: 'r1' }] });
  const { rows: incidents } = await owner.query(
    `select id, cause, state, title, jsonb_array_length(evidence) as notes from portcullis_control.incident`,
  );
  expect(incidents).toEqual([
    { id: report.incident, cause: 'kill', state: 'contained', title: 'ann killed old', notes: 2 },
  ]);
  const { rows: told } = await owner.query(`select title from portcullis_control.notice order by at`);
  expect(told).toEqual([{ title: 'ann killed old in r1' }, { title: 'Drill: ann killed old in r1' }]);
  expect(await gates()).toEqual([{ job: 'old', state: 'killed', epoch: 2, stopped: false }]);
  const { rows } = await owner.query('select attempt from portcullis_region.lane');
  expect(rows).toEqual([{ attempt: 2 }]);
  expect(await recorded(owner)).toEqual(['old.r1', 'old.r1']);
  expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  expect(await countUnrecorded(owner)).toBe(0);
});

test('a kill that cannot reach its region leaves a pending kill there, and whoever reaches it carries it out', async () => {
  const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
  const order = { job: 'far', regions: ['r9'], reason: 'enough', drill: true };
  const report = await killWithIncident(owner, () => nowhere, order, ANN);
  await nowhere.end();
  const [failed] = report.failed;
  expect(report).toMatchObject({ killed: [], incident: expect.any(String), failed: [{ region: 'r9' }] });
  expect(await openWishes(owner)).toMatchObject([
    { id: failed?.wish, job: 'far', region: 'r9', by: 'ann', drill: false, reason: 'drill: enough' },
  ]);
  expect(await carryOutWishes(owner, () => owner)).toMatchObject([
    { killed: [{ job: 'far', region: 'r9' }], incident: report.incident },
  ]);
  expect(await openWishes(owner)).toEqual([]);
  expect(await recorded(owner)).toContain('far.r9');
});

test('once migrated, its incident has no damage that nobody named', async () => {
  const database = migrated.owner;
  await goBackToFirstRelease(database);
  const { incident } = await killWithIncident(
    database,
    () => database,
    { job: 'old', regions: ['r1'], reason: 'enough' },
    ANN,
  );
  const FOLDER = new URL('../../src/postgres/migrations/control/', import.meta.url);
  for (const name of ['010-moved-kills', '012-alerts', '013-named-damage', '014-kills-before-damage'])
    await database.query(await readFile(new URL(`${name}.sql`, FOLDER), 'utf8'));
  expect(await findIncident(database, incident ?? '')).toMatchObject({
    state: 'contained',
    regions: [{ region: 'r1', damaged: false }],
  });
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
  const [report] = await stopWithIncidents(pool, () => pool, { reason: 'now' }, ANN, { jobs });
  expect(report).toMatchObject({ killed: [{ region: 'r1' }, { region: 'r2' }], failed: [] });
  expect(await gates(pool)).toEqual(
    expect.arrayContaining([{ job: 'every', state: 'killed', epoch: 1, stopped: true }]),
  );
  expect(await recorded(pool)).toEqual(expect.arrayContaining(['every.r1', 'every.r2']));
});
