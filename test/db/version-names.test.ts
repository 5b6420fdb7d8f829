import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { listAudit } from '../../src/audit/browse-audit.js';
import { recordAudit } from '../../src/audit/record.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { askLift, decideRearm } from '../../src/containment/rearm-approval.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { announcedVersions, versionToKill } from '../../src/rollout/announce.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { elect } from '../../src/runs/election.js';
import { loginUrl } from '../../src/postgres/logins.js';
import { setUp } from '../../src/postgres/set-up.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { person } from '../support/people.js';
import { emptyDatabase, SCHEMAS, testDatabase } from '../support/database.js';
import { makeOlderSchema } from '../support/older-schema.js';
import { loadTestJob, testPlatform, testPolicy, type TestPlatform } from '../support/platform.js';

/** What a run of the first release left in its journal is made by a run of today, and copied under the old name. */
const today = await testDatabase();
const older = await emptyDatabase();
const { owner } = older;

const OLD = '1.0.0+9f3c2a1b';
const NEW = '1.0.0_9f3c2a1b';
const PRE = '1.1.0-rc.2+0badc0de';
const REGION = 'eu-west-1';
const ROLLOUT = '00000000-0000-4000-8000-000000000001';
const ANN = person('ann', 'operator');
const BOB = person('bob', 'approver');

let run = '';
let before: readonly Record<string, unknown>[] = [];
let auditBefore: unknown;
/** The flag's revision and the gate's epoch. */
let standing: object = {};
let platform: TestPlatform | undefined;
afterAll(async () => platform?.planner.close());

const accounts = async (of: pg.Pool): Promise<Record<string, unknown>[]> =>
  (
    await of.query<Record<string, unknown>>(
      `select id, email, state, organisation_id, claimed_at::text from directory.account order by id`,
    )
  ).rows;

/** Copies a table's rows as an older schema has its columns. */
async function copy(table: string, where = 'true'): Promise<void> {
  const { rows } = await today.owner.query<{ row: object }>(
    `select to_jsonb(t) as row from ${table} t where ${where}`,
  );
  const { rows: columns } = await owner.query<{ name: string }>(
    `select column_name as name from information_schema.columns
     where table_schema || '.' || table_name = $1 and is_generated = 'NEVER'`,
    [table],
  );
  const names = columns.map(({ name }) => name).join(', ');
  await owner.query(
    `insert into ${table} (${names}) select ${names} from jsonb_populate_recordset(null::${table}, $1)`,
    [JSON.stringify(rows.map(({ row }) => row))],
  );
}

async function runToday(): Promise<string> {
  await seedAccounts(today.owner, REGION, 3, 10);
  before = await accounts(today.owner);
  const now = testPlatform(today);
  const job = { ...(await loadTestJob(now, claimEverything('claims'))), version: OLD };
  now.flags.open('claims', REGION, { version: OLD, permille: 1000 });
  const policy = testPolicy('claims', [REGION]);
  const election = await elect(now.region, {
    ...{ job: 'claims', version: OLD, region: REGION, trigger: 'manual' },
    ...{ worker: now.worker, leaseMs: policy.leaseMs },
  });
  if (!election.elected) throw new Error(election.why);
  const { signal } = new AbortController();
  await executeRun(now, job, policy, election.run, 'planning', { signal });
  await now.planner.close();
  return election.run.id;
}

const shares = JSON.stringify([
  { version: PRE, permille: 100 },
  { version: OLD, permille: 900 },
]);
const evidence = JSON.stringify({ rollout: ROLLOUT, version: PRE, wave: 'rest', regions: [] });

beforeAll(async () => {
  await makeOlderSchema(owner, older.name);
  run = await runToday();
  for (const table of ['directory.organisation', 'directory.account', 'portcullis_region.change'])
    await copy(table);
  await copy('portcullis_region.run', `id = '${run}'`);
  for (const table of ['lane', 'batch']) await copy(`portcullis_region.${table}`, `run = '${run}'`);
  await owner.query(
    `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
     values ('claims', $1, true, $2, 'rollout of ${PRE}: step 1', 'ann')`,
    [REGION, shares],
  );
  await owner.query(`
    insert into portcullis_control.version (job, version, digest) values ('claims', '${OLD}', '9f3c2a1b'), ('claims', '${PRE}', '0badc0de');
    insert into portcullis_control.worker_version (worker, job, version, regions) values ('w', 'claims', '${OLD}', '{${REGION}}');
    insert into portcullis_control.rollout (id, job, version, status, policy, reason, started_by, started_at, looked_at, watched_since)
      values ('${ROLLOUT}', 'claims', '${PRE}', 'running', '{}', 'go', 'ann', now(), now(), now());
    insert into portcullis_control.rollout_part (rollout, region, step, since, flag_revision, base)
      values ('${ROLLOUT}', '${REGION}', 0, now(), 1, '[{"version": "${OLD}", "permille": 1000}]');
    insert into portcullis_control.rollout_event values ('${ROLLOUT}', 1, now(), 'advance', 'system', 'from ${OLD}', '{"version": "${PRE}"}');
    insert into portcullis_control.approval (id, action, subject, reason, request, requested_by, expires_at) values
      ('aaaaaaaa', 'lift-quarantine', 'claims ${OLD}', 'it was the data', '{"job": "claims", "version": "${OLD}"}', 'ann', now() + interval '1 day'),
      ('bbbbbbbb', 'begin-wave', 'claims ${PRE} in wave rest', 'go', '{"rollout": "${ROLLOUT}", "wave": "rest", "evidenceHash": "00", "evidence": ${evidence}}', 'ann', now() + interval '1 day');
    insert into portcullis_control.rollout_approval (rollout, wave, request, evidence, evidence_hash)
      values ('${ROLLOUT}', 'rest', 'bbbbbbbb', '${evidence}', '00');
    insert into portcullis_control.incident (id, job, version, cause, state, title, evidence, opened_by)
      values ('cccccccc', 'claims', '${OLD}', 'trip', 'open', 'cap tripped claims ${OLD}', '[{"facts": {"version": "${OLD}"}}]', 'guard');
    insert into portcullis_control.trip (id, job, region, version, stage, failed, incident, at, fenced_at)
      values ('${ROLLOUT}', 'claims', '${REGION}', '${OLD}', 'plan', '[{"rule": "cap", "figures": {}}]', 'cccccccc', now(), now());
    insert into portcullis_control.notice (id, kind, job, title, lines, details)
      values ('${ROLLOUT}', 'trip', 'claims', 'claims ${OLD} stopped', '["${OLD} is quarantined"]', '{"version": "${OLD}"}');
    insert into portcullis_control.bake_verdict (job, region, version, rule, kind, verdict, reason, figures)
      values ('claims', '${REGION}', '${PRE}', 'lockouts', 'outcome', 'pass', 'as ${OLD}', '{"stable": "${OLD}", "at": "12:00:00+00"}');
    insert into portcullis_control.kill_wish (id, job, region, version, restores_too, reason, wished_by, trouble)
      values ('${ROLLOUT}', 'claims', '${REGION}', '${OLD}', false, 'bad', 'ann', 'unreachable');
    insert into portcullis_control.alert (fingerprint, starts_at, job, regions, name, labels, annotations)
      values ('f', now(), 'claims', '{}', 'Spike', '{"version": "${OLD}"}', '{}');
    insert into portcullis_region.gate (job, region, state, epoch, permit_until, variants, reason)
      values ('claims', '${REGION}', 'open', 4, now() + interval '1 hour', '${shares}', 'flag gives ${OLD} 90%')
      on conflict (job, region) do update set variants = excluded.variants, reason = excluded.reason;
    insert into portcullis_region.quarantine (job, version, reason, set_by) values ('claims', '${OLD}', 'bad build', 'ann');
    insert into portcullis_region.verdict (run, stage, rule, verdict, reason, figures) values ('${run}', 'plan', 'cap', 'pass', 'like ${OLD}', '{}');
    insert into portcullis_region.trip (id, job, region, version, stage, failed, restore)
      values ('${ROLLOUT}', 'claims', '${REGION}', '${OLD}', 'plan', '[{"rule": "cap"}]', 'propose');
    insert into portcullis_region.outcome (job, id, region, unit, kind, at, version) values ('claims', 'o1', '${REGION}', 'u', 'lockout', now(), '${OLD}');
    insert into portcullis_region.unit_change (job, region, unit, run, version, applied_at) values ('claims', '${REGION}', 'u', '${run}', '${OLD}', now());
    insert into portcullis_region.outcome_state (job, region, version, rule, options, cursor, state) values ('claims', '${REGION}', '${PRE}', 'r', '{}', 1, '{"stable": "${OLD}"}')`);
  await inTransaction(owner, (client) =>
    recordAudit(client, {
      principal: 'ann',
      action: 'quarantine',
      subject: `claims ${OLD} in ${REGION}`,
      evidence: { version: OLD },
    }),
  );
  auditBefore = (await owner.query('select * from portcullis_control.audit order by seq')).rows;
  standing =
    (
      await owner.query<object>(
        'select f.revision, g.epoch from portcullis_control.flag f join portcullis_region.gate g using (job, region)',
      )
    ).rows[0] ?? {};
  await setUp({ owner, schemas: SCHEMAS, given: {} });
  platform = testPlatform({
    ...older,
    workerUrl: await loginUrl(owner, older.url, 'worker'),
    plannerUrl: await loginUrl(owner, older.url, 'planner'),
  });
});

describe('an upgrade from the first release', () => {
  test('leaves the old name nowhere but in the audit log, alerts as they came and what was approved', async () => {
    const { rows: tables } = await owner.query<{ name: string }>(
      `select table_schema || '.' || table_name as name from information_schema.tables
       where table_type = 'BASE TABLE' and table_schema in ('portcullis_control', 'portcullis_region') order by 1`,
    );
    const named: string[] = [];
    for (const { name } of tables) {
      const { rows } = await owner.query(`select from ${name} t where t::text ~ '\\+(9f3c2a1b|0badc0de)'`);
      if (rows.length > 0) named.push(name);
    }
    expect(named).toEqual([
      'portcullis_control.alert',
      'portcullis_control.approval',
      'portcullis_control.audit',
      'portcullis_control.rollout_approval',
    ]);
    const { rows: approvals } = await owner.query(
      `select subject, request ->> 'version' as version, request #>> '{evidence,version}' as shown
       from portcullis_control.approval order by id`,
    );
    expect(approvals).toEqual([
      { subject: `claims ${NEW}`, version: NEW, shown: null },
      { subject: 'claims 1.1.0-rc.2_0badc0de in wave rest', version: null, shown: PRE },
    ]);
  });

  test('writes the new one in its place, and changes no revision, no epoch and no moment', async () => {
    const { rows: flags } = await owner.query(
      `select f.revision, f.reason, f.variants, (select count(*) from portcullis_control.flag_change) as changes,
         g.epoch, g.variants = f.variants as same
       from portcullis_control.flag f join portcullis_region.gate g using (job, region)`,
    );
    expect(flags).toEqual([
      {
        ...{ ...standing, changes: 1, same: true },
        reason: 'rollout of 1.1.0-rc.2_0badc0de: step 1',
        variants: [
          { version: '1.1.0-rc.2_0badc0de', permille: 100 },
          { version: NEW, permille: 900 },
        ],
      },
    ]);
    const { rows: verdicts } = await owner.query(
      'select reason, figures from portcullis_control.bake_verdict',
    );
    expect(verdicts).toEqual([{ reason: `as ${NEW}`, figures: { stable: NEW, at: '12:00:00+00' } }]);
    // A flag that is written from now on gets a revision, as ever.
    await owner.query(`update portcullis_control.flag set reason = 'again'`);
    const { rows } = await owner.query('select revision from portcullis_control.flag');
    expect(rows).not.toEqual([{ revision: (standing as { revision: number }).revision }]);
  });

  test('admits each version to the share that it had, and what a rollout under way would give back', async () => {
    const { rows } = await owner.query(
      `select region, version, permille, source from portcullis_control.admission where job = 'claims' order by version`,
    );
    expect(rows).toEqual([
      { region: REGION, version: NEW, permille: 1000, source: 'upgrade' },
      { region: REGION, version: '1.1.0-rc.2_0badc0de', permille: 100, source: 'upgrade' },
    ]);
  });

  test('leaves the audit log as it was, and intact; it is searched by either name', async () => {
    const { rows } = await owner.query('select * from portcullis_control.audit where seq = 1');
    expect(rows).toEqual(auditBefore);
    expect(await verifyAudit(owner)).toMatchObject({ ok: true });
    for (const name of [OLD, NEW]) {
      const found = await listAudit(owner, { subject: `claims ${name} in ${REGION}` }, { limit: 10 });
      expect(found.items).toMatchObject([
        { subject: `claims ${OLD} in ${REGION}`, evidence: { version: OLD } },
      ]);
    }
  });

  test('an old run is restored exactly', async () => {
    if (platform === undefined) throw new Error('no platform');
    expect(await accounts(owner)).not.toEqual(before);
    const { signal } = new AbortController();
    const [report] = await restoreRuns(platform, [run], {
      signal,
      paceOf: () => ({ leaseMs: 20_000, batch: 30 }),
    });
    expect(report).toMatchObject({ report: { code: 'restored', applied: { claim: 30 } } });
    expect(await accounts(owner)).toEqual(before);
    const { rows } = await owner.query('select distinct version from portcullis_region.run');
    expect(rows).toEqual([{ version: NEW }]);
  });

  test('a version is killed, and its quarantine lifted, by its old name too', async () => {
    const known = (await announcedVersions(owner, 'claims')).map(({ version }) => version);
    expect([...known].sort()).toEqual([NEW, '1.1.0-rc.2_0badc0de']);
    expect(versionToKill('claims', OLD, known)).toBe(NEW);
    expect(versionToKill('claims', '1.1.0-rc.2+0bad', known)).toBe('1.1.0-rc.2_0badc0de');
    expect(versionToKill('claims', '2.0.0+00c0ffee', known)).toBe('2.0.0_00c0ffee');
    const order = {
      job: 'claims',
      regions: [REGION],
      version: versionToKill('claims', PRE, known),
      reason: 'bad',
    };
    await killWithIncident(owner, () => owner, order, ANN);
    const { rows } = await owner.query('select version from portcullis_region.quarantine order by 1');
    expect(rows).toEqual([{ version: NEW }, { version: '1.1.0-rc.2_0badc0de' }]);
    const asked = await askLift(owner, [owner], { job: 'claims', version: PRE, reason: 'it was not' }, ANN);
    await decideRearm(
      owner,
      () => owner,
      () => [owner],
      asked.id,
      BOB,
      'approve',
    );
    // One that was asked for before the upgrade.
    await decideRearm(
      owner,
      () => owner,
      () => [owner],
      'aaaaaaaa',
      BOB,
      'approve',
    );
    expect((await owner.query('select from portcullis_region.quarantine')).rows).toEqual([]);
  });
});

test('a kill fences the runs of a program that still has the old name', async () => {
  const id = '00000000-0000-4000-8000-000000000009';
  await today.owner.query(
    `insert into portcullis_region.run (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
     values ($1, 'old', $2, 'r1', now(), 'manual', 'applying', 'x', 'x', 'w', now())`,
    [id, OLD],
  );
  const order = { job: 'old', regions: ['r1'], version: NEW, reason: 'bad build' };
  const report = await killWithIncident(today.owner, () => today.owner, order, ANN);
  expect(report).toMatchObject({ killed: [{ region: 'r1', runsEnded: [id] }] });
  const { rows } = await today.owner.query(
    `select version, (select epoch from portcullis_region.version_epoch e where e.version = q.version) as epoch
     from portcullis_region.quarantine q where job = 'old' order by version collate "C"`,
  );
  expect(rows).toEqual([
    { version: OLD, epoch: 1 },
    { version: NEW, epoch: 1 },
  ]);
});
