import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { lockGate } from '../../src/gate/lock.js';
import type { Change, Image, JobDefinition } from '../../src/sdk/contract.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { beginTransaction, inTransaction, openPool } from '../../src/postgres/pool.js';
import { SETTINGS, type SessionSetting } from '../../src/postgres/session.js';
import { testDatabase } from '../support/database.js';
import { makeOddTable, ODD_NAMES, oddRow } from '../support/odd-values.js';
import { loadTestJob, testPlatform, testPolicy, type TestPlatform } from '../support/platform.js';
import { until } from '../support/until.js';

const database = await testDatabase();
const { owner: admin } = database;
const name = new URL(database.url).pathname.slice(1);
const role = (url: string): string => pg.escapeIdentifier(decodeURIComponent(new URL(url).username));
const [OWNER, WORKER, PLANNER] = [database.url, database.workerUrl, database.plannerUrl].map(role);
afterEach(() => onFaultPoint(undefined));

await makeOddTable(admin);
const VALUES = {
  price: ['money', `'-1234.5'`, '$1,234.50'],
  holes: ['text[]', `array[null, 'NULL']`, '{NULL,"NULL"}'],
  piece: ['xml', `'one<b/>two'::xml`, 'one<b/>two'],
} as const;
await admin.query(`
  ${Object.entries(VALUES)
    .map(([column, [type]]) => `alter table directory.odd add ${column} ${type};`)
    .join('\n')}
  create table directory.guarded (id text primary key);
  insert into directory.guarded values ('seen');
  alter table directory.guarded enable row level security;
  create policy everybody on directory.guarded using (true);
  grant select on directory.guarded to public;
  create schema hostile;
  grant usage on schema hostile to public;
  create function hostile.hashtext(text) returns integer language sql as 'select 7';
  insert into portcullis_region.gate (job, region) values ('lone', 'here')`);

/** What processes of ours have of a database, on connections that were opened now. */
interface World {
  readonly owner: pg.Pool;
  readonly worker: pg.Pool;
  readonly platform: TestPlatform;
}

/** Every scenario shows something that holds only while the setting is ours. */
type Scenario = (world: World) => Promise<void>;

const NAMES = [...ODD_NAMES, ...Object.keys(VALUES)];
let regions = 0;

/** A job that gives each odd row the values of the other, read as the planner reads them. */
function swap(region: string, after: (image: Image) => Image = (image) => image): JobDefinition {
  return {
    name: 'odd',
    version: '1.0.0',
    unit: { table: 'directory.odd', key: 'id', region: 'home_region' },
    resources: {
      odd: { table: 'directory.odd', key: 'id', changes: ['home_region', ...NAMES], region: 'home_region' },
    },
    kinds: { change: 'odd' },
    async *plan({ rows: read }) {
      const rows: [string, Image][] = [];
      const sql = `select id, home_region, ${NAMES.join(', ')} from directory.odd where home_region = $1 order by id`;
      for await (const { id, ...image } of read(sql, [region])) rows.push([String(id), image]);
      for (const [n, [key, before]] of rows.entries()) {
        const other = rows[(n + 1) % rows.length]?.[1] ?? before;
        yield {
          ...{ resource: 'odd', key, kind: 'change', unit: key, before, evidence: {} },
          after: after(other),
        } satisfies Change;
      }
    },
  };
}

async function seedOdd(): Promise<string> {
  regions += 1;
  const region = `region-${regions}`;
  const values = Object.values(VALUES).map(([, sql]) => sql);
  await inTransaction(admin, (client) =>
    client.query(`insert into directory.odd (id, home_region, ${NAMES.join(', ')})
      values (${regions * 10 + 1}, '${region}', ${oddRow(() => 1)}, ${values.join(', ')}),
             (${regions * 10 + 2}, '${region}', ${oddRow(() => 2)}, null, null, null)`),
  );
  return region;
}

async function digest(region: string): Promise<string[]> {
  const { rows } = await admin.query<{ row: string }>(
    'select odd::text as row from directory.odd where home_region = $1 order by id',
    [region],
  );
  return rows.map(({ row }) => row);
}

async function run({ platform }: World, region: string, definition: JobDefinition): Promise<RunReport> {
  const job = await loadTestJob(platform, definition);
  platform.flags.open('odd', region, { version: job.version, permille: 1000 });
  const policy = testPolicy('odd', [region]);
  const election = await elect(platform.region, {
    ...{ job: 'odd', version: job.version, region, trigger: 'manual' },
    ...{ worker: platform.worker, leaseMs: policy.leaseMs },
  });
  if (!election.elected) throw new Error(election.why);
  const signal = new AbortController().signal;
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('the run was given up');
  return report;
}

/** A run changes rows of every type, and a restore brings them back; a kill then closes the gate. */
const core: Scenario = async (world) => {
  const region = await seedOdd();
  const before = await digest(region);
  const report = await run(world, region, swap(region));
  expect(report).toMatchObject({ status: 'succeeded', applied: { change: 2 }, conflicts: 0 });
  expect(await digest(region)).not.toEqual(before);
  const { signal } = new AbortController();
  const paceOf = () => ({ leaseMs: 20_000, batch: 30 });
  const [restored] = await restoreRuns(world.platform, [report.run.id], { signal, paceOf });
  expect(restored?.report).toMatchObject({ applied: { change: 2 }, conflicts: 0 });
  expect(await digest(region)).toEqual(before);
  await killGate(world.owner, { job: 'odd', region, reason: 'enough', by: 'ann' });
  expect(await run(world, region, swap(region))).toMatchObject({ code: 'gate-killed' });
};

/** The journal has the text that PostgreSQL reads back as the same value. */
const journalled =
  (column: string, text: string): Scenario =>
  async (world) => {
    const region = await seedOdd();
    const { run: ran } = await run(world, region, swap(region));
    const { rows } = await admin.query<{ text: string | null }>(
      'select before->>$2 as text from portcullis_region.change where run = $1 order by key limit 1',
      [ran.id, column],
    );
    expect(rows).toEqual([{ text }]);
    expect(ran.id).toBeDefined();
  };

/** A lone statement waits for a row, and goes on with what the other one has committed. */
const waiting: Scenario = async ({ owner, worker }) => {
  let lone: Promise<pg.QueryResult> | undefined;
  await inTransaction(owner, async (client) => {
    const touch = `update portcullis_region.gate set changed_at = clock_timestamp() where job = 'lone'`;
    await client.query(touch);
    lone = worker.query(touch);
    lone.catch(() => undefined);
    await until('the statement waits for the row, or has failed', async () => {
      const failed = await Promise.race([
        lone?.then(
          () => true,
          () => true,
        ),
        setTimeout(0, false),
      ]);
      const { rowCount } = await admin.query(
        `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      );
      return failed === true || rowCount !== 0;
    });
    await setTimeout(LONGER_MS);
  });
  expect((await lone)?.rowCount).toBe(1);
};

const LIMIT = '200ms';
const LONGER_MS = 400;

/** A transaction does nothing for a while, as a plan does whose job looks something up. */
const pausing: Scenario = async ({ worker }) => {
  await inTransaction(worker, async (client) => {
    await client.query('select 1');
    await setTimeout(LONGER_MS);
    await client.query('select 1');
  });
};

/** A lane keeps its connection between two batches. */
const betweenBatches: Scenario = async ({ worker }) => {
  const client = await worker.connect();
  try {
    await setTimeout(LONGER_MS);
    await beginTransaction(client);
    await client.query('rollback');
  } finally {
    client.release(true);
  }
};

const slow: Scenario = async ({ platform }) => {
  const rows = [];
  for await (const row of platform.planner.rows(`select pg_sleep(${LONGER_MS / 1000})`)) rows.push(row);
  expect(rows).toHaveLength(1);
};

const durable: Scenario = async ({ owner }) => {
  const { rows } = await inTransaction(owner, (client) => client.query('show synchronous_commit'));
  expect(rows).toEqual([{ synchronous_commit: 'on' }]);
};

/** Who may not set it back is not let in: no foreign key would be checked. */
const foreignKeys: Scenario = async ({ owner, worker }) => {
  await expect(worker.query('select 1')).rejects.toMatchObject({
    code: 'DATABASE_SETTING',
    message: expect.stringMatching(/^session_replication_role is replica: permission denied/),
  });
  const orphan = `insert into directory.account (id, email, email_verified, home_region, organisation_id)
    values ('orphan', 'a@b.example', true, 'here', 'nobody')`;
  await expect(owner.query(orphan)).rejects.toMatchObject({ code: '23503' });
};

/** One change that its column cannot hold is recorded as a conflict; the other is applied. */
const refused: Scenario = async (world) => {
  const region = await seedOdd();
  const tooLong = (image: Image): Image =>
    image['short'] === 'abc' ? { ...image, short: 'x'.repeat(13) } : image;
  const report = await run(world, region, swap(region, tooLong));
  expect(report).toMatchObject({ status: 'succeeded', applied: { change: 1 }, conflicts: 1 });
};

const rowSecurity: Scenario = async ({ platform }) => {
  const rows = [];
  for await (const row of platform.planner.rows('select id from directory.guarded')) rows.push(row);
  expect(rows).toEqual([{ id: 'seen' }]);
};

/** A kill waits for the lock that a batch has, and not for one beside it. */
const sameLock: Scenario = async ({ owner, worker }) => {
  let met: number | undefined;
  await inTransaction(worker, async (client) => {
    await lockGate(client, 'lone', 'here', 'shared');
    const killed = await killGate(owner, { job: 'lone', region: 'here', reason: 'r', by: 'ann' }, 0);
    // Without grace, it may be ended before it is counted.
    met = Math.max(killed.inFlight, killed.terminated);
  }).catch(() => 'the kill has ended this connection');
  expect(met).toBe(1);
};

const backslash: Scenario = async ({ owner }) => {
  const { rows } = await owner.query(String.raw`select length('a\b') as n`);
  expect(rows).toEqual([{ n: 3 }]);
};

const locale: Scenario = async ({ worker }) => {
  const { rows } = await worker.query('show lc_monetary');
  expect(rows).toEqual([{ lc_monetary: 'C' }]);
};

/** A setting as a DBA may have it, what then fails without ours, and for whom it is set. */
interface Case {
  readonly setting: string;
  readonly to: string;
  readonly scenario: Scenario;
  /** Only these roles; default: the whole database, and then each role. */
  readonly roles?: readonly (string | undefined)[];
  /** Whoever has it does not get in, so that there is nothing to run. */
  readonly shutOut?: true;
  /** From this version of the server's. */
  readonly since?: number;
}

const CASES: readonly Case[] = [
  { setting: 'default_transaction_isolation', to: `'repeatable read'`, scenario: waiting },
  { setting: 'default_transaction_isolation', to: `'serializable'`, scenario: waiting },
  { setting: 'default_transaction_read_only', to: 'on', scenario: waiting },
  { setting: 'statement_timeout', to: `'${LIMIT}'`, scenario: slow },
  { setting: 'lock_timeout', to: `'${LIMIT}'`, scenario: waiting },
  { setting: 'idle_in_transaction_session_timeout', to: `'${LIMIT}'`, scenario: pausing },
  { setting: 'idle_session_timeout', to: `'${LIMIT}'`, scenario: betweenBatches },
  { setting: 'transaction_timeout', to: `'${LIMIT}'`, scenario: pausing, since: 17 },
  { setting: 'synchronous_commit', to: 'off', scenario: durable },
  { setting: 'session_replication_role', to: 'replica', scenario: foreignKeys, shutOut: true },
  { setting: 'exit_on_error', to: 'on', scenario: refused },
  { setting: 'row_security', to: 'off', scenario: rowSecurity },
  { setting: 'search_path', to: 'hostile, pg_catalog, public', scenario: sameLock, roles: [WORKER] },
  {
    setting: 'TimeZone',
    to: `'Asia/Kolkata'`,
    scenario: journalled('moment', '2021-02-10 00:00:00.123456+00'),
  },
  { setting: 'DateStyle', to: `'German, DMY'`, scenario: journalled('day', '2024-02-29') },
  { setting: 'IntervalStyle', to: `'sql_standard'`, scenario: journalled('span', 'P1M-3DT4H5M6.000007S') },
  { setting: 'extra_float_digits', to: '-5', scenario: journalled('real_', '0.30000000000000004') },
  { setting: 'bytea_output', to: `'escape'`, scenario: journalled('bytes', '\\xdeadbeef00') },
  { setting: 'lc_monetary', to: `'POSIX'`, scenario: locale },
  { setting: 'array_nulls', to: 'off', scenario: core },
  { setting: 'xmloption', to: `'document'`, scenario: core },
  { setting: 'standard_conforming_strings', to: 'off', scenario: backslash },
];

/** Nothing of ours rests on these: they are as a DBA has them, and everything goes on as ever. */
const UNTOUCHED: readonly (readonly [setting: string, to: string])[] = [
  ['default_transaction_isolation', `'read uncommitted'`],
  ['default_transaction_isolation', `'read committed'`],
  ['default_transaction_deferrable', 'on'],
  ['client_encoding', `'LATIN1'`],
  ['backslash_quote', 'off'],
  ['quote_all_identifiers', 'on'],
  ['transform_null_equals', 'on'],
  ['plan_cache_mode', 'force_generic_plan'],
  ['synchronous_commit', 'remote_apply'],
  ['search_path', `''`],
  ['search_path', 'hostile'],
  ['work_mem', `'64kB'`],
];

async function inWorld(scenario: Scenario): Promise<void> {
  const pools: pg.Pool[] = [];
  const pool = (url: string, poolName = 'test'): pg.Pool => {
    const opened = openPool(url, { name: poolName });
    pools.push(opened);
    return opened;
  };
  const owner = pool(database.url, 'sweep owner');
  const platform = testPlatform({ ...database, owner, pool }, 'sweep');
  try {
    await scenario({ owner, worker: platform.region, platform });
  } finally {
    await Promise.all([...pools.map((each) => each.end()), platform.planner.close()]);
  }
}

/** With a setting of the database's, or of roles in it, while `work` lasts. */
async function withSetting(
  whose: string,
  { setting, to }: Pick<Case, 'setting' | 'to'>,
  work: () => Promise<void>,
): Promise<void> {
  await admin.query(`alter ${whose} set ${setting} = ${to}`);
  try {
    await work();
  } finally {
    await admin.query(`alter ${whose} reset ${setting}`);
  }
}

const { rows } = await admin.query<{ version: number }>(
  `select current_setting('server_version_num')::integer / 10000 as version`,
);
const version = rows[0]?.version ?? 0;
const cases = CASES.filter(({ since = 0 }) => version >= since);
const everybody = `database ${pg.escapeIdentifier(name)}`;
const inDatabase = (who: string): string => `role ${who} in ${everybody}`;
const title = ({ setting, to }: Pick<Case, 'setting' | 'to'>): string => `${setting} = ${to}`;

describe('whatever the database has as its settings', () => {
  test.each(cases.map((each) => [title(each), each] as const))(
    '%s: runs, restores and kills go on, and what rests on the setting holds',
    async (_, each) => {
      const whose = each.roles?.map((who) => inDatabase(who ?? '')) ?? [everybody];
      for (const who of whose) {
        await withSetting(who, each, async () => {
          await inWorld(each.scenario);
          if (!each.shutOut && each.scenario !== core) await inWorld(core);
        });
      }
    },
  );

  test.each(UNTOUCHED)('%s = %s: runs, restores and kills go on', async (setting, to) => {
    await withSetting(everybody, { setting, to }, () => inWorld(core));
  });
});

describe('whatever a role has as its settings', () => {
  test.each(
    cases.filter(({ shutOut, roles }) => !shutOut && !roles).map((each) => [title(each), each] as const),
  )(
    '%s: for the owner, the worker and the planner alone, what rests on the setting holds',
    async (_, each) => {
      for (const who of [OWNER, WORKER, PLANNER]) {
        await withSetting(inDatabase(who ?? ''), each, () => inWorld(each.scenario));
      }
    },
  );
});

describe('each of our settings is needed', () => {
  const list = SETTINGS as SessionSetting[];
  const whole = [...list];
  afterAll(() => void list.splice(0, list.length, ...whole));

  test('every one of them has a case', () => {
    expect(new Set(CASES.map(({ setting }) => setting))).toEqual(new Set(SETTINGS.map((each) => each.name)));
  });

  test.each(cases.map((each) => [title(each), each] as const))(
    'without ours, %s breaks its case',
    async (_, each) => {
      const whose = each.roles?.[0] === undefined ? everybody : inDatabase(each.roles[0]);
      list.splice(0, list.length, ...whole.filter((setting) => setting.name !== each.setting));
      try {
        await withSetting(whose, each, () => expect(inWorld(each.scenario)).rejects.toThrow());
      } finally {
        list.splice(0, list.length, ...whole);
      }
    },
  );
});

describe('a batch that waits for the gate while it is killed', () => {
  test.each(['read uncommitted', 'read committed', 'repeatable read', 'serializable'])(
    'does not commit, with %s as the default of the database',
    async (isolation) => {
      const region = await seedOdd();
      const before = await digest(region);
      await withSetting(everybody, { setting: 'default_transaction_isolation', to: `'${isolation}'` }, () =>
        inWorld(async (world) => {
          let killing: Promise<unknown> | undefined;
          onFaultPoint(async (point) => {
            if (point !== 'apply.before-fence') return;
            onFaultPoint(undefined);
            let locked: () => void = () => undefined;
            const taken = new Promise<void>((done) => (locked = done));
            killing = inTransaction(world.owner, async (client) => {
              await lockGate(client, 'odd', region, 'exclusive');
              locked();
              await until('the batch waits for the lock of the gate', async () => {
                const { rowCount } = await admin.query(
                  `select from pg_locks where locktype = 'advisory' and not granted
                   and database = (select oid from pg_database where datname = current_database())`,
                );
                return rowCount !== 0;
              });
              await client.query(
                `update portcullis_region.gate set state = 'killed', epoch = epoch + 1 where job = 'odd' and region = $1`,
                [region],
              );
            });
            await taken;
          });
          expect(await run(world, region, swap(region))).toMatchObject({ code: 'gate-killed' });
          await killing;
        }),
      );
      expect(await digest(region)).toEqual(before);
    },
  );
});
