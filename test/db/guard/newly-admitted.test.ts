import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { GuardPolicy } from '../../../src/flags/guard-policy.js';
import { acceptedRuns } from '../../../src/guard/accepted-runs.js';
import { backtestCount } from '../../../src/guard/backtest.js';
import { verdictsOf } from '../../../src/guard/verdict-rows.js';
import type { Change, PlanContext } from '../../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { elect } from '../../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../../support/platform.js';

/** A first rollout in a region where organisations have waited for the job with work for it. */

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

const ORGANISATIONS = 400;
const count = { kind: 'count', change: 'claim', alpha: 1e-3, floor: 5 } as const;
const guard: GuardPolicy = {
  ...noRules,
  rules: [
    { ...count, name: 'claims', of: 'changes' },
    { ...count, name: 'organisations', of: 'units' },
  ],
};

/** How many organisations of those that it may act for the faulty version claims everybody for. */
let faultyFor = 0;

/** The accounts that organisations have asked for. */
let asked = new Set<string>();

/** Claims who was asked for, and where it is faulty also who was not. */
async function* plan({ units }: PlanContext, claims: AsyncIterable<Change>): AsyncGenerator<Change> {
  const hit = new Set([...units].sort().slice(0, faultyFor));
  for await (const change of claims) if (asked.has(String(change.key)) || hit.has(change.unit)) yield change;
}

const stable = await loadTestJob(platform, claimEverything('claims', plan), '11111111');
const candidate = await loadTestJob(platform, claimEverything('claims', plan), '22222222');

let region = '';
let regions = 0;
let slots = 0;
beforeEach(async () => {
  await owner.query('delete from portcullis_region.quarantine');
  regions += 1;
  region = `region-${regions}`;
  [slots, faultyFor] = [0, 0];
  await seedAccounts(owner, region, ORGANISATIONS, 10);
  // Two of three organisations have had two of their accounts waiting.
  asked = new Set(
    Array.from({ length: ORGANISATIONS }, (_, org) => org).flatMap((org) =>
      org % 3 === 0 ? [] : [0, 1].map((account) => `${region}-acc-${org}-${account}`),
    ),
  );
});

interface Leave {
  readonly dryRun?: boolean;
  readonly version?: typeof stable;
}

/** A run, and a day in which eight organisations ask for an account each. */
async function slot({ dryRun = false, version = stable }: Leave = {}): Promise<RunReport> {
  slots += 1;
  for (let each = 0; each < 8; each += 1) {
    asked.add(`${region}-acc-${(slots * 53 + each * 149) % ORGANISATIONS}-${2 + (slots % 8)}`);
  }
  await owner.query(
    `update portcullis_region.run r set created_at = clock_timestamp() - past.slots * interval '1 day', slot = clock_timestamp() - past.slots * interval '1 day'
     from (select id, row_number() over (order by created_at desc) as slots
           from portcullis_region.run where region = $1 and not dry_run) past
     where past.id = r.id`,
    [region],
  );
  const policy = testPolicy('claims', [region], { guard });
  const claim = { job: 'claims', version: version.version, region, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual', dryRun });
  if (!election.elected) throw new Error(election.why);
  const { signal } = new AbortController();
  const report = await executeRun(platform, version, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('another worker has it');
  return report;
}

async function runs(times: number, permille: number): Promise<RunReport[]> {
  platform.flags.open('claims', region, { version: stable.version, permille });
  const reports: RunReport[] = [];
  for (let run = 0; run < times; run += 1) reports.push(await slot());
  return reports;
}

const reasonOf = async (report: RunReport, rule: string): Promise<string | undefined> =>
  (await verdictsOf(owner, report.run.id)).find((each) => each.rule === rule)?.reason;

const baseline = () => acceptedRuns(owner, { job: 'claims', region, change: 'claim', of: 'units' }, 100);

describe('organisations that nobody has served before', () => {
  test('come in step by step with all that waited for them, and no count trips', async () => {
    for (const permille of [20, 100, 500, 1000]) {
      const reports = await runs(7, permille);
      expect(reports.map(({ status, reason }) => [status, reason])).toEqual(
        reports.map(() => ['succeeded', expect.anything()]),
      );
    }
    const history = await baseline();
    expect(history).toHaveLength(28);
    // What was planned for newly admitted organisations is no part of the baseline, and the first runs were for nobody else.
    expect(history.slice(0, 3).map(({ count: found, units }) => [found, units])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    for (const { count: found } of history) expect(found).toBeLessThanOrEqual(8);
    expect(history.at(-1)).toMatchObject({
      units: ORGANISATIONS,
      covered: [[0, 1000]],
      newcomers: undefined,
    });
    expect(history[21]).toMatchObject({ newcomers: [[500, 1000]] });
    const again = backtestCount(history, { rule: 'organisations', of: 'units', alpha: 1e-3, floor: 5 });
    expect(again).toMatchObject({ trips: 0, holds: 0 });
    expect(again.runs[0]?.reason).toMatch(
      /^organisations: no unit of the run has a history; \d+ newly admitted units \(planned for \d+ units\) excluded/,
    );
  });

  test('would have tripped them, were everybody taken for known', async () => {
    await runs(13, 500);
    await owner.query('update portcullis_region.run set covered = null, newcomers = null where region = $1', [
      region,
    ]);
    const [report] = await runs(1, 1000);
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    expect(report?.reason).toMatch(/organisations: planned for 1\d\d units; runs plan for .*limit 0\.001/);
  });

  test('are told of in words and figures beside what counts judge', async () => {
    await runs(7, 500);
    const [report] = await runs(1, 1000);
    if (!report) throw new Error('there is no run');
    const { rows } = await owner.query<{ admitted: number; planned: number; of: number }>(
      `select (newcomers ->> 'admitted')::int as admitted, (newcomers #>> '{changes,claim}')::int as planned,
         (newcomers #>> '{units,claim}')::int as of from portcullis_region.run where id = $1`,
      [report.run.id],
    );
    const [newcomers] = rows;
    expect(newcomers?.admitted).toBeGreaterThan(150);
    expect(await reasonOf(report, 'claims')).toMatch(
      new RegExp(
        `; ${newcomers?.admitted} newly admitted units \\(${newcomers?.planned} planned\\) excluded from count rules$`,
      ),
    );
    expect(await reasonOf(report, 'organisations')).toMatch(
      new RegExp(
        `; ${newcomers?.admitted} newly admitted units \\(planned for ${newcomers?.of} units\\) excluded from count rules$`,
      ),
    );
    const [verdict] = await verdictsOf(owner, report.run.id);
    expect(verdict?.figures).toMatchObject({ newcomers: newcomers?.admitted });
  });

  test('hide no fault in those that history knows', async () => {
    await runs(12, 500);
    platform.flags.open('claims', region, { version: stable.version, permille: 1000 });
    faultyFor = 120;
    const report = await slot();
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    expect(report.reason).toMatch(
      /organisations: planned for \d\d units; runs plan for .* newly admitted units/,
    );
  });

  test('are none where a candidate acts for those that the stable version served', async () => {
    await runs(12, 1000);
    platform.flags.open(
      'claims',
      region,
      { version: candidate.version, permille: 50 },
      { version: stable.version, permille: 950 },
    );
    faultyFor = 8;
    const report = await slot({ version: candidate });
    expect(report).toMatchObject({ status: 'refused', code: 'guard-tripped', applied: {} });
    expect(report.reason).not.toMatch('newly admitted');
    const { rows } = await owner.query('select covered, newcomers from portcullis_region.run where id = $1', [
      report.run.id,
    ]);
    expect(rows).toEqual([{ covered: [[0, 50]], newcomers: null }]);
  });

  test('are told of by a dry run for everybody, which nothing is written for', async () => {
    await runs(7, 500);
    platform.flags.close('claims', region);
    const report = await slot({ dryRun: true });
    expect(report).toMatchObject({ status: 'planned', code: 'dry-run' });
    expect(await reasonOf(report, 'organisations')).toMatch(
      /; \d+ newly admitted units \(planned for \d+ units\) excluded/,
    );
    expect(await baseline()).toHaveLength(7);
  });

  test('stay newcomers for three runs, and while the runs for them come to nothing', async () => {
    await runs(7, 500);
    for (const told of [true, true, true, true, true, false]) {
      const [report] = await runs(1, 1000);
      if (!report) throw new Error('there is no run');
      expect((await reasonOf(report, 'claims'))?.includes('newly admitted')).toBe(told);
      // The first two are taken back.
      if (slots > 9) continue;
      await owner.query(`update portcullis_region.run set status = 'stopped' where id = $1`, [report.run.id]);
    }
  });
});
