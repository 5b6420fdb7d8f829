import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { onFaultPoint } from '../../../src/kernel/fault-point.js';
import type { GuardPolicy } from '../../../src/flags/guard-policy.js';
import { killGate } from '../../../src/containment/kill-gate.js';
import { reconcileGate } from '../../../src/gate/permit.js';
import { tripOfRun } from '../../../src/containment/trip-row.js';
import type { JobDefinition } from '../../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { elect, type Run } from '../../../src/runs/election.js';
import { attemptName, takeOver, type TakenOver } from '../../../src/runs/lease.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { atPoint } from '../../support/at-point.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, noRules, testPlatform, testPolicy } from '../../support/platform.js';
import { until } from '../../support/until.js';

const database = await testDatabase();
const { owner } = database;
const platform = testPlatform(database);
afterAll(() => platform.planner.close());
afterEach(() => onFaultPoint(undefined));

const VERSION = '1.0.0_00000000';
const ACCOUNTS = 400;

/** Each test works in a region of its own: ten organisations with forty accounts each. */
let region = '';
let regions = 0;
beforeEach(async () => {
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(owner, region, 10, ACCOUNTS / 10);
});

/** Holds of a plan if, and only if, the directory is the one that was planned from. */
const guard: GuardPolicy = {
  ...noRules,
  rules: [
    {
      kind: 'invariant',
      name: 'as-planned-from',
      timeoutMs: 60_000,
      sql: `select p.key from proposed p left join account a on a.id = p.key
            where (a.email, a.state) is distinct from (p.before ->> 'email', p.before ->> 'state')`,
    },
  ],
};

const policy = () =>
  testPolicy('claims', [region], { guard, apply: { lanes: 2, batch: 50, firstBatches: [] } });

const NEVER = new AbortController().signal;

async function run(definition: JobDefinition = claimEverything('claims'), signal = NEVER) {
  platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
  const claim = { job: 'claims', version: VERSION, region, worker: 'test', leaseMs: 60_000 } as const;
  const election = await elect(platform.region, { ...claim, trigger: 'manual' });
  if (!election.elected) throw new Error(election.why);
  const job = await loadTestJob(platform, definition);
  return executeRun(platform, job, policy(), election.run, 'planning', { signal });
}

const count = async (condition: string): Promise<number> => {
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from directory.account where home_region = $1 and ${condition}`,
    [region],
  );
  return rows[0]?.n ?? -1;
};

describe('a plan and its judgement see one moment of the directory', () => {
  test('every query of the job does, whatever changes meanwhile', async () => {
    const seen: unknown[] = [];
    const report = await run(
      claimEverything('claims', async function* ({ rows: read, region: here }, claims) {
        const look = async (): Promise<void> => {
          const sql = `select count(*) as n from directory.account where home_region = $1 and email like 'a%'`;
          for await (const row of read(sql, [here])) seen.push(row['n']);
        };
        await look();
        await owner.query(`update directory.account set email = 'new-' || email where home_region = $1`, [
          here,
        ]);
        await Promise.all([look(), look()]);
        yield* claims;
      }),
    );
    expect(seen).toEqual([`${ACCOUNTS}`, `${ACCOUNTS}`, `${ACCOUNTS}`]);
    // Each was planned from the address that it had; by the time of the write it has another.
    expect(report).toMatchObject({ status: 'succeeded', planned: { claim: ACCOUNTS }, conflicts: ACCOUNTS });
    expect(await count(`state = 'MANAGED'`)).toBe(0);
  });

  test('the job’s clock is that moment’s and goes on', async () => {
    const { rows } = await owner.query<{ now: Date }>('select clock_timestamp() as now');
    let clock = new Date(0);
    await run(
      claimEverything('claims', async function* (context) {
        await Promise.resolve();
        clock = context.clock.now();
      }),
    );
    const before = rows[0]?.now.getTime() ?? NaN;
    expect(clock.getTime()).toBeGreaterThanOrEqual(before);
    expect(clock.getTime()).toBeLessThan(before + 60_000);
  });

  test('what changes between planning and judging is a conflict at the write, and no trip', async () => {
    atPoint('plan.copied', 1, () =>
      owner.query(
        `update directory.account set email = 'moved-' || email where home_region = $1 and id like '%-7'`,
        [region],
      ),
    );
    const report = await run();
    expect(report).toMatchObject({ status: 'succeeded', conflicts: 10, applied: { claim: ACCOUNTS - 10 } });
    expect(await count(`state = 'MANAGED'`)).toBe(ACCOUNTS - 10);
    expect(await count(`email like 'moved-%' and state = 'UNMANAGED'`)).toBe(10);
  });

  test('a steady stream of edits trips no healthy version', async () => {
    const over = new AbortController();
    let edits = 0;
    const editing = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        await owner.query(
          `update directory.account set email = 'e' || $2 || '@new.example'
           where id in (select id from directory.account where home_region = $1 order by random() limit 1)`,
          [region, edits],
        );
        edits += 1;
      }
    })();
    try {
      for (let n = 0; n < 5; n += 1) {
        const before = edits;
        const report = await run();
        expect(edits).toBeGreaterThan(before);
        expect(report).toMatchObject({ status: 'succeeded' });
        expect(await tripOfRun(owner, report?.run.id ?? '')).toBeUndefined();
        await owner.query(
          `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null where home_region = $1`,
          [region],
        );
      }
    } finally {
      over.abort();
      await editing;
    }
  });

  test('its lease can be renewed, and other runs of the region end, while it lasts', async () => {
    atPoint('plan.judged', 1, async () => {
      await owner.query(
        `update portcullis_region.run set lease_until = lease_until + interval '1 second' where region = $1`,
        [region],
      );
    });
    expect(await run()).toMatchObject({ status: 'succeeded' });
  });
});

describe('a run whose plan is judged, and not begun', () => {
  interface Left {
    readonly id: string;
    readonly status: string;
    readonly planned: boolean;
    readonly judged: number;
    readonly verdicts: string;
    readonly lanes: number;
  }

  /** Runs until the plan is there, and leaves it then as an orderly shutdown does. */
  async function leave(): Promise<Left> {
    const shutdown = new AbortController();
    atPoint('plan.committed', 1, () => {
      shutdown.abort();
      return Promise.resolve();
    });
    expect(await run(undefined, shutdown.signal)).toBeUndefined();
    onFaultPoint(undefined);
    return left();
  }

  async function left(): Promise<Left> {
    const { rows } = await owner.query<Left>(
      `select id, status, planned_at is not null as planned, (select count(*) from portcullis_region.change c where c.run = r.id) as judged,
         (select string_agg(v::text, ',' order by rule) from portcullis_region.verdict v where v.run = r.id) as verdicts,
         (select count(*) from portcullis_region.lane l where l.run = r.id) as lanes
       from portcullis_region.run r where region = $1`,
      [region],
    );
    const [row] = rows;
    if (!row || rows.length > 1) throw new Error(`${rows.length} runs in ${region}, not one`);
    return row;
  }

  async function taken(): Promise<TakenOver> {
    // A worker that has another version of the job: what is judged needs no job's code.
    const scope = { jobs: ['claims'], regions: [region], versions: ['2.0.0_00000000'] };
    const over = await takeOver(platform.region, { ...scope, worker: 'other', leaseMs: 60_000 });
    if (!over) throw new Error('there was nothing to take over');
    return over;
  }

  async function goOn({ run: found, status }: TakenOver): Promise<RunReport | undefined> {
    const other = claimEverything('claims', () => {
      throw new Error('it was planned again');
    });
    const job = await loadTestJob(platform, other);
    return executeRun(platform, job, policy(), found, status, { signal: NEVER });
  }

  test('is gone on with by another, and neither planned nor judged again', async () => {
    const before = await leave();
    expect(before).toMatchObject({ status: 'planning', planned: false, judged: ACCOUNTS, lanes: 0 });
    await owner.query(
      `update directory.account set email = 'x' || email where home_region = $1 and id like '%-7'`,
      [region],
    );
    const report = await goOn(await taken());
    expect(report).toMatchObject({
      status: 'succeeded',
      planned: { claim: ACCOUNTS },
      applied: { claim: ACCOUNTS - 10 },
      conflicts: 10,
    });
    expect(await left()).toMatchObject({ ...before, status: 'succeeded', planned: true, lanes: 2 });
    expect(await tripOfRun(owner, before.id)).toBeUndefined();
  });

  test.each([
    [
      'its gate was killed',
      () => killGate(owner, { job: 'claims', region, reason: 'wrong claims', by: 'ann' }),
      { status: 'killed', code: 'gate-killed', reason: 'killed: wrong claims' },
    ],
    [
      'its flag was switched off and on again',
      async () => {
        const reconcile = () =>
          reconcileGate(
            platform.region,
            'claims',
            region,
            () => platform.flags.look(`claims.${region}`),
            30_000,
          );
        platform.flags.close('claims', region);
        await reconcile();
        platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
        await reconcile();
      },
      { status: 'held', code: 'gate-narrowed' },
    ],
    [
      'its permit has expired',
      async () => {
        // A worker that hears nothing renews no permit.
        platform.flags.close('claims', region, 'flag-stale');
        await owner.query(`update portcullis_region.gate set permit_until = now() where region = $1`, [
          region,
        ]);
      },
      { status: 'held', code: 'permit-lapsed' },
    ],
  ] as const)('begins no more where %s, and is not planned again', async (_what, meanwhile, end) => {
    await leave();
    await meanwhile();
    expect(await goOn(await taken())).toMatchObject({ ...end, planned: { claim: ACCOUNTS }, applied: {} });
    // Held with a plan: its slot is not caught up.
    expect(await left()).toMatchObject({ judged: ACCOUNTS, lanes: 0, planned: true });
    expect(await count(`state = 'MANAGED'`)).toBe(0);
  });

  describe('and whose former attempt is at it again', () => {
    async function zombieOf(name: (run: Run) => string): Promise<{ run: Run; zombie: pg.Client }> {
      platform.flags.open('claims', region, { version: VERSION, permille: 1000 });
      const claim = { job: 'claims', version: VERSION, region, worker: 'test', leaseMs: 0 } as const;
      await elect(platform.region, { ...claim, trigger: 'manual' });
      const scope = {
        jobs: ['claims'],
        regions: [region],
        versions: [VERSION],
        worker: 'other',
        leaseMs: 60_000,
      };
      const { run: second } = (await takeOver(platform.region, scope)) ?? {};
      if (!second) throw new Error('there was nothing to take over');
      const zombie = new pg.Client({ connectionString: database.workerUrl });
      zombie.on('error', () => undefined);
      await zombie.connect();
      await zombie.query(`select set_config('application_name', $1, false)`, [name(second)]);
      await zombie.query('begin');
      await zombie.query('insert into portcullis_region.plan (run) values ($1)', [second.id]);
      return { run: second, zombie };
    }

    test('is planned all the same: the former one’s connection is ended', async () => {
      const { run: second, zombie } = await zombieOf((of) => attemptName({ ...of, attempt: 1 }));
      const job = await loadTestJob(platform, claimEverything('claims'));
      const report = await executeRun(platform, job, policy(), second, 'planning', { signal: NEVER });
      expect(report).toMatchObject({ status: 'succeeded', applied: { claim: ACCOUNTS } });
      await expect(zombie.query('commit')).rejects.toThrow();
    });

    test('is planned by one of them only', async () => {
      const { run: second, zombie } = await zombieOf(() => 'nobody knows it');
      const job = await loadTestJob(platform, claimEverything('claims'));
      const waits = executeRun(platform, job, policy(), second, 'planning', { signal: NEVER });
      await until('the second attempt waits for the first', async () => {
        const { rowCount } = await owner.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into portcullis_region.plan%'`,
        );
        return rowCount === 1;
      });
      await zombie.query('commit');
      await zombie.end();
      expect(await waits).toBeUndefined();
      expect(await left()).toMatchObject({ status: 'planning', judged: 0 });
    });
  });
});
