import { afterEach, describe, expect, test } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { portcullis, temporaryFolder, type Finished, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { regionalWorld, type Reached } from './regional.js';

/** A slot every two seconds; a batch for each change, so that a run takes long enough to be cut midway. */
const world = await regionalWorld(`
apply: { lanes: 1, batch: 1, firstBatches: [] }
flag: { maxAge: 8s }
permit: 12s
lease: 12s
`);
const { a, b, control, env } = world;

type Region = Reached & { readonly region: string };

interface GateRow {
  readonly state: string;
  readonly permits: boolean;
  readonly epoch: number;
  readonly reason: string;
  readonly by: string | null;
  readonly lapsed_ms: number;
}

async function gateOf({ owner, region }: Region): Promise<GateRow | undefined> {
  const { rows } = await owner.query<GateRow>(
    `select state, state = 'open' and permit_until > clock_timestamp() as permits, epoch, reason, killed_by as by,
       (extract(epoch from clock_timestamp() - permit_until) * 1000)::float8 as lapsed_ms
     from portcullis_region.gate where region = $1`,
    [region],
  );
  return rows[0];
}

async function batchesIn({ owner, region }: Region): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from portcullis_region.batch b join portcullis_region.run r on r.id = b.run where region = $1`,
    [region],
  );
  return rows[0]?.n ?? 0;
}

async function writing(place: Region): Promise<void> {
  const before = await batchesIn(place);
  await until(`${place.region} writes`, async () => (await batchesIn(place)) > before + 3);
}

/** What earlier runs claimed is there to be claimed again. */
async function allToDoAgain({ owner, region }: Region): Promise<void> {
  await owner.query(
    `update directory.account
     set state = 'UNMANAGED', organisation_id = null, claimed_domain_id = null, claimed_at = null
     where home_region = $1 and state = 'MANAGED'`,
    [region],
  );
}

let worker: Running | undefined;

function startWorker(): Running {
  worker = portcullis(['worker'], { env: { ...env, PORTCULLIS_LOG_LEVEL: 'silent' } });
  return worker;
}

/** A test that failed leaves the next one neither its worker nor its cuts. */
afterEach(async () => {
  if (worker) await stop(worker);
  worker = undefined;
  for (const { way } of [a, b, control]) await way.open();
});

async function stop({ child, finished }: Running): Promise<Finished> {
  child.kill('SIGTERM');
  return finished;
}

async function ask(...args: string[]) {
  const { code, stdout, stderr } = await portcullis([...args, '--json'], { env }).finished;
  return { code, stderr, answer: (stdout === '' ? {} : JSON.parse(stdout)) as unknown };
}

/** What `--json` prints of an error. */
function problemOf(stderr: string): { code: string; message: string } {
  return (JSON.parse(stderr) as { error: { code: string; message: string } }).error;
}

const kill = (place: Region, ...more: string[]) => [
  ...['kill', 'domain-claim', '--region', place.region, '--reason', 'it must stop'],
  ...more,
];

describe('with two regions and the control plane on servers of their own', () => {
  test("a region that is cut off gives its runs up and is killed as soon as it can be reached; the other's go on", async () => {
    startWorker();
    await Promise.all([writing(a), writing(b)]);
    await a.way.cut();
    const cutAt = await batchesIn(a);
    await writing(b);

    const killed = await ask(...kill(a, '--no-wait'));
    expect(killed.code).toBe(1);
    const problem = problemOf(killed.stderr);
    expect(problem).toMatchObject({ code: 'KILL_INCOMPLETE' });
    expect(problem.message).toMatch(/could not be killed yet: .*ECONNREFUSED.*all others by 20\S+Z/);
    expect(killed.answer).toMatchObject({
      killed: [],
      failed: [
        { region: a.region, wish: expect.any(String) as unknown, lapsesBy: expect.any(String) as unknown },
      ],
    });
    const { failed } = killed.answer as { failed: readonly { lapsesBy: string }[] };
    const lapsesBy = Date.parse(failed[0]?.lapsesBy ?? '');

    const { answer } = await ask('status');
    const regions = (answer as { jobs: { regions: Record<string, unknown>[] }[] }).jobs[0]?.regions ?? [];
    const of = (place: Region) => regions.find((each) => each['region'] === place.region);
    expect(of(a)).toMatchObject({
      gate: null,
      flag: { enabled: false },
      killWish: { reason: 'it must stop' },
      unreachable: expect.stringContaining('ECONNREFUSED') as unknown,
    });
    expect(of(b)).toMatchObject({ gate: { permits: true }, killWish: null, unreachable: null });
    const { stderr, stdout } = await portcullis(['runs'], { env }).finished;
    expect(stderr).toContain('without PORTCULLIS_DATABASE_URL_A, which cannot be reached');
    expect(stdout).toContain(b.region);
    expect(stdout).not.toContain(a.region);

    // Nobody had to reach it for that: the permit has expired by when it was said to.
    await setTimeout(Math.max(0, lapsesBy - Date.now()));
    expect(await gateOf(a)).toMatchObject({ permits: false });
    // The test's own look went past the cut; what was on its way when it came may still have committed.
    expect(await batchesIn(a)).toBeLessThanOrEqual(cutAt + 1);
    await a.way.open();
    await until('the worker has killed it', async () => (await gateOf(a))?.state === 'killed');
    expect(await gateOf(a)).toMatchObject({
      reason: 'it must stop',
      by: 'admin',
    });
    await until('its runs are over', async () => {
      const { rowCount } = await a.owner.query(
        `select from portcullis_region.run
         where region = $1 and not dry_run and status in ('planning', 'applying')`,
        [a.region],
      );
      return rowCount === 0;
    });
    expect(await gateOf(b)).toMatchObject({ permits: true });
    await until('the kill is on record, once', async () => {
      const { rowCount } = await control.owner.query(
        `select from portcullis_control.audit where action = 'kill' and subject = $1`,
        [`domain-claim.${a.region}`],
      );
      return rowCount === 1;
    });
  });

  test('without the control plane gates close by themselves, and can be killed all the same', async () => {
    await allToDoAgain(b);
    const working = startWorker();
    await writing(b);
    await control.way.cut();
    await until('the permit lapses', async () => (await gateOf(b))?.permits === false);
    const before = await batchesIn(b);
    await setTimeout(1_000);
    expect(await batchesIn(b)).toBe(before);
    expect(await gateOf(b)).toMatchObject({ state: 'open', permits: false });
    await stop(working);

    await control.way.open();
    expect((await portcullis(['status'], { env }).finished).stdout).toMatch(
      /permit expired: no worker renews it, since 20\S+Z/,
    );
    await control.way.cut();

    const killed = await ask(...kill(b));
    expect([killed.code, killed.stderr]).toEqual([0, '']);
    expect(killed.answer).toMatchObject({
      killed: [{ region: b.region }],
      failed: [],
      incident: null,
      unrecorded: expect.any(String) as unknown,
    });
    expect(await gateOf(b)).toMatchObject({
      state: 'killed',
      reason: 'break-glass, without the control database: it must stop',
    });
  });

  test('a kill that waits gets through when the region is back', async () => {
    const { epoch = 0 } = (await gateOf(b)) ?? {};
    await b.way.cut();
    const killing = portcullis(kill(b, '--wait', '60s'), { env });
    const asked = async () =>
      (await control.owner.query('select from portcullis_control.kill_wish where held_at is null'))
        .rowCount === 1;
    await until('it is on record', asked);
    await b.way.open();
    const { code, stdout, stderr } = await killing.finished;
    expect(code).toBe(0);
    expect(stderr).toContain(`domain-claim in ${b.region} could not be killed yet`);
    expect(stdout).toContain('domain-claim is killed');
    expect((await gateOf(b))?.epoch).toBeGreaterThan(epoch);
    expect(await asked()).toBe(false);
  });

  test('a kill that waits in vain says so when its time is over', async () => {
    await b.way.cut();
    const { code, stderr } = await portcullis(kill(b, '--wait', '2s'), { env }).finished;
    expect(code).toBe(1);
    expect(stderr).toContain('KILL_INCOMPLETE');
  });

  test('a process that serves a region says which variable it lacks', async () => {
    const lacking = Object.fromEntries(Object.entries(env).filter(([name]) => !/_[AB]$/.test(name)));
    const all = await portcullis(['worker'], { env: lacking }).finished;
    expect(all.code).toBe(2);
    expect(all.stderr).toContain('CONFIG_INVALID');
    expect(all.stderr).toContain('PORTCULLIS_DATABASE_URL_A is not set');
    expect(all.stderr).toContain('PORTCULLIS_DATABASE_URL_B is not set');
  });

  test("a region's directory goes out of its own database and comes back into it", async () => {
    const folder = await temporaryFolder();
    const exported = await ask('directory', 'export', folder, '--region', a.region);
    const file = (name: string): string[] => [`--${name}`, join(folder, `${name}.csv`)];
    const files = ['organisations', 'accounts', 'domains'].flatMap(file);
    const imported = await ask('directory', 'import', ...files, '--replace', '--region', a.region);
    expect(imported).toMatchObject({ code: 0, answer: (exported.answer as { rows: object }).rows });

    // Of other regions there is nothing in this database any more; the others have what they had.
    const accounts = async (where: Reached) => {
      const { rows } = await where.owner.query<{ regions: number }>(
        'select count(distinct home_region) as regions from directory.account',
      );
      return rows[0]?.regions;
    };
    expect(await Promise.all([a, b, control].map(accounts))).toEqual([1, 6, 6]);
    const { rows } = await control.owner.query(
      `select evidence ->> 'region' as region from portcullis_control.audit where action = 'import-directory'`,
    );
    expect(rows).toEqual([{ region: a.region }]);

    const misspelt = await ask('directory', 'import', ...files, '--region', `${a.region}x`);
    expect([misspelt.code, problemOf(misspelt.stderr).code]).toEqual([2, 'REGION_UNKNOWN']);
    await a.way.cut();
    const away = await ask('directory', 'import', ...files, '--replace', '--region', a.region);
    expect(problemOf(away.stderr).code).toBe('DATABASE_UNREACHABLE');
  });
});
