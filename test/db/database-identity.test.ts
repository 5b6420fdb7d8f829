import { afterEach, describe, expect, test } from '@jest/globals';
import { recordAudit } from '../../src/audit/record.js';
import { hidesIdentity, confirmDatabase, confirmSwitchover, readDatabase } from '../../src/gate/database.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { killJob } from '../../src/containment/kill.js';
import { readGate } from '../../src/gate/permit.js';
import { askRearm, decideRearm } from '../../src/containment/rearm-approval.js';
import { confirmChanged, watchDatabase } from '../../src/containment/changed-database.js';
import { RESTORE_PACE } from '../../src/worker/restore-run.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { claiming } from '../support/claiming.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { person } from '../support/people.js';

const database = await testDatabase();
const control = await testDatabase();
const here = await claiming(database);
const { owner } = database;

const ANN = { by: 'ann', reason: 'promoted db2' };

/** As on a promoted replica: the database that permits were given on is the timeline before. */
async function failOver(): Promise<void> {
  await owner.query('delete from portcullis_region.confirmed_database');
  await owner.query(
    `insert into portcullis_region.confirmed_database (identity, confirmed_by, reason)
     values (split_part(portcullis_region.database_identity(), '/', 1) || '/0', 'test', 'the old primary')`,
  );
}

afterEach(async () => {
  if (!(await readDatabase(owner)).confirmed) await confirmDatabase(control.owner, owner, ANN);
});

describe('a database that is another one than before', () => {
  test('stops a run in the middle, holds its gate, and lets it open only once a person has confirmed it', async () => {
    const report = await here.runUntil('apply.committed', 3, failOver);
    expect(report).toMatchObject({ status: 'stopped', code: 'database-unconfirmed', applied: { claim: 30 } });
    expect((await here.reconcile()).gate).toMatchObject({
      state: 'held',
      reasonCode: 'database-unconfirmed',
    });
    expect(await here.run()).toMatchObject({ status: 'held', code: 'database-unconfirmed' });
    expect(await confirmDatabase(control.owner, owner, ANN)).toMatchObject({ expiresAt: null });
    expect((await here.reconcile()).gate).toMatchObject({ state: 'open' });
    await expect(confirmDatabase(control.owner, owner, ANN)).rejects.toMatchObject({
      code: 'DATABASE_CONFIRMED',
    });
  });

  test('is the reason of a run that hears of it from its gate, before its next batch, too', async () => {
    const report = await here.runUntil('apply.committed', 3, async () => {
      await failOver();
      await until('the gate is held', async () => {
        const gate = await readGate(owner, 'claims', here.region);
        return gate.state === 'held';
      });
    });
    expect(report).toMatchObject({ status: 'stopped', code: 'database-unconfirmed', applied: { claim: 30 } });
  });

  test('is not restored into before a person has confirmed it, and is afterwards', async () => {
    const bad = await here.run();
    const id = bad?.run.id ?? '';
    expect(await here.managed()).toBe(200);
    await failOver();
    const restore = async () => {
      const { signal } = new AbortController();
      const [done] = await restoreRuns(here.platform, [id], { signal, paceOf: () => RESTORE_PACE });
      return done?.report;
    };
    expect(await restore()).toMatchObject({ status: 'stopped', code: 'database-unconfirmed', applied: {} });
    expect(await here.managed()).toBe(200);
    await confirmDatabase(control.owner, owner, ANN);
    expect(await restore()).toMatchObject({ status: 'succeeded', applied: { claim: 200 } });
    expect(await here.managed()).toBe(0);
  });

  test('is killed as ever, and stays killed when it is confirmed', async () => {
    await failOver();
    await killGate(owner, { job: 'claims', region: here.region, reason: 'enough', by: 'ann' });
    await confirmDatabase(control.owner, owner, ANN);
    expect((await here.reconcile()).gate).toMatchObject({ state: 'killed' });
  });

  test('has one incident, and is killed again where the audit log has a kill that it lost', async () => {
    await readGate(owner, 'claims', here.region);
    await recordAudit(control.owner, {
      ...{ principal: 'ann', action: 'kill', subject: `claims.${here.region}` },
      evidence: { reason: 'wrong claims', epoch: 9, restoresToo: false },
    });
    await failOver();
    await watchDatabase(control.owner, owner);
    await watchDatabase(control.owner, owner);
    expect(await readGate(owner, 'claims', here.region)).toMatchObject({
      state: 'killed',
      epoch: 2,
      reason: 'wrong claims (killed before the database changed)',
    });
    const { rows } = await control.owner.query(
      `select cause, state from portcullis_control.incident where cause = 'failover'`,
    );
    expect(rows).toEqual([{ cause: 'failover', state: 'contained' }]);
  });

  describe('that has lost a kill which its audit log has', () => {
    const bob = person('bob', 'admin');
    const cleo = person('cleo', 'admin');

    /** Opens the region's gate, kills it, and answers how to lose what was done to the gate since it was open. */
    async function killed(version?: string): Promise<() => Promise<void>> {
      await here.reconcile();
      const { rows } = await owner.query<Record<string, unknown>>(
        'select to_jsonb(g) as gate from portcullis_region.gate g where region = $1',
        [here.region],
      );
      const order = { job: 'claims', regions: [here.region], reason: 'wrong claims' };
      await killJob(control.owner, () => owner, { ...order, ...(version !== undefined && { version }) }, bob);
      return async () => {
        for (const table of ['gate', 'version_epoch'])
          await owner.query(`delete from portcullis_region.${table} where region = $1`, [here.region]);
        await owner.query('delete from portcullis_region.quarantine');
        await owner.query(
          'insert into portcullis_region.gate select * from jsonb_populate_record(null::portcullis_region.gate, $1)',
          [rows[0]?.['gate']],
        );
        await failOver();
      };
    }

    test('is killed again, also where a worker has held the gate first', async () => {
      const lose = await killed();
      await lose();
      expect((await here.reconcile()).gate).toMatchObject({ state: 'held' });
      await watchDatabase(control.owner, owner);
      expect(await readGate(owner, 'claims', here.region)).toMatchObject({ state: 'killed' });
    });

    test('is killed again before it is confirmed, where no process has seen it yet', async () => {
      const lose = await killed();
      await lose();
      await confirmChanged(control.owner, owner, ANN);
      expect(await readGate(owner, 'claims', here.region)).toMatchObject({ state: 'killed' });
    });

    test('is left alone where two people have re-armed it since', async () => {
      const lose = await killed();
      const ask = {
        job: 'claims',
        regions: [here.region],
        among: [],
        reason: 'fixed',
        onRearm: 'skip',
      } as const;
      const { id } = await askRearm(control.owner, () => owner, ask, bob);
      await decideRearm(
        control.owner,
        () => owner,
        () => [owner],
        id,
        cleo,
        'approve',
      );
      await lose();
      await watchDatabase(control.owner, owner);
      expect(await readGate(owner, 'claims', here.region)).toMatchObject({ state: 'open' });
    });

    test('has its version quarantined again', async () => {
      const lose = await killed(here.job.version);
      await lose();
      await here.reconcile();
      await watchDatabase(control.owner, owner);
      const { quarantined } = await readGate(owner, 'claims', here.region);
      expect(Object.keys(quarantined)).toEqual([here.job.version]);
      await owner.query('delete from portcullis_region.quarantine');
    });
  });

  test('goes on without a stop where it was confirmed beforehand, and no longer when that has expired', async () => {
    const { identity } = await readDatabase(owner);
    const next = await confirmSwitchover(control.owner, owner, ANN, 60_000);
    expect(next.identity).toBe(`${identity.split('/')[0] ?? ''}/${Number(identity.split('/')[1]) + 1}`);
    // What the primary expected of its next timeline, this database is.
    await owner.query(`delete from portcullis_region.confirmed_database where identity = $1`, [identity]);
    await owner.query(`update portcullis_region.confirmed_database set identity = $1 where identity = $2`, [
      identity,
      next.identity,
    ]);
    expect(await readDatabase(owner)).toMatchObject({ confirmed: true });
    await owner.query(`update portcullis_region.confirmed_database set expires_at = clock_timestamp()`);
    expect(await readDatabase(owner)).toMatchObject({ confirmed: false });
  });
});

test('a service that hides the identifier is told as such', () => {
  expect(hidesIdentity({ identity: 'unknown/1' })).toBe(true);
  expect(hidesIdentity({ identity: '73/1' })).toBe(false);
});
