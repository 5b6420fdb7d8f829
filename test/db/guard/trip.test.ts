import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { onFaultPoint, type TripFaultPoint } from '../../../src/kernel/fault-point.js';
import { killGate } from '../../../src/containment/kill-gate.js';
import { readGate } from '../../../src/gate/permit.js';
import { rearmGate } from '../../../src/containment/rearm.js';
import { createTripwire } from '../../../src/containment/tripwire.js';
import { dropGateBy, type BakeFailure } from '../../../src/containment/drop-gate.js';
import { carryOutTrip, concludeTrip, type TripDatabases } from '../../../src/containment/trip.js';
import { unsettledTrip, writeTrip, type TripOrder } from '../../../src/containment/trip-row.js';
import { elect, type Run } from '../../../src/runs/election.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { OWN, trip } from '../../support/trip.js';

const database = await testDatabase();
const { owner } = database;
const regionDatabases: TripDatabases = { control: owner, ownerOf: () => owner };
const REGION = 'eu-west-1';
const OTHERS = ['ap-south-1', 'us-east-1'];
const VERSION = '1.1.0_00000001';

/** Each test has a job of its own. */
let job = '';
let jobs = 0;
beforeEach(async () => {
  jobs += 1;
  job = `job-${jobs}`;
  for (const region of [REGION, ...OTHERS]) {
    await owner.query(
      `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
       values ($1, $2, true, $3, 'test', 'test')`,
      [
        job,
        region,
        JSON.stringify([
          { version: VERSION, permille: 250 },
          { version: '1.0.0_00000000', permille: 750 },
        ]),
      ],
    );
    await readGate(owner, job, region);
  }
});
afterEach(() => onFaultPoint(undefined));

const broken = {
  rule: 'asked-for',
  reason: 'asked-for: 3 rows',
  figures: { observed: 3 },
  evidence: [{ key: 'a' }],
};

async function runOf(leaseMs: number): Promise<Run> {
  const claim = { job, version: VERSION, region: REGION, trigger: 'manual', worker: 'w', leaseMs } as const;
  const election = await elect(owner, claim);
  if (!election.elected) throw new Error(election.why);
  return election.run;
}

const orderOf = (run: string | null, changes: Partial<TripOrder> = {}): TripOrder => ({
  job,
  region: REGION,
  version: VERSION,
  run,
  stage: 'plan',
  failed: [broken],
  restore: 'propose',
  closing: OWN,
  ...changes,
});

/** All that a trip leaves behind. */
async function world() {
  const ask = async (sql: string) => (await owner.query<Record<string, unknown>>(sql, [job])).rows;
  return {
    gates: await ask(`select region, state from portcullis_region.gate where job = $1 order by region`),
    quarantined: await ask(`select version from portcullis_region.quarantine where job = $1`),
    shares: await ask(`select distinct variants from portcullis_control.flag where job = $1`),
    incidents: await ask(`select version, cause, state from portcullis_control.incident where job = $1`),
    trips: await ask(
      `select t.version, t.stage, t.settled_at is not null as settled, c.id is not null as recorded
       from portcullis_region.trip t left join portcullis_control.trip c using (id) where t.job = $1`,
    ),
    notices: await ask(`select title, lines ->> 0 as line from portcullis_control.notice where job = $1`),
    audited: await ask(
      `select action from portcullis_control.audit where subject like $1 || '.%' order by action`,
    ),
    runs: await ask(`select status, reason_code, reason from portcullis_region.run where job = $1`),
  };
}

const AFTER = {
  gates: [
    { region: 'ap-south-1', state: 'held' },
    { region: REGION, state: 'killed' },
    { region: 'us-east-1', state: 'held' },
  ],
  quarantined: [{ version: VERSION }],
  shares: [{ variants: [{ version: '1.0.0_00000000', permille: 750 }] }],
  incidents: [{ version: VERSION, cause: 'trip', state: 'contained' }],
  trips: [{ version: VERSION, stage: 'plan', settled: true, recorded: true }],
  audited: ['set-flag', 'set-flag', 'set-flag', 'trip'].map((action) => ({ action })),
  runs: [{ status: 'refused', reason_code: 'guard-tripped', reason: 'asked-for: 3 rows' }],
};

describe('a trip', () => {
  test('kills the gate, quarantines the version everywhere, takes its share, opens an incident, and tells', async () => {
    const run = await runOf(60_000);
    const tripped = await trip(regionDatabases, orderOf(run.id));
    expect(tripped.left).toEqual([]);
    expect(await world()).toEqual({
      ...AFTER,
      notices: [{ title: `${job} ${VERSION} tripped in ${REGION}: asked-for`, line: 'asked-for: 3 rows' }],
    });
  });

  test('of another rule joins the incident of the first, and each is told once', async () => {
    const first = await trip(regionDatabases, orderOf(null, { stage: 'bake' }));
    const second = await trip(regionDatabases, orderOf(null, { stage: 'bake', region: 'us-east-1' }));
    expect(second.incident).toBe(first.incident);
    const { incidents, notices } = await world();
    expect(incidents).toHaveLength(1);
    expect(notices).toHaveLength(2);
  });

  test('without a version kills the gate, switches off that region’s flag, and quarantines none', async () => {
    await trip(regionDatabases, orderOf(null, { version: null, stage: 'bake' }));
    const { quarantined, incidents } = await world();
    expect(quarantined).toEqual([]);
    expect(incidents).toEqual([{ version: null, cause: 'trip', state: 'contained' }]);
    const { rows } = await owner.query(
      'select region from portcullis_control.flag where job = $1 and not enabled',
      [job],
    );
    expect(rows).toEqual([{ region: REGION }]);
  });

  test('carried out again does not close a gate that people have opened since', async () => {
    const written = await writeTrip(owner, orderOf(null));
    await carryOutTrip(regionDatabases, written);
    await owner.query(`update portcullis_region.gate set state = 'open' where job = $1 and region = $2`, [
      job,
      REGION,
    ]);
    const again = await inTransaction(owner, (client) =>
      unsettledTrip(client, { job, region: REGION, version: VERSION }),
    );
    if (!again) throw new Error('it is gone');
    await concludeTrip(regionDatabases, await carryOutTrip(regionDatabases, again));
    expect(await readGate(owner, job, REGION)).toMatchObject({ state: 'open' });
    expect((await world()).notices).toHaveLength(1);
  });
});

describe('a trip whose control plane cannot be reached', () => {
  test('closes the region all the same, and is brought to its end when it can', async () => {
    const run = await runOf(0);
    const gone = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    const written = await writeTrip(owner, orderOf(run.id));
    const tripped = await carryOutTrip({ control: gone, ownerOf: () => owner }, written);
    await gone.end();
    expect(tripped.left).toHaveLength(2);
    expect(await readGate(owner, job, REGION)).toMatchObject({ state: 'killed' });
    const { quarantined, incidents, trips } = await world();
    expect({ quarantined, incidents }).toEqual({ quarantined: [{ version: VERSION }], incidents: [] });
    expect(trips).toEqual([{ version: VERSION, stage: 'plan', settled: false, recorded: false }]);
    await owner.query(`update portcullis_region.trip set at = at - interval '1 minute' where id = $1`, [
      written.id,
    ]);
    await createTripwire(regionDatabases, createMetrics(), createLogger({ level: 'silent' })).finishForsaken(
      owner,
    );
    expect(await world()).toMatchObject(AFTER);
  });
});

describe('a worker that dies in the middle of a trip', () => {
  test.each<TripFaultPoint>([
    'trip.written',
    'trip.fenced',
    'trip.quarantined',
    'trip.recorded',
    'trip.run-ended',
  ])('at %s leaves what another brings to the same end', async (point) => {
    const run = await runOf(0);
    const written = await writeTrip(owner, orderOf(run.id));
    onFaultPoint((at) => {
      if (at === point) throw new Error('the worker is gone');
    });
    const dies = carryOutTrip(regionDatabases, written).then((tripped) =>
      concludeTrip(regionDatabases, tripped),
    );
    await expect(dies).rejects.toThrow('the worker is gone');
    onFaultPoint(undefined);
    await owner.query(`update portcullis_region.trip set at = at - interval '1 minute' where id = $1`, [
      written.id,
    ]);
    const metrics = createMetrics();
    await createTripwire(regionDatabases, metrics, createLogger({ level: 'silent' })).finishForsaken(owner);
    expect(await world()).toMatchObject(AFTER);
    expect((await world()).notices).toHaveLength(1);
  });

  test('is left alone while its run’s lease is alive', async () => {
    const run = await runOf(60_000);
    await writeTrip(owner, orderOf(run.id));
    await createTripwire(regionDatabases, createMetrics(), createLogger({ level: 'silent' })).finishForsaken(
      owner,
    );
    expect(await readGate(owner, job, REGION)).toMatchObject({ state: 'held' });
  });
});

describe('a trip by policy', () => {
  test.each([
    ['auto', 1],
    ['propose', 0],
    ['never', 0],
  ] as const)(
    'whose restore is %s begins %d restores of what its run has written',
    async (restore, begun) => {
      const run = await runOf(60_000);
      await owner.query(
        `insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt) values ($1, 0, 0, 10, 1)`,
        [run.id],
      );
      await trip(regionDatabases, orderOf(run.id, { stage: 'apply', restore }));
      const { rows } = await owner.query('select id from portcullis_region.run where restores = $1', [
        run.id,
      ]);
      expect(rows).toHaveLength(begun);
    },
  );

  test('begins none where its run has written nothing', async () => {
    const run = await runOf(60_000);
    await trip(regionDatabases, orderOf(run.id, { restore: 'auto' }));
    const { rows } = await owner.query('select id from portcullis_region.run where restores = $1', [run.id]);
    expect(rows).toEqual([]);
  });
});

test('a trip and a kill of the same gate at the same time both hold', async () => {
  const order = { job, region: REGION, reason: 'by hand', by: 'ada' };
  await Promise.all([trip(regionDatabases, orderOf(null)), killGate(owner, order)]);
  expect(await readGate(owner, job, REGION)).toMatchObject({ state: 'killed' });
});

test('an event that is reported by two at once, and again after a re-arm, trips once', async () => {
  const trips = createTripwire(regionDatabases, createMetrics(), createLogger({ level: 'silent' }));
  const drop = dropGateBy(() => owner, trips);
  const judged = { ...broken, verdict: 'fail' } as const;
  const failure: BakeFailure = {
    ...{ job, region: REGION, version: null, restore: 'propose' },
    failed: [judged],
    closing: { close: 'region', why: 'no version is named' },
  };
  const report = (event: string): Promise<unknown> => drop({ ...failure, event });
  const state = async () => (await readGate(owner, job, REGION)).state;
  await Promise.all([report('alert a of 09:30'), report('alert a of 09:30')]);
  expect(await state()).toBe('killed');
  const { epoch } = await readGate(owner, job, REGION);
  await rearmGate(owner, { job, region: REGION, epoch, reason: 'fixed', by: 'ada', onRearm: 'skip' });
  await report('alert a of 09:30');
  expect(await state()).toBe('held');
  const count = async () => {
    const { rows } = await owner.query<{ n: number }>(
      'select count(*) as n from portcullis_region.trip where job = $1',
      [job],
    );
    return rows[0]?.n;
  };
  expect(await count()).toBe(1);
  await report('alert a of 10:30');
  expect(await state()).toBe('killed');
  expect(await count()).toBe(2);
});
