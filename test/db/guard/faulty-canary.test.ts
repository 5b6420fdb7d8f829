import { afterAll, describe, expect, test } from '@jest/globals';
import type { GuardPolicy, Rule } from '../../../src/flags/guard-policy.js';
import { readPolicies } from '../../../src/flags/policy.js';
import { tripOfRun } from '../../../src/containment/trip-row.js';
import type { Change, PlanContext } from '../../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { elect } from '../../../src/runs/election.js';
import { seedAccounts } from '../../support/accounts.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../../support/platform.js';

/**
 * A fault that is small whichever way changes are counted: a canary of 2 % of 1,000 organisations, in which 20 that
 * never asked get a domain verified and an account claimed each. Nobody has written down what must hold.
 */

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

const ORGANISATIONS = 1_000;
const HIT = 20;

const [shipped] = await readPolicies(new URL('../../../flags/', import.meta.url).pathname);
if (!shipped) throw new Error('there is no policy');
const { guard } = shipped.policy;
const withRules = (keep: (rule: Rule) => boolean): GuardPolicy => ({
  ...guard,
  rules: guard.rules.filter((rule) => rule.kind !== 'invariant' && keep(rule)),
});
const withUnits = withRules(() => true);
const withoutUnits = withRules((rule) => rule.kind !== 'count' || rule.of !== 'units');

/** Of each organisation that was hit: its domain verified in one run, and its accounts claimed in the next. */
async function* faulty({ rows: read, region, units }: PlanContext): AsyncGenerator<Change> {
  const hit = new Set([...units].sort().slice(0, HIT));
  const evidence = { why: 'nobody asked' };
  const pending = read<{ id: string; organisation_id: string; state: string }>(
    `select id, organisation_id, state from directory.domain where home_region = $1 and state = 'PENDING' order by id`,
    [region],
  );
  let verified = 0;
  for await (const { id, organisation_id: unit, ...before } of pending) {
    if (!hit.has(unit)) continue;
    verified += 1;
    yield {
      resource: 'domain',
      key: id,
      kind: 'verify',
      unit,
      before,
      after: { state: 'VERIFIED' },
      evidence,
    };
  }
  if (verified > 0) return;
  const accounts = read<{ id: string; unit: string; state: string; organisation_id: string | null }>(
    `select a.id, d.organisation_id as unit, a.state, a.organisation_id
     from directory.domain d join directory.account a on a.email_domain = d.name
     where a.home_region = $1 and a.state = 'UNMANAGED' and d.state = 'VERIFIED' order by a.id`,
    [region],
  );
  for await (const { id, unit, ...before } of accounts) {
    if (!hit.has(unit)) continue;
    const after = { state: 'MANAGED', organisation_id: unit };
    yield { resource: 'account', key: id, kind: 'claim', unit, before, after, evidence };
  }
}

const whole = { key: 'id', region: 'home_region' } as const;
const job = await loadTestJob(platform, {
  name: 'claims',
  version: '2.0.0',
  unit: { table: 'directory.organisation', ...whole },
  resources: {
    domain: { table: 'directory.domain', changes: ['state'], ...whole },
    account: { table: 'directory.account', changes: ['state', 'organisation_id'], ...whole },
  },
  kinds: { verify: 'domain', claim: 'account' },
  plan: faulty,
});

/** A region with a day of the version before: in some slots an organisation comes in, one of them with 90 accounts. */
async function makeRegion(region: string): Promise<void> {
  await seedAccounts(owner, region, ORGANISATIONS, 1);
  await owner.query(
    `insert into directory.domain (id, name, organisation_id, home_region)
     select $1 || n, 'org' || n || '.example', $1 || '-org-' || n, $1 from generate_series(0, $2 - 1) n`,
    [region, ORGANISATIONS],
  );
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units,
        planned, planned_units, created_at, planned_at)
     select gen_random_uuid(), 'claims', '1.0.0', $1, at, 'schedule', 'succeeded', 'applied', 'before', 'w', at, $2,
       jsonb_build_object('claim', case when n = 40 then 90 else n % 7 end, 'verify', n % 3),
       jsonb_build_object('claim', case when n = 40 then 1 else n % 7 end, 'verify', n % 3), at, at
     from generate_series(1, 96) n cross join lateral (select now() - n * interval '15 minutes' as at) slot`,
    [region, ORGANISATIONS],
  );
  platform.flags.open('claims', region, { version: job.version, permille: 20 });
}

async function run(region: string, rules: GuardPolicy): Promise<RunReport> {
  const policy = testPolicy('claims', [region], { guard: rules });
  const claim = { job: 'claims', version: job.version, region, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual' });
  if (!election.elected) throw new Error(election.why);
  const { signal } = new AbortController();
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('another worker has it');
  return report;
}

describe('a fault of few changes for many organisations, in a canary', () => {
  test('is under every cap, and under every count of changes', async () => {
    await makeRegion('us-east-1');
    expect(await run('us-east-1', withoutUnits)).toMatchObject({
      status: 'succeeded',
      applied: { verify: HIT },
    });
    expect(await run('us-east-1', withoutUnits)).toMatchObject({
      status: 'succeeded',
      applied: { claim: HIT },
    });
  });

  test('is stopped before its first change by how many organisations it is about', async () => {
    await makeRegion('eu-west-1');
    const report = await run('eu-west-1', withUnits);
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    expect(report.reason).toMatch(
      /^organisations-verified: planned for 20 units; runs plan for 0\.0\d+ \(0–1\), 96 runs;/,
    );
    const trip = await tripOfRun(owner, report.run.id);
    expect(trip?.failed.map(({ rule }) => rule)).toEqual(['organisations-verified']);
    const { rows } = await owner.query<{ changed: number; planned: unknown }>(
      `select (select count(*) from directory.domain where home_region = 'eu-west-1' and state <> 'PENDING') as changed,
         (select planned_units from portcullis_region.run where id = $1) as planned`,
      [report.run.id],
    );
    expect(rows).toEqual([{ changed: 0, planned: { verify: HIT } }]);
  });
});
