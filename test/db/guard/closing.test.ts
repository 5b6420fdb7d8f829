import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { onFaultPoint } from '../../../src/kernel/fault-point.js';
import { readGate } from '../../../src/gate/permit.js';
import type { Close } from '../../../src/flags/guard-policy.js';
import { closingOf } from '../../../src/containment/closing.js';
import { carryOutTrip, concludeTrip, type TripDatabases } from '../../../src/containment/trip.js';
import { unsettledTrip, writeTrip, type TripOrder } from '../../../src/containment/trip-row.js';
import { postMortemOf } from '../../../src/incidents/post-mortem.js';
import { runbookOf } from '../../../src/incidents/runbook.js';
import { timelineOf } from '../../../src/incidents/timeline.js';
import { notificationsOf } from '../../../src/notify/browse.js';
import { stopVersion } from '../../../src/rollout/stop-version.js';
import { createTripwire } from '../../../src/containment/tripwire.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { assessIncident } from '../../support/assess-incident.js';
import { testDatabase } from '../../support/database.js';
import { trip } from '../../support/trip.js';

const { owner } = await testDatabase();
const regionDatabases: TripDatabases = { control: owner, ownerOf: () => owner };
const REGION = 'eu-west-1';
const OTHER = 'us-east-1';
const CANDIDATE = '1.1.0_00000001';
const STABLE = '1.0.0_00000000';
const failed = { rule: 'asked-for', reason: 'asked-for: 3 rows', figures: {}, evidence: [] };

/** Each test has a job of its own. */
let job = '';
let jobs = 0;
beforeEach(async () => {
  jobs += 1;
  job = `job-${jobs}`;
  const variants = [
    { version: CANDIDATE, permille: 100 },
    { version: STABLE, permille: 900 },
  ];
  for (const region of [REGION, OTHER]) {
    await owner.query(
      `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
       values ($1, $2, true, $3, 'test', 'test')`,
      [job, region, JSON.stringify(variants)],
    );
    await readGate(owner, job, region);
    await owner.query(
      `update portcullis_region.gate set state = 'open', permit_until = clock_timestamp() + interval '1 hour'
       where job = $1 and region = $2`,
      [job, region],
    );
  }
});
afterEach(() => onFaultPoint(undefined));

const BASE = [{ version: STABLE, permille: 1000 }];

type Standing = 'baking' | 'aborted' | 'done here' | 'completed' | 'elsewhere' | 'none';

/** A rollout of the candidate that stands so in the region. */
async function rollOut(standing: Standing): Promise<void> {
  if (standing === 'none') return;
  const id = randomUUID();
  const over = standing === 'aborted' || standing === 'completed';
  await owner.query(
    `insert into portcullis_control.rollout (id, job, version, status, policy, reason, started_by, started_at,
       looked_at, watched_since, ended_at, ended_by, end_reason)
     select $1, $2, $3, $4, '{}', 'test', 'ann', now, now, now, case when $5 then now end,
       case when $5 then 'ann' end, case when $5 then 'over' end
     from (select clock_timestamp() as now) t`,
    [id, job, CANDIDATE, over ? standing : 'running', over],
  );
  const done = standing === 'done here' || standing === 'completed';
  await owner.query(
    `insert into portcullis_control.rollout_part (rollout, region, step, since, flag_revision, base, done_at)
     select $1, region, 0, clock_timestamp(), revision, $4, case when $5 then clock_timestamp() end
     from portcullis_control.flag where job = $3 and region = $2`,
    [id, standing === 'elsewhere' ? OTHER : REGION, job, JSON.stringify(BASE), done],
  );
}

const orderOf = (
  close: Close | undefined,
  shared: readonly string[] = [],
  version: string | null = CANDIDATE,
): TripOrder => ({
  ...{ job, region: REGION, version, run: null, stage: 'bake', restore: 'propose', failed: [failed] },
  closing: closingOf({ restore: 'propose', ...(close !== undefined && { close }) }, { version, shared }),
});

async function world() {
  const here = await readGate(owner, job, REGION);
  const there = await readGate(owner, job, OTHER);
  return {
    here: here.state,
    there: there.state,
    epochs: [here.epoch, here.versionEpochs[CANDIDATE] ?? 0, here.versionEpochs[STABLE] ?? 0],
    quarantined: Object.keys(here.quarantined),
  };
}

const before = { here: 'open', there: 'open' };
const CLOSED = {
  candidate: { ...before, epochs: [1, 1, 0], quarantined: [CANDIDATE] },
  region: { ...before, here: 'killed', quarantined: [CANDIDATE] },
};

describe('a trip of a version', () => {
  test.each([
    // onTrip.close, whose evidence, the version's rollout, closes
    [undefined, 'its own', 'baking', 'candidate'],
    [undefined, 'its own', 'aborted', 'candidate'],
    [undefined, 'its own', 'done here', 'region'],
    [undefined, 'its own', 'completed', 'region'],
    [undefined, 'its own', 'elsewhere', 'region'],
    [undefined, 'its own', 'none', 'region'],
    [undefined, 'shared', 'baking', 'region'],
    [undefined, 'shared', 'none', 'region'],
    ['candidate', 'its own', 'baking', 'candidate'],
    ['candidate', 'shared', 'baking', 'candidate'],
    ['candidate', 'its own', 'completed', 'region'],
    ['candidate', 'shared', 'none', 'region'],
    ['region', 'its own', 'baking', 'region'],
    ['region', 'shared', 'baking', 'region'],
    ['region', 'its own', 'none', 'region'],
  ] as const)(
    'under close: %s, evidence %s, rollout %s, closes the %s, and everything shown says so',
    async (close, evidence, standing, closes) => {
      await rollOut(standing);
      const order = orderOf(close, evidence === 'shared' ? ['errors'] : []);
      const { trip: made, incident = '', left } = await trip(regionDatabases, order);
      expect(left).toEqual([]);
      expect(made.closed.close).toBe(closes);
      expect(await world()).toMatchObject(CLOSED[closes]);

      const [notice] = await notificationsOf(owner, incident);
      expect(notice?.title).toBe(`${job} ${CANDIDATE} tripped in ${REGION}: asked-for`);
      expect(notice?.lines[1]).toBe(
        closes === 'candidate'
          ? `${CANDIDATE} is quarantined and may act in no region; the gate of ${REGION} stays open for other versions (${made.closed.why}).`
          : `The gate of ${REGION} is killed, and ${CANDIDATE} may act in no region (${made.closed.why}).`,
      );
      const looked = await assessIncident(owner, () => owner, incident, 'system:incidents');
      expect(looked.incident).toMatchObject({
        ...{ version: CANDIDATE, state: 'contained' },
        evidence: [{ facts: { closed: closes, closedWhy: made.closed.why } }],
      });
      const moments = await timelineOf(owner, looked);
      const fenced = moments.find(({ kind }) => kind === 'fenced')?.what;
      const commands = runbookOf(looked).flatMap((step) => step.commands);
      const draft = postMortemOf(looked, moments);
      const { rows: flags } = await owner.query(
        'select variants from portcullis_control.flag where job = $1 and region = $2',
        [job, REGION],
      );
      // What the rollout under way gave goes back to whom it was taken from: the stable version loses no unit.
      const back = standing === 'baking' || standing === 'done here';
      expect(flags).toEqual([{ variants: back ? BASE : [{ version: STABLE, permille: 900 }] }]);
      if (closes === 'candidate') {
        expect(fenced).toMatch(`quarantined ${CANDIDATE} in ${REGION}`);
        expect(draft).toContain(`${CANDIDATE} alone in ${REGION}, its gate stayed open: `);
        expect(commands.join('\n')).not.toMatch(/--region eu-west-1 --reason/);
      } else {
        expect(fenced).toMatch(`closed the gate ${job}.${REGION}`);
        expect(draft).toContain(`the gate of ${REGION}: `);
        expect(commands.join('\n')).toMatch(`rearm ${job} --region ${REGION}`);
      }
      const { rows } = await owner.query(
        `select evidence ->> 'closed' as closed from portcullis_control.audit
         where action = 'trip' and subject = $1`,
        [`${job}.${REGION}`],
      );
      expect(rows).toEqual([{ closed: closes }]);
    },
  );

  test('that names none closes the region, also where the policy says candidate', async () => {
    await rollOut('baking');
    const { trip: made } = await trip(regionDatabases, orderOf('candidate', [], null));
    expect(made.closed).toEqual({ close: 'region', why: 'no version is named' });
    expect(await world()).toMatchObject({ here: 'killed', quarantined: [] });
  });

  test('closes the region where the control database does not say whether it is a candidate', async () => {
    await rollOut('baking');
    const gone = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    const written = await writeTrip(owner, orderOf(undefined));
    const tripped = await carryOutTrip({ control: gone, ownerOf: () => owner }, written);
    await gone.end();
    expect(tripped.trip.closed).toEqual({
      close: 'region',
      why: `the control database did not say whether ${CANDIDATE} is a candidate in ${REGION}`,
    });
    expect(await world()).toMatchObject(CLOSED.region);
  });

  test('of a candidate stops it before anybody is asked whether it is one', async () => {
    await rollOut('baking');
    const written = await writeTrip(owner, orderOf(undefined));
    let asked = false;
    const control = new Proxy(owner, {
      get(pool, name) {
        if (name !== 'query') return Reflect.get(pool, name) as unknown;
        return async () => {
          asked = true;
          expect((await readGate(owner, job, REGION)).versionEpochs[CANDIDATE]).toBe(1);
          throw new Error('away');
        };
      },
    });
    await carryOutTrip({ control, ownerOf: () => owner }, written);
    expect(asked).toBe(true);
    expect(await world()).toMatchObject({ here: 'killed' });
  });

  test('closes the same when it is carried out again after a crash, whatever became of the rollout', async () => {
    await rollOut('baking');
    const written = await writeTrip(owner, orderOf(undefined));
    onFaultPoint((point) => {
      if (point === 'trip.fenced') throw new Error('died');
    });
    await expect(carryOutTrip(regionDatabases, written)).rejects.toThrow('died');
    onFaultPoint(undefined);
    await owner.query(
      `update portcullis_control.rollout_part set done_at = clock_timestamp()
       where rollout = (select id from portcullis_control.rollout where job = $1)`,
      [job],
    );
    const again = await inTransaction(owner, (client) =>
      unsettledTrip(client, { job, region: REGION, version: CANDIDATE }),
    );
    if (!again) throw new Error('it is gone');
    await concludeTrip(regionDatabases, await carryOutTrip(regionDatabases, again));
    expect(await world()).toMatchObject(CLOSED.candidate);
  });

  test('that closed the candidate is not made again by the rollout that sees the verdict', async () => {
    await rollOut('baking');
    await trip(regionDatabases, orderOf(undefined));
    const trips = createTripwire(regionDatabases, createMetrics(), createLogger({ level: 'silent' }));
    const { rule, reason } = failed;
    const fault = { job, version: CANDIDATE, region: REGION, failed: { rule, reason }, reason };
    await stopVersion(regionDatabases, trips, fault);
    const { rows } = await owner.query('select closed from portcullis_region.trip where job = $1', [job]);
    expect(rows).toEqual([{ closed: 'candidate' }]);
    expect(await world()).toMatchObject(CLOSED.candidate);
  });
});
