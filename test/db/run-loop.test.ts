import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Policy } from '../../src/flags/policy.js';
import type { Change, JobDefinition } from '../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
const VERSION = '1.0.0_00000000';
afterAll(() => platform.planner.close());

/** Each test works in a region of its own. */
let region = '';
let regions = 0;
beforeEach(async () => {
  // What a rule has tripped is quarantined in every region of the database.
  await database.owner.query('delete from portcullis_region.quarantine');
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(database.owner, region, 10, 20);
});

interface Setting {
  readonly policy?: Partial<Policy>;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly onBatch?: (batch: number) => Promise<void> | void;
}

async function run(definition: JobDefinition, setting: Setting = {}): Promise<RunReport | undefined> {
  const job = await loadTestJob(platform, definition);
  const policy = testPolicy(definition.name, [region], setting.policy);
  const election = await elect(platform.region, {
    job: definition.name,
    version: job.version,
    region,
    trigger: 'manual',
    dryRun: setting.dryRun ?? false,
    worker: platform.worker,
    leaseMs: policy.leaseMs,
  });
  if (!election.elected) throw new Error(election.why);
  return executeRun(platform, job, policy, election.run, 'planning', {
    signal: setting.signal ?? new AbortController().signal,
  });
}

async function managed(): Promise<number> {
  const { rows } = await database.owner.query<{ n: number }>(
    `select count(*) as n from directory.account where home_region = $1 and state = 'MANAGED'`,
    [region],
  );
  return rows[0]?.n ?? -1;
}

const all = { version: VERSION, permille: 1000 };

describe('a run behind an open flag', () => {
  test('applies every change once and says so', async () => {
    platform.flags.open('claims', region, all);
    const report = await run(claimEverything('claims'));
    expect(report).toMatchObject({
      status: 'succeeded',
      code: 'applied',
      planned: { claim: 200 },
      applied: { claim: 200 },
      conflicts: 0,
    });
    expect(await managed()).toBe(200);
    const { rows } = await database.owner.query(
      `select count(*) as changes, count(distinct key) as keys, min(before->>'state') as before, min(after->>'state') as after
       from portcullis_region.change where run = $1`,
      [report?.run.id],
    );
    expect(rows).toEqual([{ changes: 200, keys: 200, before: 'UNMANAGED', after: 'MANAGED' }]);
  });

  test('run again, finds nothing to do', async () => {
    platform.flags.open('claims', region, all);
    await run(claimEverything('claims'));
    expect(await run(claimEverything('claims'))).toMatchObject({
      status: 'succeeded',
      code: 'nothing-to-do',
    });
  });

  test('touches only the units that the flag gives to this version', async () => {
    platform.flags.open(
      'claims',
      region,
      { version: VERSION, permille: 300 },
      { version: '2.0.0_ffffffff', permille: 700 },
    );
    const report = await run(claimEverything('claims'));
    const { rows } = await database.owner.query<{ organisation_id: string }>(
      `select distinct organisation_id from directory.account where home_region = $1 and state = 'MANAGED'`,
      [region],
    );
    const answer = platform.flags.look(`claims.${region}`);
    if (!answer.open) throw new Error('the flag is open');
    const organisations = Array.from({ length: 10 }, (_, n) => `${region}-org-${n}`);
    const admitted = platform.flags.admit(answer.definition, VERSION, organisations);
    expect(new Set(rows.map((row) => row.organisation_id))).toEqual(admitted);
    expect(report?.applied).toEqual(admitted.size === 0 ? {} : { claim: admitted.size * 20 });
  });

  test('leaves a row alone that someone has changed since the plan, and records what it found', async () => {
    platform.flags.open('claims', region, all);
    const contested = `${region}-acc-3-7`;
    const report = await run(
      claimEverything('claims', async function* (_, claims) {
        yield* claims;
        await database.owner.query(
          `update directory.account set email = 'new@elsewhere.example' where id = $1`,
          [contested],
        );
      }),
    );
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 199 }, conflicts: 1 });
    const { rows } = await database.owner.query(
      `select key, found from portcullis_region.conflict join portcullis_region.change using (run, lane, seq) where run = $1`,
      [report?.run.id],
    );
    expect(rows).toEqual([
      {
        key: contested,
        found: {
          email: 'new@elsewhere.example',
          state: 'UNMANAGED',
          claimed_at: null,
          organisation_id: null,
        },
      },
    ]);
    expect(await managed()).toBe(199);
  });

  test('records the one change that a constraint refuses, and applies the others', async () => {
    platform.flags.open('claims', region, all);
    const report = await run(
      claimEverything('claims', async function* (_, claims) {
        for await (const claim of claims) {
          const wrong = claim.key === `${region}-acc-5-5`;
          yield wrong ? { ...claim, after: { ...claim.after, organisation_id: 'nobody' } } : claim;
        }
      }),
    );
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 199 }, conflicts: 1 });
    const { rows } = await database.owner.query<{ refusal: string }>(
      'select refusal from portcullis_region.conflict where run = $1',
      [report?.run.id],
    );
    expect(rows[0]?.refusal).toMatch(/foreign key/);
  });
});

describe('a run whose flag is closed', () => {
  test.each([
    'flag-off',
    'flag-held',
    'flag-unknown',
    'flag-stale',
    'flag-unreachable',
    'flag-unauthorised',
    'flag-malformed',
  ] as const)('is held by %s, with the reason, and plans nothing', async (code) => {
    platform.flags.close('claims', region, code);
    let asked = false;
    const report = await run(
      claimEverything('claims', async function* (_, claims) {
        asked = true;
        yield* claims;
      }),
    );
    expect(report).toMatchObject({ status: 'held', code, planned: {}, applied: {} });
    expect(report?.reason).not.toBe('');
    expect(asked).toBe(false);
    expect(await managed()).toBe(0);
  });

  test('is held when the flag gives everything to another version', async () => {
    platform.flags.open('claims', region, { version: '2.0.0_ffffffff', permille: 1000 });
    expect(await run(claimEverything('claims'))).toMatchObject({
      status: 'held',
      code: 'version-not-admitted',
      reason: `${VERSION} is not admitted in ${region}`,
    });
  });

  test('may still be tried dry: it plans for every unit and writes nothing', async () => {
    platform.flags.close('claims', region);
    expect(await run(claimEverything('claims'), { dryRun: true })).toMatchObject({
      status: 'planned',
      planned: { claim: 200 },
      applied: {},
    });
    expect(await managed()).toBe(0);
  });
});

describe('a plan is judged before the first write', () => {
  const cases = [
    ['perRun', { kind: 'claim', perRun: 199 }, 'cap:claim: 200 claim planned, at most 199 in a run'],
    [
      'perUnit',
      { kind: 'claim', perUnit: 19 },
      /^cap:claim: 20 claim planned for region-\d+-org-\d, at most 19 for one unit$/,
    ],
    [
      'shareOfRegion',
      { kind: 'claim', shareOfRegionPermille: 999 },
      'cap:claim: 200 claim planned of 200 rows in the region, at most 99.9 %',
    ],
  ] as const;
  test.each(cases)(
    'over its cap %s it is refused with the figures, and nothing is applied',
    async (_, cap, reason) => {
      platform.flags.open('claims', region, all);
      const report = await run(claimEverything('claims'), { policy: { guard: { ...noRules, caps: [cap] } } });
      expect(report).toMatchObject({
        status: 'refused',
        code: 'guard-tripped',
        planned: { claim: 200 },
        applied: {},
      });
      const { rows } = await database.owner.query<{ state: string }>(
        `select state from portcullis_region.gate where job = 'claims' and region = $1`,
        [region],
      );
      expect(rows).toEqual([{ state: 'killed' }]);
      expect(report?.reason).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
      expect(await managed()).toBe(0);
    },
  );

  test('at its caps exactly it goes through', async () => {
    platform.flags.open('claims', region, all);
    const caps = [{ kind: 'claim', perRun: 200, perUnit: 20, shareOfRegionPermille: 1000 }];
    expect(await run(claimEverything('claims'), { policy: { guard: { ...noRules, caps } } })).toMatchObject({
      status: 'succeeded',
    });
  });
});

describe('a job that proposes what it must not is refused and writes nothing', () => {
  const twisted = (twist: (claim: Change) => Change): JobDefinition =>
    claimEverything('claims', async function* (_, claims) {
      for await (const claim of claims) yield twist(claim);
    });
  test.each<[string, (claim: Change) => Change, RegExp]>([
    ['a kind it did not declare', (claim) => ({ ...claim, kind: 'steal' }), /kind steal is not declared/],
    [
      'a resource that is not the kind’s',
      (claim) => ({ ...claim, resource: 'domain' }),
      /changes account, not domain/,
    ],
    [
      'a unit that is not admitted',
      (claim) => ({ ...claim, unit: 'someone-else' }),
      /unit someone-else is not admitted/,
    ],
    [
      'a column it did not declare',
      (claim) => ({ ...claim, after: { ...claim.after, email: 'x' } }),
      /column email, which is not declared/,
    ],
    [
      'an image that lacks a column',
      (claim) => ({ ...claim, before: { state: 'UNMANAGED' } }),
      /lacks column organisation_id/,
    ],
    [
      'a change that changes nothing',
      (claim) => ({
        ...claim,
        after: claim.before && { state: 'UNMANAGED', organisation_id: null, claimed_at: null },
      }),
      /changes nothing/,
    ],
    ['a delete that could not be restored', (claim) => ({ ...claim, after: null }), /could not be restored/],
    [
      'a value with a NUL in it',
      (claim) => ({ ...claim, after: { ...claim.after, organisation_id: 'a\0b' } }),
      /after\.organisation_id must not hold the character U\+0000/,
    ],
    [
      'a value with half a character',
      (claim) => ({ ...claim, after: { ...claim.after, organisation_id: 'a\ud83d' } }),
      /after\.organisation_id must not hold half a character/,
    ],
    [
      'a key with a NUL',
      (claim) => ({ ...claim, key: 'a\0b' }),
      /the key must not hold the character U\+0000/,
    ],
    [
      'a fraction as a number',
      (claim) => ({ ...claim, after: { ...claim.after, organisation_id: 0.1 } }),
      /not a whole number/,
    ],
    ['two changes of one row', (claim) => ({ ...claim, key: 'the-same' }), /two changes of one row/],
  ])('%s', async (_, twist, reason) => {
    platform.flags.open('claims', region, all);
    const report = await run(twisted(twist));
    expect(report).toMatchObject({ status: 'refused', code: 'PLAN_INVALID', applied: {} });
    expect(report?.reason).toMatch(reason);
    expect(await managed()).toBe(0);
  });

  test.each([
    ['and lets the error through', false],
    ['and swallows the error', true],
  ])('a write through the planner’s connection, %s', async (_, swallow) => {
    platform.flags.open('claims', region, all);
    const report = await run(
      claimEverything('claims', async function* ({ rows: read }, claims) {
        try {
          const rows = read(`update directory.account set state = 'MANAGED' returning id`);
          await rows[Symbol.asyncIterator]().next();
        } catch (error) {
          if (!swallow) throw error;
        }
        yield* claims;
      }),
    );
    expect(report).toMatchObject({ status: 'refused', code: 'PLAN_WROTE', applied: {} });
    expect(await managed()).toBe(0);
  });

  test('evidence and messages of a job are kept, but for what PostgreSQL cannot hold', async () => {
    platform.flags.open('claims', region, all);
    const evidence = { why: 'a\0', 'half\ud83d': '\ud83d', whole: '🚨' };
    const odd = twisted((claim) => ({ ...claim, evidence }));
    expect(await run(odd)).toMatchObject({ status: 'succeeded' });
    const { rows } = await database.owner.query(
      `select distinct c.evidence from portcullis_region.change c join portcullis_region.run r on r.id = c.run
       where r.region = $1`,
      [region],
    );
    expect(rows).toEqual([{ evidence: { why: 'a\ufffd', 'half\ufffd': '\ufffd', whole: '🚨' } }]);
    const failing = claimEverything('claims', async function* (_, claims) {
      yield* claims;
      throw new Error('upside\0down');
    });
    expect(await run(failing)).toMatchObject({ status: 'failed', reason: 'upside\ufffddown' });
  });

  test('an error of the job’s own ends its run as failed, with the message', async () => {
    platform.flags.open('claims', region, all);
    const report = await run(
      claimEverything('claims', async function* (_, claims) {
        yield* claims;
        throw new Error('the directory is upside down');
      }),
    );
    expect(report).toMatchObject({ status: 'failed', reason: 'the directory is upside down', applied: {} });
    expect(await managed()).toBe(0);
  });
});
