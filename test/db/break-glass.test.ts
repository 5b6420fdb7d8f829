import { describe, expect, test } from '@jest/globals';
import type { Principal } from '../../src/access/roles.js';
import { noteRunsOf } from '../../src/app/break-glass.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import { noteExpired } from '../../src/flags/break-glass.js';
import { examineIncident } from '../../src/incidents/assess-incident.js';
import { openIncident } from '../../src/incidents/open-incident.js';
import { postMortemOf } from '../../src/incidents/post-mortem.js';
import { viewRollout } from '../../src/rollout/rollout-view.js';
import { findRun } from '../../src/runs/browse-runs.js';
import { embeddedDesk } from '../../src/flags/flag-desk.js';
import { inTransaction } from '../../src/postgres/pool.js';
import {
  askBreakGlass,
  type BreakGlassOrder,
  decideBreakGlass,
  revokeBreakGlass,
} from '../../src/rollout/break-glass.js';
import { abortRollout } from '../../src/rollout/steer.js';
import { timelineOf } from '../../src/incidents/timeline.js';
import type { Incident } from '../../src/incidents/incident.js';
import { serving, type Served } from '../http/serving.js';
import { testDatabase } from '../support/database.js';
import { person } from '../support/people.js';
import { ann, begunOn, bob } from '../support/rolling.js';
import { listBreakGlass } from '../../src/flags/browse-break-glass.js';

const database = await testDatabase();
const { owner } = database;
const desk = embeddedDesk(owner);
const SINCE = '2020-01-01T00:00:00Z';
const cem = person('cem', 'operator');

type Begun = Awaited<ReturnType<typeof begunOn>>;

const regionA = ({ regions }: Begun): string => regions[0] ?? '';

const order = (roll: Begun, changes: Partial<BreakGlassOrder> = {}): BreakGlassOrder => ({
  ...{ job: roll.job, version: roll.candidate.version, regions: [regionA(roll)] },
  ...{ permille: 500, reason: 'the fix cannot wait', ...changes },
});

/** Ann asks, and Bob agrees. */
async function granted(roll: Begun, changes: Partial<BreakGlassOrder> = {}): Promise<string> {
  const { id } = await askBreakGlass(roll.ports, order(roll, changes), ann);
  await decideBreakGlass(roll.ports, id, bob, 'approve');
  return id;
}

async function give(roll: Begun, permille: number, region = regionA(roll)): Promise<void> {
  const variants = [{ version: roll.candidate.version, permille }];
  await desk.set({ job: roll.job, region, variants, reason: 'urgent', changedBy: 'ann' });
}

interface RunOf {
  readonly id: string;
  readonly units: number;
  readonly asked: number | null;
  readonly admitted: number | null;
  readonly glass: string | null;
}

/** The candidate's next run in the first region. */
async function nextRun(roll: Begun): Promise<RunOf> {
  const [report] = await roll.slot([roll.candidate]);
  const { rows } = await owner.query<RunOf>(
    `select id, coalesce(admitted_units, 0) as units, asked_permille as asked, admitted_permille as admitted,
       break_glass as glass from portcullis_region.run where id = $1`,
    [report?.run.id],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('there was no run');
  return row;
}

/** The break-glass of the job's gates, as they are over HTTP. */
async function onGates(job: string): Promise<unknown[]> {
  served ??= await serving(owner);
  const { body } = await served.json(`/api/v1/gates?job=${job}`);
  return (body['items'] as { breakGlass: unknown }[]).map(({ breakGlass }) => breakGlass);
}
let served: Served | undefined;

async function expire(id: string): Promise<void> {
  await owner.query(
    `update portcullis_control.break_glass set expires_at = clock_timestamp() where id = $1`,
    [id],
  );
}

async function onRecord(id: string): Promise<string[]> {
  const { rows } = await owner.query<{ action: string }>(
    'select action from portcullis_control.audit where subject = $1 order by seq',
    [id],
  );
  return rows.map(({ action }) => action);
}

async function told(roll: Begun): Promise<string[]> {
  const { rows } = await owner.query<{ title: string }>(
    `select title from portcullis_control.notice where kind = 'break-glass' and job = $1 order by at`,
    [roll.job],
  );
  return rows.map(({ title }) => title);
}

describe('break-glass that two people agreed on', () => {
  test('gives a version more of one region, marks its runs for ever, and ends by itself', async () => {
    const roll = await begunOn(database);
    const [, b = ''] = roll.regions;
    const { id } = await askBreakGlass(roll.ports, order(roll), ann);
    await expect(give(roll, 500)).rejects.toMatchObject({ code: 'ADMISSION_EXCEEDED' });
    await decideBreakGlass(roll.ports, id, bob, 'approve');
    await give(roll, 500);
    await expect(give(roll, 600)).rejects.toMatchObject({ code: 'ADMISSION_EXCEEDED' });
    await expect(give(roll, 500, b)).rejects.toMatchObject({ code: 'ADMISSION_EXCEEDED' });
    const under = await nextRun(roll);
    expect(under).toMatchObject({ glass: id, asked: 500, admitted: 500 });
    expect(under.units).toBeGreaterThan(35);
    await noteRunsOf(owner, owner);
    await noteRunsOf(owner, owner);
    const flag = (await desk.list(roll.job)).find(({ region }) => region === regionA(roll));
    expect(flag?.breakGlass).toMatchObject([{ id, permille: 500, admitted: 100 }]);
    expect(await findRun(owner, under.id)).toMatchObject({ breakGlass: id, askedPermille: 500 });
    expect(
      (await viewRollout({ ...roll.ports, unitsOf: () => Promise.resolve(100) }, roll.job))?.breakGlass,
    ).toMatchObject([{ id, inForce: true }]);
    const incident = await inTransaction(owner, (client) =>
      openIncident(client, {
        ...{ job: roll.job, version: roll.candidate.version, cause: 'manual', title: 'test', evidence: {} },
        ...{
          by: 'ann',
          regions: [{ region: regionA(roll), firstRun: under.id, since: SINCE, containedAt: null }],
        },
      }),
    );
    const examined = await examineIncident(owner, () => owner, incident.id);
    expect(postMortemOf(examined, [])).toContain(`break-glass ${id}`);
    expect(postMortemOf(examined, [])).toContain('It acted beyond what a rollout had admitted');
    expect(await onGates(roll.job)).toEqual([
      [expect.objectContaining({ id, version: roll.candidate.version, permille: 500, admitted: 100 })],
      [],
      [],
    ]);

    await expire(id);
    const after = await nextRun(roll);
    expect(after).toMatchObject({ glass: null, asked: 500, admitted: 100 });
    expect(after.units).toBeLessThan(30);
    await inTransaction(owner, (client) => noteExpired(client, 'system:test'));
    await inTransaction(owner, (client) => noteExpired(client, 'system:test'));
    expect((await listBreakGlass(owner, { id }))[0]).toMatchObject({
      ...{ inForce: false, ended: 'expired', runs: [under.id] },
    });
    expect(await onRecord(id)).toEqual([
      ...['request-approval', 'grant-break-glass', 'approve', 'use-break-glass', 'expire-break-glass'],
    ]);
    expect(await onGates(roll.job)).toEqual([[], [], []]);
    const moments = (await timelineOf(owner, examined)).filter(({ what }) => what.includes(id));
    expect(moments.map(({ kind, who }) => `${kind} ${who ?? ''}`)).toEqual([
      'grant-break-glass bob',
      'use-break-glass system:break-glass',
      'expire-break-glass system:test',
    ]);
    const elsewhere = { ...examined.incident, regions: [{ ...examined.incident.regions[0], region: b }] };
    expect(
      (await timelineOf(owner, { ...examined, incident: elsewhere as Incident })).filter(({ what }) =>
        what.includes(id),
      ),
    ).toEqual([]);
    expect(await told(roll)).toEqual([
      expect.stringContaining('ann asks for break-glass'),
      expect.stringContaining('which no rollout has admitted'),
      expect.stringContaining('expired at'),
    ]);
    expect((await verifyAudit(owner)).ok).toBe(true);
  });

  test('marks no run that keeps within what the rollout has admitted', async () => {
    const roll = await begunOn(database);
    await granted(roll);
    expect(await nextRun(roll)).toMatchObject({ glass: null, asked: 100, admitted: 100 });
  });

  test('of two, the larger counts until it ends, and then the other', async () => {
    const roll = await begunOn(database);
    const small = await granted(roll, { permille: 300 });
    const large = await granted(roll, { permille: 900 });
    await give(roll, 900);
    expect(await nextRun(roll)).toMatchObject({ glass: large, admitted: 900 });
    await expire(large);
    expect(await nextRun(roll)).toMatchObject({ glass: small, admitted: 300 });
  });

  test('is over at once when it is revoked, which takes no second person', async () => {
    const roll = await begunOn(database);
    const id = await granted(roll);
    await give(roll, 500);
    const viewer: Principal = { name: 'vic', role: 'viewer', regions: null };
    await expect(revokeBreakGlass(owner, { id, reason: 'x' }, viewer)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    const [revoked] = await revokeBreakGlass(owner, { id, reason: 'done' }, cem);
    expect(revoked).toMatchObject({ inForce: false, ended: 'revoked', endedBy: 'cem', endedReason: 'done' });
    expect(await nextRun(roll)).toMatchObject({ glass: null, admitted: 100 });
    await expect(revokeBreakGlass(owner, { id, reason: 'done' }, cem)).rejects.toMatchObject({
      code: 'NOTHING_REACHED',
    });
  });

  test.each([
    ['an abort', (roll: Begun) => abortRollout(owner, { job: roll.job, reason: 'bad' }, ann)],
    ['a trip', (roll: Begun) => roll.trip(regionA(roll))],
    [
      'a kill of the version',
      ({ job, regions, candidate: { version } }: Begun) =>
        killWithIncident(owner, () => owner, { job, regions, version, reason: 'bad' }, ann),
    ],
  ])('is cleared by %s', async (_, act) => {
    const roll = await begunOn(database);
    const id = await granted(roll);
    await act(roll);
    expect(await listBreakGlass(owner, { id })).toMatchObject([{ inForce: false, ended: 'cleared' }]);
    expect(
      (await readAdmissions(owner)).of(roll.job, regionA(roll)).permille.get(roll.candidate.version),
    ).toBe(0);
    expect((await nextRun(roll)).glass).toBeNull();
  });
});

describe('a request for break-glass', () => {
  test('is decided by another person, who may approve there', async () => {
    const roll = await begunOn(database);
    const { id } = await askBreakGlass(roll.ports, order(roll), ann);
    const machine: Principal = { name: 'ci', role: 'admin', regions: null };
    for (const [who, code] of [
      [ann, 'FORBIDDEN'],
      [person('ann', 'admin'), 'APPROVAL_SELF'],
      [machine, 'MACHINE_CANNOT_APPROVE'],
      [{ ...bob, regions: ['elsewhere'] }, 'FORBIDDEN'],
    ] as const) {
      await expect(decideBreakGlass(roll.ports, id, who, 'approve')).rejects.toMatchObject({ code });
    }
    await expect(askBreakGlass(roll.ports, order(roll), bob)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await listBreakGlass(owner, { job: roll.job })).toEqual([]);
    await decideBreakGlass(roll.ports, id, bob, 'reject');
    await expect(decideBreakGlass(roll.ports, id, bob, 'approve')).rejects.toMatchObject({
      code: 'APPROVAL_DECIDED',
    });
    expect(await listBreakGlass(owner, { job: roll.job })).toEqual([]);
  });

  test.each([
    ['lasts too long', { forMs: 8 * 24 * 3_600_000 }, 'BREAK_GLASS_REFUSED'],
    ['asks for what the version has', { permille: 100 }, 'BREAK_GLASS_REFUSED'],
    ['names no region', { regions: [] }, 'BREAK_GLASS_REFUSED'],
    ['names a region that the policy has not', { regions: ['nowhere'] }, 'REGION_UNKNOWN'],
  ])('that %s is refused', async (_, changes, code) => {
    const roll = await begunOn(database);
    await expect(askBreakGlass(roll.ports, order(roll, changes), ann)).rejects.toMatchObject({ code });
  });

  test('for a version that is quarantined is refused', async () => {
    const roll = await begunOn(database);
    await roll.trip(regionA(roll));
    await expect(askBreakGlass(roll.ports, order(roll), ann)).rejects.toMatchObject({
      code: 'BREAK_GLASS_REFUSED',
    });
  });

  const worse: readonly [string, (roll: Begun) => Promise<unknown>][] = [
    ['the version was quarantined', (roll) => roll.trip(regionA(roll))],
    ['its rollout was aborted', (roll) => abortRollout(owner, { job: roll.job, reason: 'bad' }, ann)],
    [
      'a rule says something worse',
      (roll) => {
        const verdict = { rule: 'logins', verdict: 'fail', reason: 'bad', judgedAt: new Date() } as const;
        roll.verdicts.set(regionA(roll), [verdict]);
        return Promise.resolve();
      },
    ],
  ];
  test.each(worse)('does not count any more when %s since', async (_, act) => {
    const roll = await begunOn(database);
    const good = { rule: 'logins', verdict: 'pass', reason: 'good', judgedAt: new Date() } as const;
    roll.verdicts.set(regionA(roll), [good]);
    const { id } = await askBreakGlass(roll.ports, order(roll), ann);
    await act(roll);
    await expect(decideBreakGlass(roll.ports, id, bob, 'approve')).rejects.toMatchObject({
      code: 'BREAK_GLASS_REFUSED',
    });
    expect(await listBreakGlass(owner, { id })).toEqual([]);
  });

  test('does not count any more when it would reach more units', async () => {
    const roll = await begunOn(database);
    let units = 100;
    const sources = { ...roll.ports, unitsOf: () => Promise.resolve(units) };
    const { id } = await askBreakGlass(sources, order(roll), ann);
    units = 1_000;
    await expect(decideBreakGlass(sources, id, bob, 'approve')).rejects.toMatchObject({
      code: 'BREAK_GLASS_REFUSED',
      message: expect.stringContaining('it would reach more') as unknown,
    });
    units = 100;
    await decideBreakGlass(sources, id, bob, 'approve');
  });
});
