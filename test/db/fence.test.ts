import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { messageOf } from '../../src/kernel/errors.js';
import { passFence, type Passage } from '../../src/gate/fence.js';
import { killGate, type Killed } from '../../src/containment/kill-gate.js';
import { killJob } from '../../src/containment/kill.js';
import { readGate } from '../../src/gate/permit.js';
import { elect } from '../../src/runs/election.js';
import { electRestore } from '../../src/runs/election.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { claiming } from '../support/claiming.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { person } from '../support/people.js';

const database = await testDatabase();
const here = await claiming(database);
const { job } = here;
const { owner } = database;

const ANN = person('ann', 'operator');
const GRACE_MS = 50;
const kill = (
  changes: { version?: string; restoresToo?: boolean } = {},
  graceMs = GRACE_MS,
): Promise<Killed> =>
  killGate(owner, { job: 'claims', region: here.region, reason: 'enough', by: 'ann', ...changes }, graceMs);

async function lanesOf(run: string): Promise<number[]> {
  const { rows } = await owner.query<{ attempt: number }>(
    'select attempt from portcullis_region.lane where run = $1 order by lane',
    [run],
  );
  return rows.map(({ attempt }) => attempt);
}

/** A run, or a restore of one, with two lanes that are being applied. */
async function applying(version: string, restores?: string): Promise<string> {
  const place = { job: 'claims', region: here.region, worker: 'w', leaseMs: 20_000 };
  const election =
    restores === undefined
      ? await elect(owner, { ...place, version, trigger: 'manual' })
      : {
          elected: true as const,
          run: await electRestore(owner, { of: restores, worker: 'w', leaseMs: 20_000 }),
        };
  if (!election.elected || !election.run) throw new Error('it was not elected');
  const { id } = election.run;
  await owner.query(`update portcullis_region.run set status = 'applying' where id = $1`, [id]);
  await owner.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq) values ($1, 0, 1, 10), ($1, 1, 1, 10)`,
    [id],
  );
  return id;
}

/** A connection that a test leaves in the kill's way. */
async function holding(url: string, ...statements: string[]): Promise<{ lost: Promise<unknown> }> {
  const client = new pg.Client({ connectionString: url });
  const lost = new Promise((resolve) => client.on('error', resolve));
  await client.connect();
  for (const each of statements) await client.query(each);
  return { lost };
}

const lock = (how: string): string => `select ${how}(7020210, hashtext('claims.${here.region}'))`;

describe('a kill', () => {
  test('gives the lanes of the runs that it stops another attempt, and not those of restores', async () => {
    const run = await applying('1.0.0_a');
    const restore = await applying('1.0.0_a', run);
    await kill();
    expect([await lanesOf(run), await lanesOf(restore)]).toEqual([
      [2, 2],
      [1, 1],
    ]);
    await kill({ restoresToo: true });
    expect([await lanesOf(run), await lanesOf(restore)]).toEqual([
      [3, 3],
      [2, 2],
    ]);
  });

  test('of a version gives only its lanes another attempt, and leaves the gate’s epoch as it was', async () => {
    const bad = await applying('1.1.0_b');
    const good = await applying('1.0.0_a');
    const before = await readGate(owner, 'claims', here.region);
    expect(await kill({ version: '1.1.0_b' })).toMatchObject({ epoch: 1 });
    expect(await kill({ version: '1.1.0_b' })).toMatchObject({ epoch: 2 });
    expect([await lanesOf(bad), await lanesOf(good)]).toEqual([
      [3, 3],
      [1, 1],
    ]);
    const after = await readGate(owner, 'claims', here.region);
    expect(after).toMatchObject({ epoch: before.epoch, versionEpochs: { '1.1.0_b': 2 } });
  });

  test('of one version lets the run of another go on to its end', async () => {
    const report = await here.runUntil('apply.committed', 2, () => kill({ version: '9.9.9_bad' }));
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(report?.run.attempt).toBe(1);
  });

  test('of one version ends the connection of another’s batch that keeps it waiting, and that run goes on', async () => {
    let killed: Killed | undefined;
    const report = await here.runUntil('apply.written', 3, async () => {
      killed = await kill({ version: '9.9.9_bad' });
    });
    expect(killed).toMatchObject({ inFlight: 1, terminated: 1 });
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 200 }, conflicts: 0 });
  });

  test('does not wait for a lane that a takeover holds and stands still with', async () => {
    const run = await applying('1.0.0_a');
    const client = await owner.connect();
    await client.query('begin');
    await client.query('select from portcullis_region.lane where run = $1 and lane = 0 for update', [run]);
    await kill();
    await client.query('rollback');
    client.release();
    expect(await lanesOf(run)).toEqual([1, 2]);
  });

  test.each([
    ['the lock alone, at session level', () => [lock('pg_advisory_lock')]],
    ['the lock shared, at session level', () => [lock('pg_advisory_lock_shared')]],
    ['the lock alone, and goes on working', () => [lock('pg_advisory_lock'), 'begin']],
    [
      'the gate’s row',
      () => ['begin', `update portcullis_region.gate set reason = reason where region = '${here.region}'`],
    ],
  ])('ends another login that holds %s', async (_, statements) => {
    await readGate(owner, 'claims', here.region);
    const { lost } = await holding(database.workerUrl, ...statements());
    expect(await kill()).toMatchObject({ terminated: 1 });
    await lost;
    expect(await readGate(owner, 'claims', here.region)).toMatchObject({ state: 'killed' });
  });

  test('ends another login that is in the middle of a statement with the lock', async () => {
    const busy = new pg.Client({ connectionString: database.workerUrl });
    busy.on('error', () => undefined);
    await busy.connect();
    const slept = busy
      .query(`${lock('pg_advisory_lock')}, pg_sleep(600)`)
      .catch((error: unknown) => messageOf(error));
    await until('it has the lock', async () => {
      const { rowCount } = await owner.query(
        `select from pg_locks where locktype = 'advisory' and objid = hashtext('claims.${here.region}')::oid and granted`,
      );
      return rowCount === 1;
    });
    expect(await kill()).toMatchObject({ terminated: 1 });
    expect(await slept).toMatch(/terminat/i);
    await busy.end().catch(() => undefined);
  });

  test('ends a connection of its own login that has kept the lock at session level and says nothing', async () => {
    const { lost } = await holding(database.url, lock('pg_advisory_lock'));
    expect(await kill()).toMatchObject({ terminated: 1 });
    await lost;
  });

  test('given three times at once holds, and none ends another', async () => {
    const atOnce = (): Promise<Killed> => kill({}, 60_000);
    const killed = await Promise.all([atOnce(), atOnce(), atOnce()]);
    expect(killed.map(({ terminated }) => terminated)).toEqual([0, 0, 0]);
    expect(killed.map(({ epoch }) => epoch).toSorted((one, other) => one - other)).toEqual([1, 2, 3]);
  });

  test('whose process dies before its bookkeeping leaves a run that whoever takes it over ends as killed', async () => {
    const report = await here.runUntil('apply.committed', 3, () => kill());
    // Its own worker found the fence first, and ended it.
    expect(report).toMatchObject({ status: 'killed', code: 'gate-killed', applied: { claim: 30 } });
    expect(await lanesOf(report?.run.id ?? '')).toEqual([2]);
  });

  test('is on record with the runs that it ended', async () => {
    const run = await applying(job.version);
    await killJob(owner, () => owner, { job: 'claims', regions: [here.region], reason: 'bad' }, ANN);
    const { rows } = await owner.query<{ evidence: object }>(
      `select evidence from portcullis_control.audit where action = 'kill' and subject = $1`,
      [`claims.${here.region}`],
    );
    expect(rows).toEqual([
      { evidence: expect.objectContaining({ reason: 'bad', runsEnded: [run], terminated: 0 }) },
    ]);
  });
});

describe('a batch of a run that rests on break-glass', () => {
  const passing = async (seconds: number): Promise<Passage> => {
    const { region } = here;
    const version = '1.0.0_a';
    await owner.query(
      `update portcullis_region.run set status = 'stopped', finished_at = clock_timestamp() where finished_at is null`,
    );
    const run = await applying(version);
    const { epoch } = await readGate(owner, 'claims', region);
    await owner.query(
      `update portcullis_region.gate set state = 'open', permit_until = clock_timestamp() + interval '1 hour'
       where job = 'claims' and region = $1`,
      [region],
    );
    const { rows } = await owner.query<{ until: Date }>(
      `select clock_timestamp() + $1 * interval '1 second' as until`,
      [seconds],
    );
    const leave = { job: 'claims', region, attempt: 1, epoch, version, versionEpoch: 0 };
    const stretch = { run, lane: 0, from: 0, to: 5 };
    return inTransaction(owner, (client) =>
      passFence(client, { ...leave, until: rows[0]?.until ?? null }, stretch),
    );
  };

  test('passes until that ends by the database, and no longer', async () => {
    expect(await passing(60)).toEqual({ passed: true });
    expect(await passing(-0.001)).toMatchObject({ passed: false, code: 'break-glass-ended' });
  });
});

describe('what the fence refused, and was over before it could say why', () => {
  /** Passes the fence with a restore's batch; `between` happens after the first refusal. */
  async function passing(between: () => Promise<unknown>): Promise<Passage> {
    const restore = await applying('1.0.0_a', await applying('1.0.0_a'));
    const { region } = here;
    await readGate(owner, 'claims', region);
    const leave = {
      job: 'claims',
      region,
      attempt: 1,
      epoch: null,
      version: '1.0.0_a',
      versionEpoch: 0,
      until: null,
    };
    return inTransaction(owner, async (client) => {
      const ask = client.query.bind(client) as (statement: unknown, ...rest: unknown[]) => Promise<unknown>;
      let asked = 0;
      client.query = (async (statement: unknown, ...rest: unknown[]) => {
        const answer = await ask(statement, ...rest);
        asked += 1;
        if (asked === 1) await between();
        return answer;
      }) as typeof client.query;
      try {
        return await passFence(client, leave, { run: restore, lane: 0, from: 0, to: 5 });
      } finally {
        client.query = ask as typeof client.query;
      }
    });
  }
  const confirmed = (identity: string): Promise<unknown> =>
    database.owner.query('update portcullis_region.confirmed_database set identity = $1', [identity]);

  test('is tried again: a database was confirmed in that moment', async () => {
    const { rows } = await owner.query<{ id: string }>('select portcullis_region.database_identity() as id');
    await confirmed('another/1');
    expect(await passing(() => confirmed(rows[0]?.id ?? ''))).toEqual({ passed: true });
  });

  test('is refused for what is in the way now', async () => {
    const { rows } = await owner.query<{ id: string }>('select portcullis_region.database_identity() as id');
    await confirmed('another/1');
    const passage = await passing(async () => {
      await confirmed(rows[0]?.id ?? '');
      await owner.query('update portcullis_region.gate set stopped = true where region = $1', [here.region]);
    });
    expect(passage).toMatchObject({ passed: false, code: 'all-stopped' });
  });
});
