import { afterEach, describe, expect, test } from '@jest/globals';
import { startBreakGlass } from '../../src/app/break-glass.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import type { Poller } from '../../src/kernel/poller.js';
import { askBreakGlass, type BreakGlassOrder, decideBreakGlass } from '../../src/rollout/break-glass.js';
import { abortRollout } from '../../src/rollout/steer.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { databasesAt } from '../http/serving.js';
import { testDatabase } from '../support/database.js';
import { ann, begunOn, bob, type Rolling } from '../support/rolling.js';
import { until } from '../support/until.js';
import { listBreakGlass } from '../../src/flags/browse-break-glass.js';

/** What a control plane does about break-glass and restored backups, as it runs. */

const database = await testDatabase();
const { owner } = database;
const logged: string[] = [];
const log = createLogger({
  level: 'info',
  to: { write: (line) => void logged.push((JSON.parse(line) as { code: string }).code) },
});
let metrics = createMetrics();
const beats: Poller[] = [];

afterEach(async () => {
  for (const beat of beats.splice(0)) await beat.stop();
});

function begin(): void {
  metrics = createMetrics();
  beats.push(
    startBreakGlass({ control: owner, regionDatabases: databasesAt(owner) }, { log, metrics }, true),
  );
}

/** The share of the job's break-glass, as it is scraped. */
const measured = async ({ job }: Rolling): Promise<string | undefined> =>
  new RegExp(`^portcullis_break_glass_share\\{job="${job}".*\\} (\\S+)$`, 'm').exec(
    await metrics.text(),
  )?.[1];

const order = ({ job, policy, candidate }: Rolling): BreakGlassOrder => ({
  ...{ job, version: candidate.version, regions: policy.regions.slice(0, 1) },
  ...{ permille: 500, reason: 'urgent' },
});

/** Begins, and answers when it has done all that it does at a look. */
async function lookedOnce(): Promise<void> {
  const other = await begunOn(database);
  const { id } = await askBreakGlass(other.ports, order(other), ann);
  await decideBreakGlass(other.ports, id, bob, 'approve');
  begin();
  await until('it has looked', async () => (await measured(other)) !== undefined);
}

describe('a control plane', () => {
  test('shows break-glass while it is in force, puts its runs and its end on record, and tells people', async () => {
    const roll = await begunOn(database);
    const [region = ''] = roll.regions;
    const { version } = roll.candidate;
    const { id } = await askBreakGlass(roll.ports, order(roll), ann);
    begin();
    expect(await measured(roll)).toBeUndefined();
    await decideBreakGlass(roll.ports, id, bob, 'approve');
    await until('it is measured', async () => (await measured(roll)) === '0.5');
    await roll.set(region, { variants: [{ version, permille: 500 }] });
    const [report] = await roll.slot([roll.candidate]);
    await until('its run is on record', async () =>
      (await listBreakGlass(owner, { id }))[0]?.runs.includes(report?.run.id ?? ''),
    );
    await owner.query(
      'update portcullis_control.break_glass set expires_at = clock_timestamp() where id = $1',
      [id],
    );
    await until(
      'its end is noted',
      async () =>
        (
          await owner.query(
            `select from portcullis_control.audit where action = 'expire-break-glass' and subject = $1`,
            [id],
          )
        ).rowCount === 1,
    );
    await until('it is measured no more', async () => (await measured(roll)) === undefined);
    expect(await listBreakGlass(owner, { id })).toMatchObject([{ ended: 'expired', inForce: false }]);
    const { rows } = await owner.query<{ title: string }>(
      `select title from portcullis_control.notice where kind = 'break-glass' and job = $1 order by at desc limit 1`,
      [roll.job],
    );
    expect(rows[0]?.title).toContain('expired at');
  });

  test.each(['at its start', 'while it runs'])(
    'admits to nothing what a restored backup says was admitted, %s',
    async (when) => {
      const roll = await begunOn(database);
      const [region = ''] = roll.regions;
      const { version } = roll.candidate;
      // A backup, and then what it has not.
      const { rows } = await owner.query<{ row: unknown; admissions: number }>(
        `select to_jsonb(a) as row, (select last_value from portcullis_control.admission_revision) as admissions
         from portcullis_control.admission a where job = $1 and region = $2 and version = $3`,
        [roll.job, region, version],
      );
      const [backup] = rows;
      if (backup === undefined) throw new Error('the candidate has no admission');
      await abortRollout(owner, { job: roll.job, reason: 'bad' }, ann);
      await roll.slot([roll.candidate]);
      logged.length = 0;
      // It has compared once, and sees nothing wrong.
      if (when === 'while it runs') await lookedOnce();
      await owner.query('alter table portcullis_control.admission disable trigger admission_written');
      await owner.query(
        `update portcullis_control.admission a set permille = r.permille, revision = r.revision, source = r.source
         from jsonb_populate_record(null::portcullis_control.admission, $1) r
         where (a.job, a.region, a.version) = (r.job, r.region, r.version)`,
        [JSON.stringify(backup.row)],
      );
      await owner.query('alter table portcullis_control.admission enable trigger admission_written');
      await owner.query(`select setval('portcullis_control.admission_revision', $1)`, [backup.admissions]);
      if (when === 'at its start') begin();
      await until('it is settled', async () => {
        const of = (await readAdmissions(owner)).of(roll.job, region);
        return of.permille.get(version) === 0;
      });
      expect(logged).toContain('control-older');
    },
  );
});
