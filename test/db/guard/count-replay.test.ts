import { afterAll, expect, test } from '@jest/globals';
import { acceptedHistory, countedRuns } from '../../../src/guard/accepted-runs.js';
import { judgeCount } from '../../../src/guard/count.js';
import type { CountState } from '../../../src/guard/count-state.js';
import type { GuardPolicy, Rule } from '../../../src/flags/guard-policy.js';
import { executeRun } from '../../../src/worker/run-loop.js';
import { elect } from '../../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../../support/platform.js';

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

const VERSION = '1.0.0_00000000';
const REGION = 'eu-west-1';
const SUBJECT = { job: 'claims', region: REGION } as const;
const ORGANISATIONS = 10;
const RULE = { rule: 'claims-per-run', of: 'changes', alpha: 0.00025, floor: 10 } as const;
const rules: readonly Rule[] = [
  { kind: 'count', name: RULE.rule, change: 'claim', of: RULE.of, alpha: RULE.alpha, floor: RULE.floor },
];
const guard: GuardPolicy = { ...noRules, rules };

/** A run of this many claims. */
async function run(claims: number): Promise<string> {
  await owner.query(
    `update directory.account set organisation_id = null, claimed_at = null,
       state = case when substring(id from '\\d+$')::int < $1 then 'UNMANAGED' else 'RELEASED' end`,
    [claims / ORGANISATIONS],
  );
  platform.flags.open('claims', REGION, { version: VERSION, permille: 1000 });
  const policy = testPolicy('claims', [REGION], { guard });
  const claim = { job: 'claims', version: VERSION, region: REGION, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual' });
  if (!election.elected) throw new Error(election.why);
  const job = await loadTestJob(platform, claimEverything('claims'));
  await executeRun(platform, job, policy, election.run, 'planning', { signal: new AbortController().signal });
  return election.run.id;
}

interface Kept {
  readonly verdict: string;
  readonly reason: string;
  readonly state: CountState;
}

/** What was kept of a run's count, and what is decided of it from all that stands in the database now. */
async function keptAndReplayed(id: string): Promise<{ kept: Kept; replayed: Kept }> {
  const { rows } = await owner.query<Kept & { at: Date; due: Date; count: number }>(
    `select v.verdict, v.reason, v.state, r.created_at as at, r.slot as due, (r.planned ->> 'claim')::int as count
     from portcullis_region.verdict v join portcullis_region.run r on r.id = v.run
     where v.run = $1 and v.rule = $2 and v.stage = 'plan'`,
    [id, RULE.rule],
  );
  const [row] = rows;
  if (!row) throw new Error(`run ${id} has no verdict`);
  const { at, due, count, ...kept } = row;
  const history = await acceptedHistory(owner, SUBJECT);
  const runs = countedRuns(history, { change: 'claim', of: RULE.of, rule: RULE.rule });
  const now = { at, due, count, units: ORGANISATIONS };
  const { verdict, reason, state } = judgeCount(runs, now, RULE);
  return { kept, replayed: { verdict, reason, state } };
}

test('what was decided of each run is decided again, to the bit, from what the database keeps', async () => {
  await seedAccounts(owner, REGION, ORGANISATIONS, 60);
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, admitted_units,
        planned, created_at, planned_at)
     select gen_random_uuid(), 'claims', $2, $1, now() - n * interval '12 hours', 'schedule', 'succeeded', 'applied',
       'before', 'w', now(), $3, jsonb_build_object('claim', 48 + n % 5), now() - n * interval '12 hours',
       now() - n * interval '12 hours'
     from generate_series(1, 40) n`,
    [REGION, VERSION, ORGANISATIONS],
  );
  const ids: string[] = [];
  for (const claims of [50, 60, 70, 400]) ids.push(await run(claims));
  const decided = await Promise.all(ids.map(keptAndReplayed));
  expect(decided.map(({ kept }) => kept.verdict)).toEqual(['pass', 'pass', 'pass', 'fail']);
  expect(decided.map(({ replayed }) => replayed)).toStrictEqual(decided.map(({ kept }) => kept));
  expect(new Set(decided.map(({ kept }) => JSON.stringify(kept.state.drift))).size).toBe(ids.length);
});
