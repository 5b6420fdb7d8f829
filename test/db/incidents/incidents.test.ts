import { beforeEach, describe, expect, test } from '@jest/globals';
import { listAudit } from '../../../src/audit/browse-audit.js';
import { verifyAudit } from '../../../src/audit/verify.js';
import { findIncident, listIncidents } from '../../../src/incidents/browse-incidents.js';
import { closeIncident, moveIncident } from '../../../src/incidents/move-incident.js';
import { openIncident, type IncidentOrder, type Opened } from '../../../src/incidents/open-incident.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { testDatabase } from '../../support/database.js';

const { owner } = await testDatabase();

const V1 = '1.0.0_aaaaaaaa';
const V2 = '1.1.0_bbbbbbbb';
const STOPPED = '2026-03-01T10:00:05.000Z';

/** Each test has a job of its own. */
let job = '';
let jobs = 0;
beforeEach(() => {
  jobs += 1;
  job = `job-${jobs}`;
});

const open = (changes: Partial<IncidentOrder> = {}): Promise<Opened> =>
  inTransaction(owner, (client) =>
    openIncident(client, {
      job,
      version: V1,
      regions: [{ region: 'eu', containedAt: STOPPED }],
      cause: 'trip',
      title: 'claims-per-run: 4,812 planned where 40 were expected',
      evidence: { rule: 'claims-per-run', p: 3e-9 },
      by: 'system:guard',
      ...changes,
    }),
  );
const close = (id: string, falseAlarm = false) =>
  closeIncident(owner, id, { conclusion: 'a lost join condition', falseAlarm, by: 'ann' });
const move = { by: 'ann', reason: 'as the runbook says' };

async function onRecord(id: string): Promise<string[]> {
  const { items } = await listAudit(owner, { subject: id }, { limit: 50 });
  return items.map(({ principal, action }) => `${principal} ${action}`).reverse();
}

describe('an incident', () => {
  test('is opened with an id that can be typed, its evidence, and a line on the record', async () => {
    const { id, joined } = await open();
    expect(joined).toBe(false);
    expect(id).toMatch(/^[a-z2-7]{8}$/);
    expect(await findIncident(owner, ` ${id.toUpperCase()} `)).toMatchObject({
      ...{
        id,
        job,
        version: V1,
        cause: 'trip',
        state: 'contained',
        severity: null,
        openedBy: 'system:guard',
      },
      title: 'claims-per-run: 4,812 planned where 40 were expected',
      regions: [{ region: 'eu', firstRun: null }],
      evidence: [{ by: 'system:guard', cause: 'trip', regions: ['eu'], facts: { rule: 'claims-per-run' } }],
      falseAlarm: false,
    });
    expect(await onRecord(id)).toEqual(['system:guard open-incident']);
  });

  test('is one, however many rules trip at the same moment', async () => {
    const opened = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        open({ regions: [{ region: `r${at % 3}`, containedAt: STOPPED }], title: `rule ${at}` }),
      ),
    );
    expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
    expect(opened.filter(({ joined }) => !joined)).toHaveLength(1);
    const found = await findIncident(owner, opened[0]?.id ?? '');
    expect(found.regions.map(({ region }) => region)).toEqual(['r0', 'r1', 'r2']);
    expect(found.evidence.map(({ title }) => title).sort()).toEqual(
      Array.from({ length: 8 }, (_, at) => `rule ${at}`),
    );
    expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  });

  test('of another version, of another job, or after the first was closed, is another', async () => {
    const first = await open();
    expect((await open({ version: V2 })).joined).toBe(false);
    expect((await open({ job: `${job}-b` })).joined).toBe(false);
    await close(first.id);
    expect((await open()).id).not.toBe(first.id);
  });

  test('that something has not come opens one, and is only noted where one is there: it says nothing of harm', async () => {
    const { id } = await open();
    const silent = {
      cause: 'absence',
      title: 'no run for 50m, limit 45m',
      regions: [{ region: 'us', containedAt: null }],
    } as const;
    expect(await open(silent)).toEqual({ id, joined: true });
    const noted = await findIncident(owner, id);
    expect(noted).toMatchObject({ state: 'contained', regions: [{ region: 'eu' }] });
    expect(noted.evidence.at(-1)).toMatchObject({ cause: 'absence', regions: ['us'] });
    await close(id);
    const alone = await findIncident(owner, (await open(silent)).id);
    expect(alone).toMatchObject({ cause: 'absence', state: 'open', regions: [{ region: 'us' }] });
    expect(await open({ title: 'too many claims' })).toEqual({ id: alone.id, joined: true });
    expect(await findIncident(owner, alone.id)).toMatchObject({ cause: 'trip', title: 'too many claims' });
  });

  test('whose version is not known is joined by whatever comes, and takes its version', async () => {
    const { id } = await open({ version: undefined, cause: 'kill' });
    expect(await open({ version: V2 })).toEqual({ id, joined: true });
    expect((await findIncident(owner, id)).version).toBe(V2);
    expect((await open({ version: V1 })).joined).toBe(false);
  });

  test('takes a kill of the whole job in: it answers what is open', async () => {
    const { id } = await open();
    expect(await open({ version: undefined, cause: 'kill' })).toEqual({ id, joined: true });
    expect((await findIncident(owner, id)).version).toBe(V1);
  });

  test('goes back to the earlier first run when one is found', async () => {
    const [late, early] = ['00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001'];
    const hit = { region: 'eu', containedAt: STOPPED };
    const { id } = await open({ regions: [{ ...hit, firstRun: late, since: '2026-03-01T10:00:00Z' }] });
    await open({ regions: [{ ...hit, firstRun: early, since: '2026-03-01T09:00:00Z' }] });
    await open({ regions: [{ ...hit, firstRun: late, since: '2026-03-01T10:00:00Z' }] });
    const [eu] = (await findIncident(owner, id)).regions;
    expect(eu?.firstRun).toBe(early);
    expect(Date.parse(eu?.since ?? '')).toBe(Date.parse('2026-03-01T09:00:00Z'));
  });

  test('keeps its first hundred notes, and the record has them all', async () => {
    const { id } = await open();
    for (let at = 0; at < 104; at += 1) await open({ title: `again ${at}` });
    expect((await findIncident(owner, id)).evidence).toHaveLength(100);
    const { rows } = await owner.query('select from portcullis_control.audit where subject = $1', [id]);
    expect(rows).toHaveLength(105);
  });

  test('that is rolled back was never there, nor on the record', async () => {
    let id = '';
    await expect(
      inTransaction(owner, async (client) => {
        ({ id } = await openIncident(client, {
          ...{ job, cause: 'manual', title: 'x', evidence: {}, by: 'ann' },
          regions: [{ region: 'eu', containedAt: null }],
        }));
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await expect(findIncident(owner, id)).rejects.toMatchObject({ code: 'INCIDENT_UNKNOWN' });
    expect(await onRecord(id)).toEqual([]);
  });
});

describe('the states of an incident', () => {
  test('follow its regions: open while one may still write', async () => {
    const { id } = await open({
      regions: [
        { region: 'eu', containedAt: STOPPED },
        { region: 'us', containedAt: null },
      ],
    });
    expect(await findIncident(owner, id)).toMatchObject({ state: 'open', containedAt: null });
    await expect(moveIncident(owner, id, 'restoring', move)).rejects.toMatchObject({
      code: 'INCIDENT_STATE',
      hint: expect.stringContaining('in us'),
    });
    await expect(moveIncident(owner, id, 'contained', move)).rejects.toMatchObject({
      code: 'INCIDENT_STATE',
    });
    await open({ regions: [{ region: 'us', containedAt: STOPPED }], by: 'ann' });
    const contained = await findIncident(owner, id);
    expect(contained).toMatchObject({ state: 'contained' });
    expect(contained.containedAt).not.toBeNull();
    expect(await onRecord(id)).toEqual(['system:guard open-incident', 'ann join-incident']);
  });

  test('lead to its end, each on the record once', async () => {
    const { id } = await open();
    await moveIncident(owner, id, 'restoring', move);
    await moveIncident(owner, id, 'restoring', move);
    await moveIncident(owner, id, 'contained', { ...move, reason: 'the restore was stopped' });
    await moveIncident(owner, id, 'restoring', move);
    expect((await moveIncident(owner, id, 'restored', move)).restoredAt).not.toBeNull();
    expect(await close(id)).toMatchObject({
      ...{ state: 'closed', closedBy: 'ann', conclusion: 'a lost join condition', falseAlarm: false },
    });
    expect(await onRecord(id)).toEqual([
      'system:guard open-incident',
      'ann restore-incident',
      'ann move-incident',
      'ann restore-incident',
      'ann move-incident',
      'ann close-incident',
    ]);
    await expect(close(id)).rejects.toMatchObject({ code: 'INCIDENT_STATE' });
    await expect(moveIncident(owner, id, 'restoring', move)).rejects.toMatchObject({
      code: 'INCIDENT_STATE',
    });
  });

  test('go back when it breaks out anew', async () => {
    const { id } = await open();
    await moveIncident(owner, id, 'restored', move);
    await open({ regions: [{ region: 'us', containedAt: STOPPED }] });
    expect(await findIncident(owner, id)).toMatchObject({ state: 'contained', restoredAt: null });
    await open({ regions: [{ region: 'ap', containedAt: null }] });
    expect(await findIncident(owner, id)).toMatchObject({ state: 'open', containedAt: null });
  });

  test('let an open one end only as a false alarm', async () => {
    const { id } = await open({ regions: [{ region: 'eu', containedAt: null }] });
    await expect(close(id)).rejects.toMatchObject({
      code: 'INCIDENT_STATE',
      message: expect.stringContaining('eu'),
    });
    expect(await close(id, true)).toMatchObject({ state: 'closed', falseAlarm: true });
  });
});

test('incidents are listed newest first, by job and state, page by page', async () => {
  const ids = [];
  for (const version of [V1, V2, '1.2.0_cccccccc']) ids.unshift((await open({ version })).id);
  await close(ids[1] ?? '');
  const first = await listIncidents(owner, { job }, { limit: 2 });
  const second = await listIncidents(owner, { job }, { limit: 2, cursor: first.next ?? '' });
  expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids);
  expect(second.next).toBeNull();
  const unclosed = await listIncidents(owner, { job, unclosed: true }, { limit: 9 });
  expect(unclosed.items.map(({ id }) => id)).toEqual([ids[0], ids[2]]);
  const closed = await listIncidents(owner, { job, state: 'closed' }, { limit: 9 });
  expect(closed.items.map(({ id }) => id)).toEqual([ids[1]]);
  await expect(listIncidents(owner, {}, { limit: 9, cursor: 'x' })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
});
