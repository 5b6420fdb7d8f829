import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from '@jest/globals';
import { killJob } from '../../src/containment/kill.js';
import { openPool } from '../../src/postgres/pool.js';
import type { Log } from '../../src/telemetry/log.js';
import { heldElsewhereFor } from '../../src/worker/held-elsewhere.js';
import { createReservations } from '../../src/worker/reservations.js';
import { emptyDatabase, type GuestDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { person } from '../support/people.js';
import {
  portcullis,
  temporaryFolder,
  untilWith,
  type Finished,
  type Running,
} from '../support/portcullis.js';
import { until } from '../support/until.js';

/**
 * Names that one row may have in two regions' databases together: what processes that race for them, die midway and find
 * the control database away leave behind. A row has a name where its state is OWNED.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NAMES = 40;
const control = await emptyDatabase();
const regions = { a: await emptyDatabase(), b: await emptyDatabase() } as const;
type Region = keyof typeof regions;
const project = await temporaryFolder();
const env = {
  PORTCULLIS_HOME: join(project, '.portcullis'),
  PORTCULLIS_HTTP: '127.0.0.1:0',
  PORTCULLIS_DATABASE_URL: control.url,
  PORTCULLIS_DATABASE_URL_A: regions.a.url,
  PORTCULLIS_DATABASE_URL_B: regions.b.url,
};

const JOB = `
import { defineJob, table } from 'portcullis';
export const names = defineJob({
  name: 'names',
  version: '1.0.0',
  unit: { table: 'hub.unit', key: 'id', region: 'region' },
  resources: {
    name: table('hub.name', {
      key: 'id', changes: ['state'], compares: ['name'],
      uniqueAcross: { regions: 'name', while: { state: ['OWNED'] } },
    }),
    slot: table('hub.slot', { key: 'name', deletes: true, uniqueAcross: 'regions' }),
  },
  kinds: { own: 'name', lose: 'name', drop: 'slot' },
  migrations: { folder: new URL('./migrations/', import.meta.url), schemas: ['hub'] },
  async *plan({ rows, region }) {
    const evidence = {};
    for await (const { id, wanted, ...before } of rows\`select id, name, state, wanted from hub.name where wanted <> state order by id\`)
      yield { kind: wanted === 'OWNED' ? 'own' : 'lose', resource: 'name', key: id, unit: region, before, after: { state: wanted }, evidence };
    for await (const { name, ...before } of rows\`select * from hub.slot where region = 'drop' order by name\`)
      yield { kind: 'drop', resource: 'slot', key: name, unit: region, before, after: null, evidence };
  },
});
`;

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(project, path)), { recursive: true });
  await writeFile(join(project, path), text);
}

await mkdir(join(project, 'node_modules'));
await symlink(ROOT, join(project, 'node_modules/portcullis'));
await write('package.json', '{ "type": "module" }');
await write(
  'portcullis.config.js',
  `import { defineConfig } from 'portcullis';
import { names } from './jobs/names/index.js';
export default defineConfig({ jobs: [names] });
`,
);
await write('jobs/names/index.js', JOB);
await write(
  'jobs/names/migrations/001-tables.sql',
  `create schema hub;
create table hub.unit (id text primary key, region text not null);
create table hub.name (id text primary key, name text not null, state text not null default 'FREE', wanted text not null default 'FREE');
create unique index one_owner on hub.name (name) where state = 'OWNED';
create table hub.slot (name text primary key, region text not null);
`,
);
await write(
  'flags/names.yaml',
  `job: names
schedule: '${FAR_SLOT}'
regions: { a: { database: PORTCULLIS_DATABASE_URL_A }, b: { database: PORTCULLIS_DATABASE_URL_B } }
apply: { lanes: 2, batch: 5, firstBatches: [] }
lease: 2s
permit: 10s
flag: { maxAge: 5s }
`,
);

const program = (args: readonly string[], setting: { killAt?: string } = {}): Running =>
  portcullis([...args, '--json'], { cwd: project, env, ...setting });

/** The same job's run in a region, by a process of its own. */
const run = (region: Region): Promise<Finished> => program(['run', 'names', '--region', region]).finished;

const resultOf = ({
  stdout,
}: Finished): { runId: string; status: string; applied: object; conflicts: number } =>
  JSON.parse(stdout) as never;

async function start(): Promise<Running> {
  const serving = program(['start']);
  let out = '';
  serving.child.stdout?.on('data', (text: string) => (out += text));
  await untilWith(serving, 'it serves', () => out.includes('"event":"waiting"'));
  return serving;
}

async function stop(serving: Running): Promise<void> {
  serving.child.kill('SIGTERM');
  await serving.finished;
}

const first = await start();
for (const region of ['a', 'b'] as const)
  await regions[region].owner.query('insert into hub.unit values ($1, $1)', [region]);
const asked = async (...args: string[]): Promise<void> => {
  expect(await program(args).finished).toMatchObject({ code: 0 });
};
await asked('rollout', 'start', 'names', '--version', 'installed', '--initial', '--reason', 'first');
for (const region of ['a', 'b'])
  await asked(
    ...['flags', 'set', 'names', '--region', region, '--on', '--version', 'installed', '--share', '100%'],
    ...['--reason', 'first'],
  );
await stop(first);

beforeEach(async () => {
  for (const { owner } of Object.values(regions)) {
    await owner.query(`truncate hub.name, hub.slot`);
    await owner.query(
      `insert into hub.name (id, name) select 'n' || n, 'name-' || n from generate_series(1, $1) n`,
      [NAMES],
    );
    await owner.query(
      `update portcullis_region.gate set state = 'open', reason = 'test' where state = 'killed'`,
    );
  }
  await control.owner.query(`delete from portcullis_control.reservation`);
});

const want = (region: Region, state: string, how = 'true'): Promise<unknown> =>
  regions[region].owner.query(`update hub.name set wanted = $1 where ${how}`, [state]);

async function ownedIn({ owner }: GuestDatabase): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select name from hub.name where state = 'OWNED' order by name`,
  );
  return rows.map(({ name }) => name);
}

/** What is reserved, as `place name`; with the run where it is not known what became of it. */
async function reserved(resource = 'name'): Promise<string[]> {
  const { rows } = await control.owner.query<{ what: string }>(
    `select right(place, 1) || ' ' || value || case when run is null then '' else ' pending' end as what
     from portcullis_control.reservation where resource = $1 order by 1`,
    [resource],
  );
  return rows.map(({ what }) => what);
}

/** No name has two owners, and what is reserved is what is owned. */
async function consistent(): Promise<void> {
  const [a, b] = [await ownedIn(regions.a), await ownedIn(regions.b)];
  expect(a.filter((name) => b.includes(name))).toEqual([]);
  const all = [...a.map((name) => `A ${name}`), ...b.map((name) => `B ${name}`)];
  expect(await reserved()).toEqual(all.sort());
}

test('two processes that run for the same names at once leave each with one owner', async () => {
  await want('a', 'OWNED');
  await want('b', 'OWNED');
  const results = (await Promise.all([run('a'), run('b')])).map(resultOf);
  for (const { status } of results) expect(status).toBe('succeeded');
  const [a, b] = [await ownedIn(regions.a), await ownedIn(regions.b)];
  expect([...a, ...b].sort()).toEqual(Array.from({ length: NAMES }, (_, n) => `name-${n + 1}`).sort());
  expect(results.map(({ conflicts }) => conflicts)).toEqual([NAMES - a.length, NAMES - b.length]);
  await consistent();
  // What the other has is a conflict that says so.
  const loser = a.length < NAMES ? 'a' : 'b';
  const { rows } = await regions[loser].owner.query<{ refusal: string }>(
    `select distinct regexp_replace(refusal, 'name-.*', 'N') as refusal from portcullis_region.conflict
     where run = $1`,
    [results[loser === 'a' ? 0 : 1]?.runId],
  );
  expect(rows[0]?.refusal).toMatch(/^a row in PORTCULLIS_DATABASE_URL_[AB] (has|may have) N$/);
});

test('what a run that died had reserved is nobody’s until its database says what became of it', async () => {
  await want('a', 'OWNED');
  await want('b', 'OWNED');
  const dead = await program(['run', 'names', '--region', 'a'], { killAt: 'run.reserved' }).finished;
  expect(dead.signal).toBe('SIGKILL');
  expect((await reserved()).every((each) => each.startsWith('A ') && each.endsWith(' pending'))).toBe(true);
  // A plan elsewhere is told nothing that is not so.
  const elsewhere = createReservations(control.owner, 'PORTCULLIS_DATABASE_URL_B');
  expect(await elsewhere.heldElsewhere('names', 'name', ['name-1'])).toBeUndefined();
  // The run may go on at any time: another region takes nothing, however long its worker is dead.
  expect(resultOf(await run('b'))).toMatchObject({
    status: 'succeeded',
    applied: { own: 0 },
    conflicts: NAMES,
  });
  expect(await ownedIn(regions.b)).toEqual([]);
  // Another worker takes the run over, and it has what it reserved.
  const serving = await start();
  await until('the run is ended', async () => (await ownedIn(regions.a)).length === NAMES);
  await until('it is settled', async () => !(await reserved()).some((each) => each.endsWith('pending')));
  await stop(serving);
  await consistent();
  expect(await elsewhere.heldElsewhere('names', 'name', ['name-1'])).toMatchObject({ regions: ['a'] });
});

test('what a run that was killed had reserved and not written is anybody’s once that is known', async () => {
  await want('a', 'OWNED');
  await want('b', 'OWNED');
  // It dies in its third batch, which is written and not committed.
  await program(['run', 'names', '--region', 'a'], { killAt: 'apply.written:3' }).finished;
  const kill = { job: 'names', regions: ['a'], reason: 'test' };
  await killJob(control.owner, () => regions.a.owner, kill, person('ann', 'operator'));
  const owned = await ownedIn(regions.a);
  expect(owned.length).toBeGreaterThan(0);
  expect(owned.length).toBeLessThan(NAMES);
  const serving = await start();
  await until('it is settled', async () => !(await reserved()).some((each) => each.endsWith('pending')));
  await stop(serving);
  await consistent();
  expect(resultOf(await run('b'))).toMatchObject({
    ...{ status: 'succeeded', applied: { own: NAMES - owned.length }, conflicts: owned.length },
  });
  await consistent();
});

test('a restore gives names back, and takes again only those that nobody took meanwhile', async () => {
  await want('a', 'OWNED', `id in ('n1', 'n2', 'n3')`);
  const owning = resultOf(await run('a'));
  expect(owning).toMatchObject({ applied: { own: 3 } });
  await want('a', 'FREE', `id in ('n2', 'n3')`);
  const losing = resultOf(await run('a'));
  expect(losing).toMatchObject({ applied: { lose: 2 } });
  expect(await reserved()).toEqual(['A name-1']);
  await want('b', 'OWNED', `id = 'n2'`);
  expect(resultOf(await run('b'))).toMatchObject({ applied: { own: 1 }, conflicts: 0 });
  // Name 2 is another region's by now.
  const restored = await program(['restore', losing.runId, '--reason', 'test']).finished;
  expect(restored.stdout).toContain('"restored":1');
  expect(await ownedIn(regions.a)).toEqual(['name-1', 'name-3']);
  await consistent();
  await program(['restore', owning.runId, '--reason', 'test']).finished;
  await until('it is given back', async () => !(await reserved()).includes('A name-1'));
  await consistent();
});

test('a deleted row gives its key up, and the restore takes it again', async () => {
  await regions.a.owner.query(
    `insert into hub.slot values ('one', 'keep'), ('two', 'drop'), ('three', 'drop')`,
  );
  // Rows that were there before are read when a process begins.
  await control.owner.query('delete from portcullis_control.reserved_region');
  const serving = await start();
  await until('they are read', async () => (await reserved('slot')).length === 3);
  await stop(serving);
  const dropping = resultOf(await run('a'));
  expect(dropping).toMatchObject({ applied: { drop: 2 } });
  expect(await reserved('slot')).toEqual(['A one']);
  await program(['restore', dropping.runId, '--reason', 'test']).finished;
  expect(await reserved('slot')).toEqual(['A one', 'A three', 'A two']);
});

test('rows that others changed are read again, and a run is held until every region was read once', async () => {
  await regions.b.owner.query(`update hub.name set state = 'OWNED', wanted = 'OWNED' where id = 'n7'`);
  await control.owner.query('delete from portcullis_control.reserved_region');
  await want('a', 'OWNED', `id in ('n7', 'n8')`);
  const held = resultOf(await run('a'));
  expect(held).toMatchObject({
    status: 'held',
    reason: expect.stringContaining('the rows of b have not been read yet'),
  });
  expect(await ownedIn(regions.a)).toEqual([]);
  const serving = await start();
  await until('they are read', async () => (await reserved()).includes('B name-7'));
  await stop(serving);
  expect(resultOf(await run('a'))).toMatchObject({ applied: { own: 1 }, conflicts: 1 });
  await consistent();
});

test('while the control database is away nothing is taken, and what takes nothing goes on', async () => {
  const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
  const { owner } = regions.a;
  const away = createReservations(nowhere, 'PORTCULLIS_DATABASE_URL_A');
  const unique = { regions: 'name', while: { state: ['OWNED'] } };
  const resources = [
    ['name', { table: 'hub.name', key: 'id', changes: ['state'], compares: ['name'], uniqueAcross: unique }],
  ] as const;
  await want('a', 'OWNED', `id = 'n1'`);
  const { runId: owning } = resultOf(await run('a'));
  await want('a', 'FREE', `id = 'n1'`);
  const { runId: losing } = resultOf(await run('a'));
  await expect(away.reserve(owner, { id: owning, job: 'names' }, resources)).rejects.toMatchObject({
    code: 'RESERVATION_UNAVAILABLE',
  });
  expect(await away.reserve(owner, { id: losing, job: 'names' }, resources)).toEqual([]);
  // A plan is told that nobody knows, and asks once.
  const warned: string[] = [];
  const log = { warn: ({ code }: { code: string }) => warned.push(code) } as unknown as Log;
  const ask = heldElsewhereFor({ reservations: away, log }, 'names', Object.fromEntries(resources));
  expect([await ask('name', 'name-1'), await ask('name', 'name-2')]).toEqual([undefined, undefined]);
  expect(warned).toEqual(['reservations-unasked']);
  await expect(ask('slot', 'one')).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  await expect(ask('name', ['one', 'two'])).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  await nowhere.end();
});

test('a key of several columns is one value: read, told, taken and given up as a whole', async () => {
  const odd = 'ä "quoted", \\ and [brackets]';
  for (const { owner } of Object.values(regions))
    await owner.query('create table hub.seat (hall text, no integer, state text, primary key (hall, no))');
  await regions.a.owner.query(`insert into hub.seat values ($1, 1, 'TAKEN'), ('north', 2, 'FREE')`, [odd]);
  const seat = {
    ...{ table: 'hub.seat', key: ['hall', 'no'] as const, changes: ['state'] },
    uniqueAcross: { regions: ['hall', 'no'], while: { state: ['TAKEN'] } },
  };
  const resources = { seat };
  const [a, b] = [
    createReservations(control.owner, 'PORTCULLIS_DATABASE_URL_A'),
    createReservations(control.owner, 'PORTCULLIS_DATABASE_URL_B'),
  ];
  await a.tend(regions.a.owner, [{ name: 'names', regions: ['a'], resources }]);
  await b.tend(regions.b.owner, [{ name: 'names', regions: ['b'], resources }]);
  const log = { warn: () => undefined } as unknown as Log;
  const ask = heldElsewhereFor({ reservations: b, log }, 'names', resources);
  expect(await ask('seat', [odd, '1'])).toMatchObject({ regions: ['a'] });
  expect([await ask('seat', [odd, '2']), await ask('seat', ['north', '2'])]).toEqual([undefined, undefined]);
  // Who has it is told nothing, and one of the columns is no value.
  expect(await a.heldElsewhere('names', 'seat', [odd, '1'])).toBeUndefined();
  await expect(ask('seat', odd)).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  // A run of the other region takes the free one, and not the taken one.
  const run = { id: '9f3c2a1b-0000-4000-8000-000000000006', job: 'names' };
  await regions.b.owner.query(
    `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     select $1, 0, no, 'seat', key, 'seat', 'b', '{"state": "FREE"}', '{"state": "TAKEN"}', '{}'
     from unnest($2::text[]) with ordinality k (key, no)`,
    [run.id, [JSON.stringify([odd, '1']), JSON.stringify(['north', '2'])]],
  );
  const taken = await b.reserve(regions.b.owner, run, Object.entries(resources));
  expect(taken.map(({ seq }) => seq)).toEqual([1]);
  expect(taken[0]?.refusal).toMatch(/^a row in PORTCULLIS_DATABASE_URL_A has /);
  // It is given up where its row has it no more.
  await regions.a.owner.query(`update hub.seat set state = 'FREE'`);
  const again = createReservations(control.owner, 'PORTCULLIS_DATABASE_URL_A');
  await again.tend(regions.a.owner, [{ name: 'names', regions: ['a'], resources }]);
  expect(await ask('seat', [odd, '1'])).toBeUndefined();
});
