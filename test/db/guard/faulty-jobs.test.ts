import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { onFaultPoint } from '../../../src/kernel/fault-point.js';
import type { GuardPolicy, Rule } from '../../../src/flags/guard-policy.js';
import { tripOfRun } from '../../../src/containment/trip-row.js';
import { verdictsOf } from '../../../src/guard/verdict-rows.js';
import type { Change, JobDefinition } from '../../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { elect } from '../../../src/runs/election.js';
import { takeOver } from '../../../src/runs/lease.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../../support/platform.js';

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());
afterEach(() => onFaultPoint(undefined));

const VERSION = '1.0.0_00000000';
const ORGANISATIONS = 40;
const ACCOUNTS = ORGANISATIONS * 50;

const RULES: readonly Rule[] = [
  {
    kind: 'invariant',
    name: 'asked-for',
    timeoutMs: 10_000,
    sql: `select p.key from proposed p where not exists (
            select from account a where a.id = p.key and a.selected_by = p.after ->> 'organisation_id')`,
  },
  {
    kind: 'invariant',
    name: 'nobody-elses',
    timeoutMs: 10_000,
    sql: 'select p.key from proposed p join account a on a.id = p.key where a.organisation_id is not null',
  },
  { kind: 'count', name: 'claims-per-run', change: 'claim', of: 'changes', alpha: 0.00025, floor: 10 },
  { kind: 'rate', name: 'conflicts', of: 'conflicts', acceptableShare: 0.002, alpha: 0.001 },
  { kind: 'rate', name: 'refusals', of: 'refusals', acceptableShare: 0.001, alpha: 0.001 },
];
const guard: GuardPolicy = {
  ...noRules,
  caps: [{ kind: 'claim', perRun: 5_000, perUnit: 200 }],
  rules: RULES,
};

/** Each test works in a region of its own, whose accounts are selected by their organisations. */
let region = '';
let regions = 0;
beforeEach(async () => {
  await owner.query('delete from portcullis_region.quarantine');
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(owner, region, ORGANISATIONS, ACCOUNTS / ORGANISATIONS);
  await owner.query(
    `update directory.account set selected_by = regexp_replace(replace(id, '-acc-', '-org-'), '-\\d+$', '')
     where home_region = $1`,
    [region],
  );
});

/** Thirty accepted runs of so many claims each, of a fortnight: sooner nothing is too few. */
async function history(claims: number): Promise<void> {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units,
        planned, created_at, planned_at)
     select gen_random_uuid(), 'claims', $2, $1, now() - n * interval '12 hours', 'schedule', 'succeeded', 'applied', 'before',
       'w', now(), $4, jsonb_build_object('claim', $3::int + n % 5), now() - n * interval '12 hours', now() - n * interval '12 hours'
     from generate_series(1, 30) n`,
    [region, VERSION, claims, ORGANISATIONS],
  );
}

type Twist = (claim: Change, at: number) => Change | undefined;

const twisted = (twist: Twist): JobDefinition =>
  claimEverything('claims', async function* (_, claims) {
    let at = 0;
    for await (const claim of claims) {
      at += 1;
      const change = twist(claim, at);
      if (change) yield change;
    }
  });

async function run(
  job: JobDefinition,
  { lanes = 2, rules = guard }: { lanes?: number; rules?: GuardPolicy } = {},
): Promise<RunReport | undefined> {
  platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
  const policy = testPolicy('claims', [region], {
    guard: rules,
    apply: { lanes, batch: 50, firstBatches: [10, 20] },
  });
  const claim = { job: 'claims', version: VERSION, region, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual' });
  if (!election.elected) throw new Error(election.why);
  const signal = new AbortController().signal;
  return executeRun(platform, await loadTestJob(platform, job), policy, election.run, 'planning', { signal });
}

async function tried(report: RunReport | undefined): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(
    'select coalesce(sum(to_seq - from_seq), 0)::int as n from portcullis_region.batch where run = $1',
    [report?.run.id],
  );
  return rows[0]?.n ?? -1;
}

const conflict = (claim: Change): Change => ({
  ...claim,
  before: { ...claim.before, email: 'as-it-never-was' },
});

describe('a healthy job', () => {
  test('goes through every rule, which say so', async () => {
    await history(ACCOUNTS);
    const report = await run(twisted((claim) => claim));
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: ACCOUNTS } });
    const verdicts = await verdictsOf(owner, report?.run.id ?? '');
    expect(verdicts.map(({ stage, rule, verdict }) => [stage, rule, verdict])).toEqual([
      ['plan', 'asked-for', 'pass'],
      ['plan', 'cap:claim', 'pass'],
      ['plan', 'claims-per-run', 'pass'],
      ['plan', 'nobody-elses', 'pass'],
      ['apply', 'conflicts', 'pass'],
      ['apply', 'refusals', 'pass'],
    ]);
  });
});

describe('a faulty job is stopped before it has changed anything', () => {
  test.each<[string, string, () => Promise<JobDefinition>]>([
    [
      'that claims without a request',
      'asked-for',
      async () => {
        await owner.query('update directory.account set selected_by = null where home_region = $1', [region]);
        return twisted((claim) => claim);
      },
    ],
    [
      'that claims ten times as much',
      'claims-per-run',
      async () => {
        await history(ACCOUNTS / 10);
        return twisted((claim) => claim);
      },
    ],
    [
      'that claims other organisations’ accounts',
      'nobody-elses',
      async () => {
        await owner.query(
          `update directory.account set organisation_id = $1 || '-org-1' where id = $1 || '-acc-0-0'`,
          [region],
        );
        return twisted((claim) => claim);
      },
    ],
    [
      'that claims as much as ever, all for one organisation',
      'cap:claim',
      async () => {
        await history(ACCOUNTS);
        const unit = `${region}-org-0`;
        return twisted((claim) => ({ ...claim, unit, after: { ...claim.after, organisation_id: unit } }));
      },
    ],
  ])('%s, by %s', async (_, rule, plant) => {
    const report = await run(await plant());
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    expect(await tried(report)).toBe(0);
    const trip = await tripOfRun(owner, report?.run.id ?? '');
    expect(trip?.failed.map((each) => each.rule)).toContain(rule);
    expect(report?.reason).toContain(`${rule}: `);
  });

  test('that proposes nothing any more is held by claims-per-run, and nothing trips', async () => {
    await history(ACCOUNTS);
    const report = await run(twisted(() => undefined));
    expect(report).toMatchObject({ status: 'held', code: 'guard-held' });
    expect(report?.reason).toMatch(
      /^claims-per-run: 0 planned; runs plan 2,00\d .*; a run of [\d,]+ or more ends the hold/,
    );
    expect(await tripOfRun(owner, report?.run.id ?? '')).toBeUndefined();
  });

  const breaks = (evidence: string): GuardPolicy => ({
    ...noRules,
    rules: [
      {
        ...{ kind: 'invariant', name: 'odd', timeoutMs: 10_000 },
        sql: `select p.key as account, ${evidence} as organisation from proposed p limit 1`,
      },
    ],
  });
  const tripped = async (report: RunReport | undefined) => {
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    const { rows } = await owner.query<{ state: string; incidents: number; quarantined: boolean }>(
      `select state, (select count(*) from portcullis_control.trip where run = $2) as incidents,
         exists (select from portcullis_region.quarantine where job = 'claims') as quarantined
       from portcullis_region.gate where region = $1`,
      [region, report?.run.id],
    );
    expect(rows).toEqual([{ state: 'killed', incidents: 1, quarantined: true }]);
  };

  test('by an invariant whose evidence is cut where an emoji stands', async () => {
    for (const before of [298, 299, 300]) {
      await owner.query('delete from portcullis_region.quarantine; delete from portcullis_region.gate');
      const rules = breaks(`repeat('x', ${before}) || '🏢 Holding'`);
      const report = await run(
        twisted((claim) => claim),
        { rules },
      );
      await tripped(report);
      const [verdict] = await verdictsOf(owner, report?.run.id ?? '');
      expect(verdict?.evidence).toMatchObject([{ organisation: `${'x'.repeat(Math.min(before, 299))}…` }]);
    }
  });

  test('also where the database refuses what the rule was decided on', async () => {
    await owner.query(`
      alter table portcullis_region.verdict add constraint plain check (evidence = '[]') not valid;
      alter table portcullis_region.trip add constraint plain check (not failed @? '$[*].evidence[*]') not valid`);
    try {
      const report = await run(
        twisted((claim) => claim),
        { rules: breaks(`'Acme'`) },
      );
      await tripped(report);
      expect(report?.reason).toMatch(
        /^odd: 1 change planned by 1\.0\.0_00000000 breaks it.* \(its evidence could not be recorded: /,
      );
    } finally {
      await owner.query(`
        alter table portcullis_region.verdict drop constraint plain;
        alter table portcullis_region.trip drop constraint plain`);
    }
  });

  test('whose invariant cannot be asked is held, and nothing trips', async () => {
    for (const sql of ['select pg_sleep(60)', 'select * from nowhere', 'delete from account returning id']) {
      const rule = { kind: 'invariant', name: 'odd', timeoutMs: 200, sql } as const;
      const report = await run(
        twisted((claim) => claim),
        { rules: { ...noRules, rules: [rule] } },
      );
      expect(report).toMatchObject({ status: 'held', code: 'guard-held' });
      expect(report?.reason).toMatch(/^odd: its query (did not answer within 200 ms|failed: )/);
    }
  });
});

describe('a faulty job is stopped after few changes', () => {
  test.each<[string, string, Twist, number]>([
    [
      'that leaks slowly, 2 % of its changes',
      'conflicts',
      (claim, at) => (at % 50 === 0 ? conflict(claim) : claim),
      1_400,
    ],
    [
      'that meets errors from the middle on',
      'conflicts',
      (claim, at) => (at > ACCOUNTS / 2 ? conflict(claim) : claim),
      ACCOUNTS / 2 + 200,
    ],
    ['that meets errors only', 'conflicts', (claim) => conflict(claim), 10],
  ])('%s, by %s', async (_, rule, twist, most) => {
    const report = await run(twisted(twist), { lanes: 1 });
    expect(report).toMatchObject({ status: 'killed', code: 'guard-tripped' });
    const trip = await tripOfRun(owner, report?.run.id ?? '');
    expect(trip?.failed.map((each) => each.rule)).toEqual([rule]);
    expect(await tried(report)).toBeLessThanOrEqual(most);
    const { rows } = await owner.query('select state from portcullis_region.gate where region = $1', [
      region,
    ]);
    expect(rows).toEqual([{ state: 'killed' }]);
  });

  test('whose changes a trigger refuses, whatever it raises, by refusals', async () => {
    await owner.query(`
      create function directory.objection() returns trigger language plpgsql as $$
      begin raise exception 'closed for the night'; end $$;
      create trigger objects before update on directory.account for each row
      when (new.home_region = '${region}') execute function directory.objection()`);
    try {
      const report = await run(
        twisted((claim) => claim),
        { lanes: 1 },
      );
      expect(report).toMatchObject({ status: 'killed', code: 'guard-tripped', applied: {} });
      const trip = await tripOfRun(owner, report?.run.id ?? '');
      expect(trip?.failed.map(({ rule }) => rule)).toEqual(['refusals']);
      expect(await tried(report)).toBeLessThanOrEqual(10);
    } finally {
      await owner.query('drop trigger objects on directory.account; drop function directory.objection');
    }
  });

  test('in several lanes no batch commits behind the one that failed', async () => {
    const report = await run(
      twisted((claim, at) => (at > ACCOUNTS / 2 ? conflict(claim) : claim)),
      { lanes: 4 },
    );
    expect(report).toMatchObject({ status: 'killed', code: 'guard-tripped' });
    const { rows } = await owner.query<{ batches: number }>(
      `select (state -> 'rate' ->> 'batches')::int as batches from portcullis_region.rate where run = $1`,
      [report?.run.id],
    );
    const { rows: committed } = await owner.query<{ n: number }>(
      'select count(*)::int as n from portcullis_region.batch where run = $1',
      [report?.run.id],
    );
    expect(rows.map(({ batches }) => batches)).toEqual([committed[0]?.n, committed[0]?.n]);
  });
});

describe('a run that changes hands', () => {
  test('is judged as if it had not', async () => {
    const leaking = twisted((claim, at) => (at % 150 === 0 ? conflict(claim) : claim));
    const states = async (run: string | undefined) =>
      (
        await owner.query(
          'select rule, state::text as state from portcullis_region.rate where run = $1 order by rule',
          [run],
        )
      ).rows as unknown[];
    const whole = await run(leaking, { lanes: 1 });
    const expected = await states(whole?.run.id);
    await owner.query(
      `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null where home_region = $1`,
      [region],
    );
    // So that the second run learns nothing from the first.
    await owner.query(`update portcullis_region.run set status = 'stopped' where region = $1`, [region]);

    let met = 0;
    onFaultPoint(async (point) => {
      met += point === 'apply.written' ? 1 : 0;
      if (point !== 'apply.written' || met < 10) return;
      // As a database sees a process that dies: its connections are gone whenever it tries, what it had committed stays.
      await owner.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name like 'portcullis run %' and datname = current_database()`,
      );
    });
    const cut = await run(leaking, { lanes: 1 });
    onFaultPoint(undefined);
    expect(cut).toBeUndefined();
    const taken = await takeOver(platform.region, {
      jobs: ['claims'],
      regions: [region],
      versions: [VERSION],
      worker: 'other',
      leaseMs: 60_000,
    });
    if (!taken) throw new Error('there was nothing to take over');
    const policy = testPolicy('claims', [region], {
      guard,
      apply: { lanes: 1, batch: 50, firstBatches: [10, 20] },
    });
    const job = await loadTestJob(platform, leaking);
    const signal = new AbortController().signal;
    const ended = await executeRun(platform, job, policy, taken.run, taken.status, { signal });
    expect(ended?.status).toBe(whole?.status);
    expect(await states(taken.run.id)).toEqual(expected);
  });
});

describe('a dry run of a faulty job', () => {
  test('says what would trip, and trips nothing', async () => {
    platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
    const policy = testPolicy('claims', [region], {
      guard: { ...noRules, caps: [{ kind: 'claim', perRun: 5 }] },
    });
    const claim = { job: 'claims', version: VERSION, region, worker: 'test', leaseMs: 60_000 } as const;
    const election = await elect(platform.region, { ...claim, trigger: 'manual', dryRun: true });
    if (!election.elected) throw new Error(election.why);
    const job = await loadTestJob(
      platform,
      twisted((each) => each),
    );
    const signal = new AbortController().signal;
    const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
    expect(report).toMatchObject({ status: 'refused', code: 'guard-failed' });
    expect(await tripOfRun(owner, election.run.id)).toBeUndefined();
  });
});
