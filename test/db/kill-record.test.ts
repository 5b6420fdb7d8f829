import { afterEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { lockAudit } from '../../src/audit/record.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { readGate } from '../../src/gate/permit.js';
import { countUnrecorded } from '../../src/containment/unrecorded-kill.js';
import { killWithIncident, recordLateKills, stopWithIncidents } from '../../src/containment/kill-incident.js';
import { testDatabase } from '../support/database.js';
import { person } from '../support/people.js';

/** The region's database, and the control plane's: another one. */
const region = await testDatabase();
const control = await testDatabase();
const ANN = person('ann', 'operator');
const AUDIT_LOCK = 7_020_216;

afterEach(() => onFaultPoint(undefined));

const kill = (job: string, version?: string) =>
  killWithIncident(
    control.owner,
    () => region.owner,
    { job, regions: ['r1'], reason: 'enough', ...(version !== undefined && { version }) },
    ANN,
  );

async function holdingTheAuditLog<T>(work: () => Promise<T>): Promise<T> {
  const holder = new pg.Client({ connectionString: control.url });
  await holder.connect();
  await holder.query('select pg_advisory_lock($1)', [AUDIT_LOCK]);
  try {
    return await work();
  } finally {
    await holder.end();
  }
}

async function recorded(job: string): Promise<{ action: string; subject: string; principal: string }[]> {
  const { rows } = await control.owner.query<{ action: string; subject: string; principal: string }>(
    `select action, subject, principal from portcullis_control.audit
     where action in ('kill', 'quarantine') and subject like $1 || '%' order by seq`,
    [job],
  );
  return rows;
}

async function incidentsOf(job: string): Promise<number> {
  const { rowCount } = await control.owner.query('select from portcullis_control.incident where job = $1', [
    job,
  ]);
  return rowCount ?? 0;
}

/** Has what waits been waiting for so long that its own process is taken for dead. */
async function growOld(): Promise<void> {
  await region.owner.query(`update portcullis_region.unrecorded_kill set at = at - interval '1 minute'`);
}

describe('a kill while somebody holds the audit log', () => {
  test('holds and answers, says that it is not on record yet, and is recorded once, with its incident', async () => {
    const report = await holdingTheAuditLog(() => kill('busy'));
    expect(report).toMatchObject({ killed: [{ region: 'r1' }], failed: [], incident: null });
    expect(report.unrecorded).toContain('lock timeout');
    expect(await readGate(region.owner, 'busy', 'r1')).toMatchObject({ state: 'killed' });
    expect([await countUnrecorded(region.owner), await recorded('busy')]).toEqual([1, []]);
    await growOld();
    await Promise.all([
      recordLateKills(control.owner, region.owner),
      recordLateKills(control.owner, region.owner),
      recordLateKills(control.owner, region.owner),
    ]);
    expect(await recorded('busy')).toEqual([{ action: 'kill', subject: 'busy.r1', principal: 'ann' }]);
    expect([await countUnrecorded(region.owner), await incidentsOf('busy')]).toEqual([0, 1]);
    expect(await verifyAudit(control.owner)).toMatchObject({ ok: true });
  });

  test('answers for a version, and for a stop of everything, as well', async () => {
    await readGate(region.owner, 'busy-1', 'r1');
    const jobs = new Map([
      ['busy-1', ['r1']],
      ['busy-2', ['r1']],
    ]);
    await holdingTheAuditLog(async () => {
      expect((await kill('busy-1', '1.0.0_a')).unrecorded).toBeDefined();
      const reports = await stopWithIncidents(control.owner, () => region.owner, { reason: 'all' }, ANN, {
        jobs,
      });
      expect(reports.map(({ killed, unrecorded }) => [killed.length, unrecorded !== undefined])).toEqual([
        [1, true],
        [1, true],
      ]);
    });
    await growOld();
    await recordLateKills(control.owner, region.owner);
    expect(await recorded('busy-')).toEqual(
      expect.arrayContaining([
        { action: 'quarantine', subject: 'busy-1 1.0.0_a in r1', principal: 'ann' },
        { action: 'kill', subject: 'busy-1.r1', principal: 'ann' },
        { action: 'kill', subject: 'busy-2.r1', principal: 'ann' },
      ]),
    );
    expect(await recorded('busy-')).toHaveLength(3);
  });
});

test('a kill whose process dies between the audit log and the region’s row is on record once', async () => {
  let died = false;
  onFaultPoint((point) => {
    if (point !== 'kill.moved' || died) return;
    died = true;
    throw new Error('kill -9');
  });
  expect((await kill('dying')).unrecorded).toContain('kill -9');
  expect([await countUnrecorded(region.owner), (await recorded('dying')).length]).toEqual([1, 1]);
  await growOld();
  await recordLateKills(control.owner, region.owner);
  expect([await countUnrecorded(region.owner), (await recorded('dying')).length]).toEqual([0, 1]);
});

test('a kill that was left by a process that died is recorded with the time at which it held', async () => {
  await region.owner.query(
    `insert into portcullis_region.unrecorded_kill
       (id, at, job, region, restores_too, drill, reason, killed_by, epoch, in_flight)
     values (gen_random_uuid(), '2026-01-02T03:04:05Z', 'left', 'r1', false, false, 'gone', 'ann', 7, 2)`,
  );
  await recordLateKills(control.owner, region.owner);
  const { rows } = await control.owner.query<{ evidence: object }>(
    `select evidence from portcullis_control.audit where subject = 'left.r1'`,
  );
  expect(rows).toEqual([
    { evidence: expect.objectContaining({ killedAt: '2026-01-02T03:04:05.000Z', epoch: 7, inFlight: 2 }) },
  ]);
});

test('a process that stands still with the audit log’s turn loses it', async () => {
  const client = await control.owner.connect();
  await client.query('begin');
  await lockAudit(client);
  const { rows } = await client.query<{ limit: string }>(
    `select current_setting('idle_in_transaction_session_timeout') as limit`,
  );
  await client.query('rollback');
  client.release();
  expect(rows).toEqual([{ limit: '30s' }]);
});
