import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { setAdmittedFlag } from '../support/admissions.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { readDatabase } from '../../src/gate/database.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { seedSampleWorld } from '../../src/demo/sample-world.js';
import { provisionLogins } from '../../src/postgres/logins.js';
import { migrate, type SchemaKind } from '../../src/postgres/migrate.js';
import { openPool } from '../../src/postgres/pool.js';
import { DIRECTORY, testDatabase } from '../support/database.js';
import { portcullis, untilWith, type Running } from '../support/portcullis.js';
import { streamingPair } from '../support/streaming-pair.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';
import { adminHome } from '../support/people.js';

/** `running` runs through the failover; `killed` is killed on the primary when the standby does not hear of it any more. */
const [running, killed] = SAMPLE_REGIONS;
const PERMIT_S = 9;
const POLICY = `
job: domain-claim
schedule: '*/2 * * * * *'
apply: { lanes: 1, batch: 1, firstBatches: [] }
flag: { maxAge: 6s }
permit: ${PERMIT_S}s
lease: ${PERMIT_S}s
guard: { caps: [] }
`;
/** Each batch takes so long: a run is in the middle for as long as a failover takes, on any machine. */
const SLOW = `
create function directory.slow() returns trigger language plpgsql as
  $$ begin perform pg_catalog.pg_sleep(0.25); return null; end $$;
create trigger slow before update on directory.account for each statement execute function directory.slow()`;

/** An installation whose regions stand in one database of the pair, and what it was before and after the failover. */
interface World {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly old: pg.Pool;
  /** The same database on the standby. */
  readonly promoted: pg.Pool;
  /** The control database after the failover. */
  readonly control: pg.Pool;
}

const pair = await streamingPair();
const elsewhere = await testDatabase();
const way = new TcpProxy('127.0.0.1', 0);
const pools: pg.Pool[] = [];
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await way.cut();
});

function pool(url: string): pg.Pool {
  const opened = openPool(url, { name: 'test' });
  // Their server ends.
  opened.on('error', () => undefined);
  pools.push(opened);
  return opened;
}

async function fillDatabase(owner: pg.Pool, name: string, schemas: readonly SchemaKind[]): Promise<void> {
  await owner.query(`revoke temporary on database ${name} from public`);
  await migrate(owner, [...schemas, DIRECTORY]);
  await provisionLogins(owner, schemas);
  await seedSampleWorld(owner, { seed: 'race', now: new Date() });
  await owner.query(SLOW);
}

/** Everything in one database: what the failover loses, the audit log has lost too. */
async function together(): Promise<World> {
  const name = 'together';
  await pair.primary.query(`create database ${name}`);
  const old = pool(pair.primary.url(name));
  await fillDatabase(old, name, ['control', 'region']);
  const regions = `regions: [${running}, ${killed}]`;
  await applyPolicies(old, [parsePolicyFile(`${POLICY}${regions}`, 'failover.yaml')], 'test');
  const promoted = pool(pair.standby.url(name));
  const env = {
    PORTCULLIS_DATABASE_URL: way.through(pair.primary.url(name)),
    PORTCULLIS_HOME: await adminHome(old),
  };
  return { name, env, old, promoted, control: promoted };
}

/** The control database stands elsewhere, and goes on. */
async function apart(): Promise<World> {
  const name = 'apart';
  await pair.primary.query(`create database ${name}`);
  const old = pool(pair.primary.url(name));
  const control = elsewhere.owner;
  await fillDatabase(old, name, ['region']);
  // There too: then every process answers the sample's names itself.
  await seedSampleWorld(control, { seed: 'race', now: new Date() });
  const there = '{ database: PORTCULLIS_DATABASE_URL_PAIR }';
  const regions = `regions: { ${running}: ${there}, ${killed}: ${there} }`;
  await applyPolicies(control, [parsePolicyFile(`${POLICY}${regions}`, 'failover.yaml')], 'test');
  const env = {
    PORTCULLIS_DATABASE_URL: elsewhere.url,
    PORTCULLIS_DATABASE_URL_PAIR: way.through(pair.primary.url(name)),
    PORTCULLIS_HOME: await adminHome(control),
  };
  return { name, env, old, promoted: pool(pair.standby.url(name)), control };
}

async function ask({ env }: World, ...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await portcullis([...args, '--json'], { env }).finished;
  expect([args, code, stderr]).toEqual([args, 0, '']);
  return JSON.parse(stdout) as unknown;
}

const kill = (world: World, reason: string): Promise<unknown> =>
  ask(world, 'kill', 'domain-claim', '--region', killed, '--reason', reason);

async function turnOn(control: pg.Pool, version: string): Promise<void> {
  for (const region of [running, killed]) {
    const variants = [{ version, permille: 1000 }];
    const on = { job: 'domain-claim', region, enabled: true, variants };
    await setAdmittedFlag(control, { ...on, reason: 'test', changedBy: 'test' });
  }
}

async function batchesIn(database: pg.Pool, region: string): Promise<number> {
  const { rows } = await database.query<{ n: number }>(
    `select count(*) as n from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
    [region],
  );
  return rows[0]?.n ?? -1;
}

async function writing(world: World, database: pg.Pool, region: string): Promise<void> {
  const before = await batchesIn(database, region);
  await untilWith(workerOf(world), `${world.name}: batches commit in ${region}`, async () => {
    return (await batchesIn(database, region)) > before + 2;
  });
}

interface Written {
  readonly batches: number;
  readonly accounts: string;
  readonly domains: string;
}

/** What the job can have changed: the journal, and every row of its tables (in one region, or all). */
async function written(database: pg.Pool, region?: string): Promise<Written> {
  const digest = (table: string): string =>
    `(select md5(string_agg(t::text, ',' order by id)) from directory.${table} t where $1::text is null or home_region = $1)`;
  const { rows } = await database.query<Written>(
    `select ${digest('account')} as accounts, ${digest('domain')} as domains,
       (select count(*) from portcullis_region.batch b join portcullis_region.run r on r.id = b.run
        where $1::text is null or region = $1) as batches`,
    [region],
  );
  const [row] = rows;
  if (!row) throw new Error('nothing was counted');
  return row;
}

interface GateRow {
  readonly state: string;
  readonly epoch: number;
  readonly code: string;
  readonly reason: string;
}

async function gateOf(database: pg.Pool, region: string): Promise<GateRow> {
  const { rows } = await database.query<GateRow>(
    'select state, epoch, reason_code as code, reason from portcullis_region.gate where region = $1',
    [region],
  );
  const [gate] = rows;
  if (!gate) throw new Error(`there is no gate in ${region}`);
  return gate;
}

/** Oldest first, without the slots that came due while a run was under way. */
async function runsIn(database: pg.Pool, region: string): Promise<Record<string, unknown>[]> {
  const { rows } = await database.query<Record<string, unknown>>(
    `select id, status, reason_code as code, attempt from portcullis_region.run
     where region = $1 and not dry_run and status <> 'skipped' order by created_at`,
    [region],
  );
  return rows;
}

const workers = new Map<World, Running>();

function workerOf(world: World): Running {
  const worker = workers.get(world);
  if (!worker) throw new Error(`${world.name} has no worker`);
  return worker;
}

/** What a world's database was when it was promoted, before anybody could reach it. */
interface AtPromotion extends Written {
  readonly lostBatches: number;
  readonly killedGate: { readonly there: GateRow; readonly on: GateRow };
  readonly runs: Record<string, unknown>[];
  readonly was: string;
  /** When that was, by its clock. */
  readonly at: string;
}

let worlds: readonly World[] = [];
const atPromotion = new Map<World, AtPromotion>();

/** On every world at once: they are in one server. */
const all = <T>(act: (world: World) => Promise<T>): Promise<T[]> => Promise.all(worlds.map(act));

beforeAll(async () => {
  way.leadTo(pair.primary.port);
  await way.open();
  worlds = await Promise.all([together(), apart()]);
  const [first] = worlds;
  if (!first) throw new Error('there is no world');
  // The flags are still off, so nothing is written; it only tells which version the program has.
  const dry = await portcullis(['run', 'domain-claim', '--region', running, '--dry-run', '--json'], first)
    .finished;
  const { version } = JSON.parse(dry.stdout) as { version: string };
  for (const control of [first.old, elsewhere.owner]) await turnOn(control, version);
  for (const world of worlds)
    workers.set(world, portcullis(['worker'], { env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' } }));
  const bothWrite = (world: World) =>
    Promise.all([running, killed].map((region) => writing(world, world.old, region)));
  await all(bothWrite);

  // The standby falls behind: first it replays nothing more of what it has, then it gets nothing more. A promotion
  // replays what has arrived; what has not is lost.
  await pair.standby.query('select pg_wal_replay_pause()');
  await until('replay is paused on the standby', async () => {
    const [row] = await pair.standby.query<{ state: string }>(
      'select pg_get_wal_replay_pause_state() as state',
    );
    return row?.state === 'paused';
  });
  await all(bothWrite);
  await pair.link.cut();
  await all((world) => kill(world, 'the standby never hears of this'));
  await all((world) => writing(world, world.old, running));
  const before = await all(async ({ old }) => ({
    batches: (await written(old)).batches,
    gate: await gateOf(old, killed),
    was: (await readDatabase(old)).identity,
  }));
  await pair.primary.crash();
  await pair.standby.query('select pg_promote(true, 60)');
  for (const [at, world] of worlds.entries()) {
    const there = before[at];
    if (!there) throw new Error(`nothing is known of ${world.name}`);
    const now = await written(world.promoted);
    const { rows } = await world.promoted.query<{ at: string }>('select clock_timestamp()::text as at');
    atPromotion.set(world, {
      ...now,
      lostBatches: there.batches - now.batches,
      killedGate: { there: there.gate, on: await gateOf(world.promoted, killed) },
      runs: [...(await runsIn(world.promoted, running)), ...(await runsIn(world.promoted, killed))],
      was: there.was,
      at: rows[0]?.at ?? '',
    });
  }
  way.leadTo(pair.standby.port);
}, 180_000);

describe.each([
  ['together', 'with the control plane'],
  ['apart', 'while the control plane stands elsewhere'],
])('a database that fails over to a standby that lagged (%s), %s,', (name) => {
  const here = (): { world: World; before: AtPromotion } => {
    const world = worlds.find((each) => each.name === name);
    const before = world && atPromotion.get(world);
    if (!world || !before) throw new Error('there was no failover');
    return { world, before };
  };

  test('the primary had batches and a kill that the promoted database has not, in the middle of both runs', () => {
    const { before } = here();
    expect(before.lostBatches).toBeGreaterThan(0);
    expect(before.killedGate).toMatchObject({ there: { state: 'killed' }, on: { state: 'open' } });
    expect(before.runs).toMatchObject([{ status: 'applying' }, { status: 'applying' }]);
  });

  test('no batch commits, in the time of several permits and slots', async () => {
    const { world, before } = here();
    const { promoted } = world;
    const isOver = async (): Promise<boolean> => {
      const answer = await promoted.query<{ over: boolean }>(
        `select clock_timestamp() > $1::timestamptz + make_interval(secs => $2) as over`,
        [before.at, 2 * PERMIT_S],
      );
      return answer.rows[0]?.over === true;
    };
    const { batches, accounts, domains } = before;
    const unchanged = { batches, accounts, domains };
    // That they were tried is what makes it worth something that none was written.
    await untilWith(
      workerOf(world),
      `${world.name}: runs were held, for the time of two permits`,
      async () => {
        expect(await written(promoted)).toEqual(unchanged);
        const held = (await runsIn(promoted, running)).filter(
          ({ status, code }) => status === 'held' && code === 'database-unconfirmed',
        );
        return held.length >= 2 && (await isOver());
      },
    );
    expect(await written(promoted)).toEqual(unchanged);
    expect((await runsIn(promoted, running))[0]).toMatchObject({
      ...{ status: 'stopped', code: 'database-unconfirmed', attempt: 2 },
    });
    expect(await gateOf(promoted, running)).toMatchObject({ state: 'held', code: 'database-unconfirmed' });
  });

  test('the incident says what may be lost', async () => {
    const { world, before } = here();
    const facts = await untilWith(workerOf(world), `${name}: an incident`, async () => {
      const { rows } = await world.control.query<{ facts: unknown }>(
        `select note->'facts' as facts from portcullis_control.incident, jsonb_array_elements(evidence) note
         where note->>'cause' = 'failover' and state <> 'closed'`,
      );
      return rows[0]?.facts;
    });
    const { rows } = await world.promoted.query<{ at: Date }>(
      'select max(applied_at) as at from portcullis_region.batch',
    );
    const newest = rows[0]?.at.toISOString() ?? '';
    expect(facts).toMatchObject({
      was: before.was,
      is: before.was.replace(/1$/, '2'),
      newestBatch: newest,
      mayBeLost: [expect.stringContaining(newest), expect.stringMatching(/^Kills, .* may be lost/)],
      killedAgain: name === 'apart' ? [{ job: 'domain-claim', region: killed, version: null }] : [],
    });
  });

  test('the gate whose kill was lost is not open, and is killed again by the record, or by a person', async () => {
    const { world } = here();
    const { promoted } = world;
    if (name === 'together') {
      expect(await gateOf(promoted, killed)).toMatchObject({ state: 'held', code: 'database-unconfirmed' });
      await kill(world, 'killed again, as the incident says');
      expect(await gateOf(promoted, killed)).toMatchObject({ state: 'killed' });
    } else {
      expect(await gateOf(promoted, killed)).toMatchObject({
        state: 'killed',
        reason: 'the standby never hears of this (killed before the database changed)',
      });
    }
  });

  test('once a person confirms, batches commit again, and none behind the killed gate', async () => {
    const { world, before } = here();
    const { promoted } = world;
    const closed = await written(promoted, killed);
    const confirm = ['database', 'confirm', '--region', running, '--reason', 'promoted the standby'];
    expect(await ask(world, ...confirm)).toMatchObject({
      ...{ identity: before.was.replace(/1$/, '2'), was: before.was, expiresAt: null },
    });
    await writing(world, promoted, running);
    expect(await gateOf(promoted, running)).toMatchObject({ state: 'open' });
    expect((await runsIn(promoted, running)).at(-1)).toMatchObject({ status: 'applying' });
    expect(await gateOf(promoted, killed)).toMatchObject({ state: 'killed' });
    expect(await written(promoted, killed)).toEqual(closed);
  });
});
