import { describe, expect, test } from '@jest/globals';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { readGate } from '../../src/gate/permit.js';
import { startWorker } from '../../src/worker/worker.js';
import { electRestore } from '../../src/runs/election.js';
import { elect } from '../../src/runs/election.js';
import { restoreRuns } from '../../src/worker/restore-runs.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { atPoint } from '../support/at-point.js';
import { claimEverything } from '../support/accounts.js';
import { until } from '../support/until.js';
import type { Change, JobDefinition } from '../../src/sdk/contract.js';
import type { RunReport } from '../../src/worker/run-loop.js';
import { loadTestJob, testPolicy } from '../support/platform.js';
import {
  database,
  platform,
  pace,
  region,
  run,
  restore,
  restoreOnly,
  checksum,
  sql,
} from '../support/restoring.js';

describe('what may stop a restore', () => {
  test('not a closed gate, nor a killed one', async () => {
    const before = await checksum();
    const bad = await run();
    await sql(
      `update portcullis_region.gate set state = 'killed', epoch = epoch + 1, permit_until = '-infinity', reason = 'bad' where region = 'REGION'`,
    );
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({
      status: 'succeeded',
      applied: { claim: 200 },
    });
    expect(await checksum()).toBe(before);
  });

  test('stop --all: before it plans', async () => {
    const bad = await run();
    await sql(
      `update portcullis_region.gate set state = 'killed', stopped = true, reason = 'fire' where region = 'REGION'`,
    );
    const after = await checksum();
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({
      ...{ status: 'held', code: 'all-stopped', reason: 'everything is stopped: fire' },
    });
    expect(await checksum()).toBe(after);
  });

  test('stop --all: between two batches, and it can be taken up when that is over', async () => {
    const before = await checksum();
    const bad = await run();
    atPoint('apply.committed', 3, () =>
      sql(
        `update portcullis_region.gate set state = 'killed', stopped = true, reason = 'fire' where region = 'REGION'`,
      ),
    );
    const { report, left } = await restoreOnly(bad.run.id);
    onFaultPoint(undefined);
    expect(report).toMatchObject({ status: 'killed', code: 'all-stopped' });
    expect(left.restorable).toBeGreaterThan(0);
    expect(left.restorable).toBeLessThan(200);
    await sql(`update portcullis_region.gate set stopped = false where region = 'REGION'`);
    expect((await restoreOnly(bad.run.id)).report).toMatchObject({ applied: { claim: left.restorable } });
    expect(await checksum()).toBe(before);
  });

  test('not by a trigger that changes what is written: each row is refused, in the first batch as in any other', async () => {
    const bad = await run();
    const after = await checksum();
    await sql(`
      create function directory.meddle() returns trigger language plpgsql as
        $$ begin if new.home_region = 'REGION' then new.state := 'CONFLICT'; end if; return new; end $$;
      create trigger meddle before update on directory.account for each row execute function directory.meddle()`);
    try {
      const { report } = await restoreOnly(bad.run.id);
      expect(report).toMatchObject({
        ...{ status: 'succeeded', applied: { claim: 0 }, conflicts: 200 },
        reason: 'the database refused to restore 200 rows',
      });
      const { rows } = await database.owner.query<{ refusal: string }>(
        'select refusal from portcullis_region.conflict where run = $1 order by lane, seq limit 1',
        [report?.run.id],
      );
      expect(rows[0]?.refusal).toMatch(
        /^account .* would not be what it was: state; a trigger of directory\.account makes something else of it$/,
      );
    } finally {
      await sql('drop trigger meddle on directory.account; drop function directory.meddle()');
    }
    expect(await checksum()).toBe(after);
  });

  test('a run that is still writing is not restored', async () => {
    const job = await loadTestJob(platform, claimEverything('claims'));
    let refusal: unknown;
    atPoint('apply.committed', 2, async () => {
      const { rows } = await database.owner.query<{ id: string }>(
        `select id from portcullis_region.run where region = $1 and status = 'applying'`,
        [region],
      );
      refusal = await restore(rows[0]?.id ?? '').catch((error: unknown) => error);
    });
    // Its lease is renewed three times a second.
    const policy = testPolicy('claims', [region], { leaseMs: 1_000 });
    const election = await elect(platform.region, {
      ...{ job: 'claims', version: job.version, region, trigger: 'manual', worker: 'w', leaseMs: 1_000 },
    });
    if (!election.elected) throw new Error(election.why);
    const { signal } = new AbortController();
    const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
    expect(report).toMatchObject({ status: 'succeeded' });
    expect(refusal).toMatchObject({ code: 'RUN_ACTIVE' });
  });

  test('a run whose worker is gone is ended, and taken back', async () => {
    const before = await checksum();
    const shutdown = new AbortController();
    atPoint('apply.committed', 3, () => {
      shutdown.abort();
      return Promise.resolve();
    });
    await expect(run(claimEverything('claims'), shutdown.signal)).rejects.toThrow('given up');
    onFaultPoint(undefined);
    const { rows } = await database.owner.query<{ id: string }>(
      `select id from portcullis_region.run where region = $1`,
      [region],
    );
    const id = rows[0]?.id ?? '';
    expect((await restoreOnly(id)).report).toMatchObject({ status: 'succeeded', code: 'restored' });
    expect(await checksum()).toBe(before);
    const { rows: ended } = await database.owner.query(
      'select status, reason_code from portcullis_region.run where id = $1',
      [id],
    );
    expect(ended).toEqual([{ status: 'stopped', reason_code: 'restored' }]);
  });
});

describe('a restore that was begun', () => {
  test('and given up midway is taken up where it was left', async () => {
    const before = await checksum();
    const bad = await run();
    const shutdown = new AbortController();
    atPoint('apply.committed', 3, () => {
      shutdown.abort();
      return Promise.resolve();
    });
    const [given] = await restoreRuns(platform, [bad.run.id], {
      signal: shutdown.signal,
      paceOf: () => pace,
    });
    onFaultPoint(undefined);
    expect(given?.report).toBeUndefined();
    expect(given?.left.restorable).toBeGreaterThan(0);
    const { report } = await restoreOnly(bad.run.id);
    expect(report).toMatchObject({ applied: { claim: 200 }, conflicts: 0, run: { attempt: 2 } });
    expect(await checksum()).toBe(before);
  });

  test('is finished by a worker that happens by, whatever its version', async () => {
    const before = await checksum();
    const bad = await run();
    const job = await loadTestJob(platform, claimEverything('claims'), 'ffffffff');
    expect(await electRestore(platform.region, { of: bad.run.id, worker: 'http', leaseMs: 0 })).toBeDefined();
    const reports: RunReport[] = [];
    const served = [{ job, policy: testPolicy('claims', [region]), regions: [region] }];
    const worker = await startWorker(platform, served, { sweepMs: 50, onRun: (each) => reports.push(each) });
    const report = await until('the restore is over', () => reports[0]);
    await worker.stop();
    expect(report).toMatchObject({
      status: 'succeeded',
      run: { restores: bad.run.id },
      applied: { claim: 200 },
    });
    expect(await checksum()).toBe(before);
  });

  test('is not begun a second time beside it', async () => {
    const bad = await run();
    expect(
      await electRestore(platform.region, { of: bad.run.id, worker: 'a', leaseMs: 60_000 }),
    ).toBeDefined();
    expect(
      await electRestore(platform.region, { of: bad.run.id, worker: 'b', leaseMs: 60_000 }),
    ).toBeUndefined();
    expect(await readGate(platform.region, 'claims', region)).toMatchObject({ state: 'open' });
  });
});

describe('rows that stand in each other’s way', () => {
  const makeSlots = `
    create table directory.seat (id text primary key, home_region text not null, holder text unique);
    grant select, insert, update, delete on directory.seat to public`;

  test('come back in further rounds', async () => {
    await sql(`${makeSlots};
      insert into directory.seat select 'REGION-' || n, 'REGION', case when n < 60 then 'h' || n end from generate_series(0, 119) n`);
    const seats = async (): Promise<unknown> =>
      (await database.owner.query('select seat::text from directory.seat order by id')).rows;
    const before = await seats();
    // Each holder moves on: 60 seats are given up, and others take their holders, unit by unit.
    const move = (n: number, from: string | null, to: string | null): Change => ({
      ...{
        resource: 'seat',
        key: `${region}-${n}`,
        kind: 'move',
        unit: `${region}-org-${n % 10}`,
        evidence: {},
      },
      before: { holder: from },
      after: { holder: to },
    });
    const definition: JobDefinition = {
      ...claimEverything('claims'),
      resources: { seat: { table: 'directory.seat', key: 'id', changes: ['holder'] } },
      kinds: { move: 'seat' },
      async *plan() {
        await Promise.resolve();
        for (let n = 0; n < 60; n += 1) yield move(n, `h${n}`, null);
        for (let n = 60; n < 120; n += 1) yield move(n, null, `h${(n * 7) % 60}`);
      },
    };
    const bad = await run(definition);
    expect(bad.status).toBe('succeeded');
    const { report, left } = await restoreOnly(bad.run.id);
    expect(report).toMatchObject({ status: 'succeeded', conflicts: 0 });
    expect(report?.applied).toEqual(bad.applied);
    expect(left).toMatchObject({ restorable: 0, conflicts: 0 });
    expect(await seats()).toEqual(before);
  });
});
