import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { examineIncident, tendIncident } from '../../../src/incidents/assess-incident.js';
import { assessIncident } from '../../support/assess-incident.js';
import { findIncident, listIncidents } from '../../../src/incidents/browse-incidents.js';
import { includeRun, includeSince } from '../../../src/incidents/include-run.js';
import { writers } from '../../../src/incidents/incident-runs.js';
import {
  carryOutWishes,
  killWithIncident,
  stopWithIncidents,
} from '../../../src/containment/kill-incident.js';
import { measuresOf } from '../../../src/incidents/measures.js';
import { closeIncident } from '../../../src/incidents/move-incident.js';
import { openByHand } from '../../../src/incidents/open-by-hand.js';
import { postMortemOf } from '../../../src/incidents/post-mortem.js';
import { runbookOf } from '../../../src/incidents/runbook.js';
import { statusUpdatesOf } from '../../../src/incidents/status-updates.js';
import { tendIncidents } from '../../../src/incidents/tend-incidents.js';
import { timelineOf } from '../../../src/incidents/timeline.js';
import { notificationsOf } from '../../../src/notify/browse.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { openPool } from '../../../src/postgres/pool.js';
import { findRun, listRuns, type RunView } from '../../../src/runs/browse-runs.js';
import { atPoint } from '../../support/at-point.js';
import { claimEverything } from '../../support/accounts.js';
import {
  checksum,
  database,
  pace,
  platform,
  region,
  restore,
  run,
  sql,
  VERSION,
} from '../../support/restoring.js';
import { restoreRuns } from '../../../src/worker/restore-runs.js';
import { person } from '../../support/people.js';

const ann = person('ann', 'operator');
const { owner } = database;
const poolOf = (): pg.Pool => owner;
const kill = (version?: string, ownerOf = poolOf) =>
  killWithIncident(
    owner,
    ownerOf,
    { job: 'claims', regions: [region], reason: 'claims nobody asked for', ...(version && { version }) },
    ann,
  );
const assess = (id: string | null) => assessIncident(owner, poolOf, id ?? '', 'system:test');
/** So that the test after it begins with none. */
const close = (id: string | null) =>
  closeIncident(owner, id ?? '', { conclusion: 'a lost | join\ncondition', falseAlarm: false, by: 'ann' });
const fail = (message: string): never => {
  throw new Error(message);
};
const view = async (id: string): Promise<RunView> => findRun(owner, id);
/** Claims of ten accounts of each of the two organisations that come first, so that a second run finds more. */
const some = claimEverything('claims', async function* (_, claims) {
  let n = 0;
  for await (const change of claims) if ((n += 1) <= 20) yield change;
});

describe('a kill by a person', () => {
  test('whose damage is named is an incident from its first change to the post-mortem', async () => {
    const before = await checksum();
    let killed: ReturnType<typeof kill> | undefined;
    atPoint('apply.committed', 3, () => (killed = kill()).then(() => undefined));
    await expect(run()).rejects.toThrow('given up');
    const { incident: id, unrecorded } = await (killed ?? kill());
    expect(unrecorded).toBeUndefined();
    expect(await findIncident(owner, id ?? '')).toMatchObject({
      ...{ cause: 'kill', state: 'contained', version: null, severity: null, openedBy: 'ann' },
      title: 'ann killed claims',
      evidence: [{ facts: { reason: 'claims nobody asked for' } }],
    });
    const { items } = await listRuns(owner, { job: 'claims', region }, { limit: 1 });
    await includeRun(owner, id ?? '', items[0] ?? fail('there is no run'), 'ann');

    const bad = await assess(id);
    expect(bad).toMatchObject({ silent: [], incident: { state: 'contained' } });
    expect(bad.runs).toMatchObject([{ status: 'killed', version: VERSION, restore: null }]);
    const { impact } = bad;
    expect(impact.rows).toBeGreaterThan(0);
    expect(impact).toMatchObject({ runs: 1, restored: 0, regions: [{ region, rows: impact.rows }] });
    expect(bad.incident.severity).toBe(impact.rows < 100 && impact.units < 10 ? 'minor' : 'major');
    const first = measuresOf(bad.incident, impact.firstAppliedAt);
    expect(first.stopMs).toBeGreaterThanOrEqual(first.detectMs ?? Infinity);
    expect(first.restoreMs).toBeNull();
    expect(runbookOf(bad).flatMap(({ done }) => done)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
      false,
      false,
    ]);

    await restore(...writers(bad.runs).map((each) => each.id));
    expect(await checksum()).toBe(before);
    // A database that goes away between two questions is silent, and what is not known is not called restored.
    const gone = () => Promise.reject(new Error('the server went away'));
    expect(await tendIncident(owner, poolOf, id ?? '', 'system:test', gone)).toMatchObject({
      silent: [{ region, reason: 'the server went away' }],
      extent: { rows: 0, restored: 0 },
      incident: { state: 'contained' },
    });
    const cured = await assess(id);
    expect(cured.incident).toMatchObject({ state: 'restored', severity: bad.incident.severity });
    expect(cured.impact).toMatchObject({ restored: impact.rows, restoreConflicts: 0 });
    expect(measuresOf(cured.incident, impact.firstAppliedAt).restoreMs).toBeGreaterThan(0);
    // Given again, a restore has nothing left to put back; what the one before it has put back stays counted.
    await restore(...writers(bad.runs).map((each) => each.id));
    expect((await assess(id)).impact).toMatchObject({ restored: impact.rows, restoreConflicts: 0 });
    await close(id);

    const over = await examineIncident(owner, poolOf, id ?? '');
    const moments = await timelineOf(owner, over);
    expect(moments.map(({ kind }) => kind)).toEqual([
      'run-began',
      'first-change',
      'run-killed',
      'kill',
      'open-incident',
      'notification-unaddressed',
      'include-run',
      'assess-incident',
      'restore-began',
      'restore-succeeded',
      'move-incident',
      'restore-began',
      'restore-succeeded',
      'close-incident',
      'notification-unaddressed',
    ]);
    const text = postMortemOf(over, moments);
    expect(text).toMatch(/^# ann killed claims\n/);
    expect(text).toContain('| why | claims nobody asked for |');
    expect(text).toContain('a lost \\| join condition');
    expect(text).toMatch(/time to restore: stopped → everything put back \| \d/);
    for (const line of text.split('\n').filter((each) => each.startsWith('|'))) expect(line).toMatch(/\|$/);
    expect(statusUpdatesOf(over).map(({ phase }) => phase)).toEqual([
      'investigating',
      'identified',
      'resolved',
    ]);
    expect(statusUpdatesOf(over).at(-1)?.text).toBe('Everything that was changed has been restored.');
  });

  test.each([
    ['the job', undefined],
    ['a version', VERSION],
  ])(
    'of %s claims no damage: no run, no figures, no severity, no words for customers',
    async (_, version) => {
      await run();
      const { incident } = await kill(version);
      const looked = await assess(incident);
      expect(looked).toMatchObject({
        ...{ runs: [], impact: { rows: 0, units: 0 } },
        incident: { state: 'contained', severity: null, drill: false, regions: [{ damaged: false }] },
      });
      expect(statusUpdatesOf(looked)).toEqual([]);
      const text = postMortemOf(looked, []);
      expect(text).toContain('No damage has been named.');
      expect(text).not.toContain('Status page');
      expect(runbookOf(looked).map(({ title }) => title)).toEqual([
        'Stop it',
        'Find out whether any run did damage',
        'Let a good version go on',
        'Close it',
      ]);
      await close(incident);
      await sql('delete from portcullis_region.quarantine');
    },
  );

  test('takes in every run since the time that a person names, where they name it', async () => {
    const first = await run(some);
    const second = await run();
    const { incident } = await kill();
    const since = second.run.createdAt;
    const named = await includeSince(owner, incident ?? '', { since, regions: [region] }, 'ann');
    expect(named.regions).toMatchObject([{ region, damaged: true, firstRun: null }]);
    expect((await assess(incident)).runs.map(({ id }) => id)).toEqual([second.run.id]);
    // To name less than before takes nothing away.
    await includeSince(owner, incident ?? '', { since: first.run.createdAt, regions: [region] }, 'ann');
    await expect(
      includeSince(owner, incident ?? '', { since, regions: [region] }, 'ann'),
    ).rejects.toMatchObject({ code: 'NOTHING_REACHED' });
    expect((await assess(incident)).runs.map(({ id }) => id)).toEqual([second.run.id, first.run.id]);
    for (const [wrong, message] of [
      [{ since, regions: ['mars'] }, /mars is not part of/],
      [{ since: new Date(Date.now() + 3_600_000), regions: [region] }, /is yet to come/],
    ] as const) {
      await expect(includeSince(owner, incident ?? '', wrong, 'ann')).rejects.toThrow(message);
    }
    await close(incident);
  });

  test('for practice kills the gate, says drill everywhere, joins nothing real, and can have no damage', async () => {
    const ran = await run();
    const real = await kill();
    const order = { job: 'claims', regions: [region], reason: 'game day', drill: true };
    const drill = await killWithIncident(owner, poolOf, order, ann);
    expect(drill.killed).toHaveLength(1);
    expect(drill.incident).not.toBe(real.incident);
    const { rows } = await owner.query<{ state: string; reason: string }>(
      `select state, reason from portcullis_region.gate where region = $1`,
      [region],
    );
    expect(rows).toEqual([{ state: 'killed', reason: 'drill: game day' }]);
    const looked = await assess(drill.incident);
    expect(looked.incident).toMatchObject({ drill: true, title: 'Drill: ann killed claims', severity: null });
    expect(statusUpdatesOf(looked)).toEqual([]);
    expect(postMortemOf(looked, [])).toContain('It was a drill.');
    expect(runbookOf(looked).map(({ title }) => title)).not.toContain('Find out whether any run did damage');
    const [notice] = await notificationsOf(owner, drill.incident ?? '');
    expect(notice?.title).toBe(`Drill: ann killed claims in ${region}`);
    await expect(includeRun(owner, drill.incident ?? '', await view(ran.run.id), 'ann')).rejects.toThrow(
      'is a drill',
    );
    // Another drill joins the drill, and another kill the real one.
    expect((await killWithIncident(owner, poolOf, order, ann)).incident).toBe(drill.incident);
    expect((await kill()).incident).toBe(real.incident);
    await close(drill.incident);
    await close(real.incident);
  });

  test('for practice that cannot reach its gate is a drill when somebody carries it out', async () => {
    const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
    const order = { job: 'claims', regions: [region], reason: 'game day', drill: true };
    const { incident } = await killWithIncident(owner, () => nowhere, order, ann);
    await nowhere.end();
    const [done] = await carryOutWishes(owner, poolOf);
    expect(done).toMatchObject({ incident, killed: [{ region }] });
    expect((await findIncident(owner, incident ?? '')).drill).toBe(true);
    await close(incident);
  });

  test('takes an earlier bad run in, with those after it, once somebody has found it', async () => {
    const first = await run(some);
    const second = await run();
    const { incident } = await kill();
    await includeRun(owner, incident ?? '', await view(first.run.id), 'ann');
    const { runs, impact, incident: now } = await assess(incident);
    expect(runs.map(({ id }) => id)).toEqual([second.run.id, first.run.id]);
    await expect(includeRun(owner, incident ?? '', await view(second.run.id), 'ann')).rejects.toMatchObject({
      code: 'NOTHING_REACHED',
      message: `run ${second.run.id.slice(0, 8)} is part of ${incident ?? ''} already; nothing was changed`,
    });
    expect(now).toMatchObject({ state: 'contained', regions: [{ firstRun: first.run.id }] });
    expect(impact).toMatchObject({ runs: 2, rows: 200, units: 10 });
    const stranger = { ...(await view(first.run.id)), job: 'other' };
    await expect(includeRun(owner, incident ?? '', stranger, 'ann')).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
    await close(incident);
    await expect(includeRun(owner, incident ?? '', await view(first.run.id), 'ann')).rejects.toMatchObject({
      code: 'INCIDENT_STATE',
    });
  });

  test('that stopped it before it wrote anything is averted, with nothing to restore', async () => {
    const { incident } = await kill();
    const since = new Date(Date.now() - 1_000);
    await includeSince(owner, incident ?? '', { since, regions: [region] }, 'ann');
    const looked = await assess(incident);
    expect(looked).toMatchObject({ runs: [], incident: { severity: 'averted', state: 'contained' } });
    expect(measuresOf(looked.incident, looked.impact.firstAppliedAt)).toEqual({
      ...{ detectMs: null, stopMs: null, restoreMs: null },
    });
    expect(runbookOf(looked).map(({ title }) => title)).not.toContain('Put it back');
    expect(postMortemOf(looked, [])).toContain('It was stopped before it changed a row.');
    await close(incident);
  });

  test('holds where no incident can be opened, and says so', async () => {
    await sql('alter table portcullis_control.incident rename to gone');
    try {
      const killed = await kill();
      expect(killed).toMatchObject({ incident: null, killed: [{ region }] });
      expect(killed.unrecorded).toContain('no incident is open yet');
    } finally {
      await sql('alter table portcullis_control.gone rename to incident');
    }
  });

  test('that did not take hold somewhere leaves the incident open', async () => {
    const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
    const { incident, failed } = await kill(undefined, () => nowhere);
    expect(failed).toHaveLength(1);
    const { incident: open } = await assess(incident);
    expect(open.state).toBe('open');
    expect(runbookOf(await assess(incident))[0]).toMatchObject({
      done: false,
      commands: [
        `portcullis kill claims --region ${region} --reason "incident ${incident ?? ''}"`,
        'portcullis status',
      ],
    });
    const again = await kill();
    expect(again.incident).toBe(incident);
    expect((await findIncident(owner, incident ?? '')).state).toBe('contained');
    // Its runs are there, and cannot be asked about.
    await includeSince(
      owner,
      incident ?? '',
      { since: new Date(Date.now() - 1_000), regions: [region] },
      'ann',
    );
    const { silent, incident: unsure } = await assessIncident(
      owner,
      () => nowhere,
      incident ?? '',
      'system:test',
    );
    expect(silent).toMatchObject([{ region }]);
    expect(unsure.state).toBe('contained');
    await nowhere.end();
    await close(incident);
  });
});

test('stopping everything opens one incident for each job', async () => {
  await run();
  const reports = await stopWithIncidents(owner, poolOf, { reason: 'everything' }, ann);
  expect(reports.map(({ job }) => job)).toEqual(['claims']);
  const { items } = await listIncidents(owner, { unclosed: true }, { limit: 9 });
  expect(items.map(({ id }) => id)).toEqual(reports.map(({ incident }) => incident));
  for (const { incident } of reports) await close(incident);
  await sql(`delete from portcullis_region.gate`);
});

test('what a person has noticed is open until the job is stopped there, and conflicts stay in its figures', async () => {
  const bad = await run(some);
  const { id } = await openByHand(
    owner,
    poolOf,
    { job: 'claims', regions: [region], run: await view(bad.run.id), title: 'customers call' },
    'ann',
  );
  expect(await findIncident(owner, id)).toMatchObject({ state: 'open', version: VERSION, cause: 'manual' });
  expect((await kill()).incident).toBe(id);
  await sql(`update directory.account set state = 'RELEASED' where id = 'REGION-acc-0-0'`);
  await restore(bad.run.id);
  const { impact, incident } = await assess(id);
  expect(incident.state).toBe('restored');
  expect(impact).toMatchObject({ rows: 20, restored: 19, restoreConflicts: 1 });
  expect((await tendIncident(owner, poolOf, id, 'system:test')).extent).toEqual({
    ...{ units: impact.units, rows: 20, cascaded: 0, restored: 19, restoreConflicts: 1 },
  });
  await close(id);
});

test('incidents that are not closed are looked at again and again, and measured', async () => {
  const bad = await run(some);
  const { incident: id } = await kill();
  await includeRun(owner, id ?? '', await view(bad.run.id), 'ann');
  const shown = async (): Promise<string[]> => {
    const metrics = createMetrics();
    await tendIncidents(owner, poolOf, ['claims', 'quiet'], metrics);
    return (await metrics.text()).split('\n').filter((line) => /^portcullis_incident\w*[{]/.test(line));
  };
  expect(await shown()).toEqual(
    expect.arrayContaining([
      'portcullis_incidents{job="claims",state="contained"} 1',
      'portcullis_incidents{job="quiet",state="contained"} 0',
      'portcullis_incident_units{job="claims"} 1',
      'portcullis_incident_rows{job="claims",measure="changed"} 20',
      'portcullis_incident_rows{job="claims",measure="restored"} 0',
    ]),
  );
  expect((await findIncident(owner, id ?? '')).severity).toBe('minor');
  await restore(bad.run.id);
  expect(await shown()).toEqual(
    expect.arrayContaining([
      'portcullis_incidents{job="claims",state="restored"} 1',
      'portcullis_incident_rows{job="claims",measure="restored"} 20',
      'portcullis_incident_oldest_timestamp_seconds{job="claims"} 0',
    ]),
  );
  await close(id);
});

test('a part that is put back does not make it restored, until the parts are all of it', async () => {
  const bad = await run();
  const { incident: id } = await kill();
  await includeRun(owner, id ?? '', await view(bad.run.id), 'ann', 'wrong');
  const { rows } = await owner.query<{ unit: string }>(
    'select distinct unit from portcullis_region.change where run = $1 order by unit',
    [bad.run.id],
  );
  const [one, ...others] = rows.map(({ unit }) => unit);
  const part = async (units: readonly string[]): Promise<void> => {
    const { signal } = new AbortController();
    await restoreRuns(platform, [bad.run.id], { signal, paceOf: () => pace, part: { units } });
  };
  await part([one ?? fail('no unit was changed')]);
  const { incident, runs, impact } = await assess(id);
  expect(incident.state).toBe('contained');
  expect(runs).toMatchObject([
    { restore: null, restores: [{ status: 'succeeded', part: { units: [one] } }] },
  ]);
  expect(impact.restored).toBeGreaterThan(0);
  expect(impact.restored).toBeLessThan(impact.rows);
  await part(others);
  expect((await assess(id)).incident.state).toBe('restored');
  await close(id);
});
