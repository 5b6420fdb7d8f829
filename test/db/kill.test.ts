import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { verifyAudit } from '../../src/audit/verify.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { killJob } from '../../src/containment/kill.js';
import { missedSince } from '../../src/gate/missed-since.js';
import { readGate } from '../../src/gate/permit.js';
import { askLift, askRearm, decideRearm } from '../../src/containment/rearm-approval.js';
import { claiming } from '../support/claiming.js';
import { testDatabase } from '../support/database.js';
import { person } from '../support/people.js';

const database = await testDatabase();
const here = await claiming(database);
const { platform, job, all } = here;

const ann = person('ann', 'operator');
const bob = person('bob', 'approver');
const eve = person('eve', 'viewer');

const owner = (): pg.Pool => database.owner;
const kill = (reason = 'enough') =>
  killJob(owner(), owner, { job: 'claims', regions: [here.region], reason }, ann);
async function status(): Promise<
  { status: string; reason: string; applied: Record<string, number> } | undefined
> {
  const { rows } = await owner().query<{ status: string; reason: string; applied: Record<string, number> }>(
    'select status, reason, applied from portcullis_region.run where region = $1',
    [here.region],
  );
  return rows[0];
}

describe('a kill', () => {
  test.each([
    'plan.started',
    'plan.before-commit',
    'plan.committed',
    'apply.before-fence',
    'apply.committed',
  ] as const)('at %s ends the run as killed, and nothing more is written', async (point) => {
    const report = await here.runUntil(point, 1, () => kill('wrong claims'));
    // The kill has ended the run in the journal; the worker finds that it is not its own any more.
    expect(report).toBeUndefined();
    const applied = point === 'apply.committed' ? 10 : 0;
    expect(await status()).toMatchObject({ status: 'killed', reason: 'killed by ann: wrong claims' });
    expect(await here.managed()).toBe(applied);
  });

  test('waits for a batch in flight, which then counts as applied', async () => {
    let killed: ReturnType<typeof kill> | undefined;
    await here.runUntil('apply.written', 3, async () => {
      killed = kill();
      for (;;) {
        const { rows } = await owner().query(
          `select from pg_locks where locktype = 'advisory' and not granted`,
        );
        if (rows.length > 0) break;
      }
    });
    expect(await killed).toMatchObject({
      killed: [{ inFlight: 1, terminated: 0 }],
    });
    expect(await here.managed()).toBe(30);
    expect(await status()).toMatchObject({ status: 'killed', applied: { claim: 30 } });
  });

  test('ends the connection of a holder that does not finish within the grace', async () => {
    const zombie = new pg.Client({ connectionString: database.workerUrl });
    const lost = new Promise((resolve) => zombie.on('error', resolve));
    await zombie.connect();
    await zombie.query('begin');
    await zombie.query(`select pg_advisory_xact_lock_shared(7020210, hashtext($1))`, [
      `claims.${here.region}`,
    ]);
    const killed = await killGate(
      owner(),
      { job: 'claims', region: here.region, reason: 'now', by: 'ann' },
      50,
    );
    expect(killed).toMatchObject({ inFlight: 1, terminated: 1 });
    await lost;
    await expect(zombie.query('commit')).rejects.toThrow();
  });

  test('does not wait for a zombie that has the gate’s lock alone, in the midst of moving it', async () => {
    const zombie = new pg.Client({ connectionString: database.workerUrl });
    const lost = new Promise((resolve) => zombie.on('error', resolve));
    await zombie.connect();
    await zombie.query('begin');
    await zombie.query(`select pg_advisory_xact_lock(7020210, hashtext($1))`, [`claims.${here.region}`]);
    const killed = await killGate(
      owner(),
      { job: 'claims', region: here.region, reason: 'now', by: 'ann' },
      50,
    );
    expect(killed).toMatchObject({ inFlight: 0, terminated: 1 });
    await lost;
  });

  test('that itself stands still when it has the lock does not take itself for a zombie', async () => {
    const slow = database.pool(database.url, 'slow kill');
    slow.on('connect', (client) => {
      const send = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      const query = async (...args: unknown[]): Promise<unknown> => {
        const answer = await send(...args);
        // Ten graces and more; the database has answered, and hears no more from this process.
        if (String(args[0]).includes('pg_advisory_xact_lock')) await setTimeout(400);
        return answer;
      };
      client.query = query as typeof client.query;
    });
    const killed = await killGate(slow, { job: 'claims', region: here.region, reason: 'now', by: 'ann' }, 30);
    expect(killed).toMatchObject({ inFlight: 0, terminated: 0 });
    expect(await readGate(platform.region, 'claims', here.region)).toMatchObject({ state: 'killed' });
  });

  test('of many gates kills those that nobody holds together, over one connection, and puts each on record', async () => {
    const regions = Array.from({ length: 120 }, (_, at) => `many-${at}`);
    const pool = database.pool(database.url, 'many kills');
    const report = await killJob(pool, () => pool, { job: 'claims', regions, reason: 'all' }, ann);
    expect(report).toMatchObject({ failed: [], killed: regions.map((region) => ({ region, inFlight: 0 })) });
    // 100 at a time, and then the bookkeeping.
    expect(pool.totalCount).toBeLessThanOrEqual(2);
    const { rows } = await owner().query<{ subject: string }>(
      `select subject from portcullis_control.audit where action = 'kill' and subject like 'claims.many-%'`,
    );
    expect(rows.map(({ subject }) => subject).sort()).toEqual(regions.map((each) => `claims.${each}`).sort());
    expect(await verifyAudit(owner())).toMatchObject({ ok: true });
    const again = await killJob(pool, () => pool, { job: 'claims', regions, reason: 'once more' }, ann);
    expect(new Set(again.killed.map(({ epoch }) => epoch))).toEqual(
      new Set(report.killed.map(({ epoch }) => epoch + 1)),
    );
  });

  test('of many gates does not wait for the one that a batch holds', async () => {
    const regions = Array.from({ length: 12 }, (_, at) => `free-${at}`);
    const zombie = new pg.Client({ connectionString: database.workerUrl });
    const lost = new Promise((resolve) => zombie.on('error', resolve));
    await zombie.connect();
    await zombie.query('begin');
    await zombie.query(`select pg_advisory_xact_lock_shared(7020210, hashtext('claims.free-7'))`);
    const killing = killJob(owner(), owner, { job: 'claims', regions, reason: 'now' }, ann);
    const { killed } = await killing;
    await lost;
    const others = killed.filter(({ region }) => region !== 'free-7');
    const [held] = killed.filter(({ region }) => region === 'free-7');
    expect(held).toMatchObject({ inFlight: 1, terminated: 1 });
    expect(others).toHaveLength(11);
    // It was ended for its silence, which takes far longer than the others have waited.
    for (const each of others) expect(each.tookMs).toBeLessThan(held?.tookMs ?? 0);
    const { rows } = await owner().query<{ first: boolean }>(
      `select bool_and(other.killed_at < held.killed_at) as first
       from portcullis_region.gate other, portcullis_region.gate held
       where held.region = 'free-7' and other.region like 'free-%' and other.region <> 'free-7'`,
    );
    expect(rows).toEqual([{ first: true }]);
  });

  test('of many gates is not kept waiting by whoever has locked their table and says nothing', async () => {
    const regions = ['table-1', 'table-2', 'table-3'];
    const zombie = new pg.Client({ connectionString: database.url });
    const lost = new Promise((resolve) => zombie.on('error', resolve));
    await zombie.connect();
    await zombie.query('begin');
    await zombie.query('lock table portcullis_region.gate in share mode');
    const report = await killJob(owner(), owner, { job: 'claims', regions, reason: 'now' }, ann);
    await lost;
    expect(report).toMatchObject({ failed: [], killed: regions.map((region) => ({ region })) });
  });

  test('of more regions than there are connections does not wait for itself', async () => {
    const zombies = Array.from({ length: 12 }, () => new pg.Client({ connectionString: database.workerUrl }));
    const regionsOf = zombies.map((_, at) => `${here.region}-${at}`);
    await Promise.all(
      zombies.map(async (zombie, at) => {
        zombie.on('error', () => undefined);
        await zombie.connect();
        await zombie.query('begin');
        await zombie.query(`select pg_advisory_xact_lock_shared(7020210, hashtext($1))`, [
          `claims.${regionsOf[at] ?? ''}`,
        ]);
      }),
    );
    const report = await killJob(owner(), owner, { job: 'claims', regions: regionsOf, reason: 'all' }, ann);
    expect(report.failed).toEqual([]);
    expect(report.killed.map(({ terminated }) => terminated)).toEqual(regionsOf.map(() => 1));
    await Promise.all(zombies.map((zombie) => zombie.end().catch(() => undefined)));
  });

  test('latches: neither flags nor restarts nor another policy open the gate again', async () => {
    await here.reconcile();
    await kill();
    platform.flags.close('claims', here.region);
    await here.reconcile();
    platform.flags.open('claims', here.region, all);
    expect((await here.reconcile()).gate).toMatchObject({ state: 'killed', reason: 'enough', permitMs: 0 });
    expect(await here.run()).toMatchObject({
      status: 'held',
      code: 'gate-killed',
      reason: 'killed: enough',
    });
  });

  test('of a gate that is not there yet makes it, killed', async () => {
    here.region = 'never-seen';
    expect(await kill()).toMatchObject({ killed: [{ region: 'never-seen' }], failed: [] });
    expect(await readGate(platform.region, 'claims', here.region)).toMatchObject({ state: 'killed' });
  });

  test('is nobody’s who may only look', async () => {
    await here.reconcile();
    await expect(
      killJob(owner(), owner, { job: 'claims', regions: [here.region], reason: 'x' }, eve),
    ).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    expect((await here.reconcile()).gate.state).toBe('open');
  });

  test('of one version leaves the gate open for others, and stops that version’s run', async () => {
    await here.runUntil('apply.committed', 2, () =>
      killJob(
        owner(),
        owner,
        { job: 'claims', regions: [here.region], version: job.version, reason: 'faulty' },
        ann,
      ),
    );
    expect(await status()).toMatchObject({ status: 'killed', applied: { claim: 20 } });
    expect((await here.reconcile()).gate.state).toBe('open');
    expect(await here.run()).toMatchObject({
      status: 'held',
      code: 'version-quarantined',
      reason: `${job.version} is quarantined: faulty`,
    });
    const lift = { job: 'claims', version: job.version, reason: 'it was the data' };
    const [number = '', digest = ''] = job.version.split('_');
    for (const meant of [
      number,
      digest.slice(0, 6),
      `${number}_${digest.slice(0, 3)}`,
      `${number}+${digest}`,
    ]) {
      const named = await askLift(owner(), [owner()], { ...lift, version: meant }, ann);
      expect(named.subject).toBe(`claims ${job.version}`);
    }
    await expect(askLift(owner(), [owner()], { ...lift, version: '9.9' }, ann)).rejects.toMatchObject({
      code: 'VERSION_NOT_QUARANTINED',
      hint: `these versions are quarantined: ${job.version}`,
    });
    const asked = await askLift(owner(), [owner()], lift, ann);
    await decideRearm(owner(), owner, () => [owner()], asked.id, bob, 'approve');
    expect(await here.run()).toMatchObject({ status: 'succeeded' });
    await expect(askLift(owner(), [owner()], lift, ann)).rejects.toMatchObject({
      code: 'VERSION_NOT_QUARANTINED',
    });
  });

  test('is on the record with what it met', async () => {
    await kill('for the record');
    const { rows } = await owner().query(
      `select principal, action, subject, evidence->>'reason' as reason from portcullis_control.audit order by seq desc limit 1`,
    );
    expect(rows).toEqual([
      { principal: 'ann', action: 'kill', subject: `claims.${here.region}`, reason: 'for the record' },
    ]);
    expect(await verifyAudit(owner())).toMatchObject({ ok: true });
  });
});

describe('a re-arm', () => {
  const ask = (onRearm: 'skip' | 'once' = 'skip') =>
    askRearm(
      owner(),
      () => platform.region,
      { job: 'claims', regions: [here.region], among: [], reason: 'mended', onRearm },
      ann,
    );
  const decide = (id: string, principal = bob, decision: 'approve' | 'reject' = 'approve') =>
    decideRearm(owner(), owner, () => [owner()], id, principal, decision);

  test('takes a second person, and then the flag opens the gate', async () => {
    await kill();
    const { id } = await ask();
    await expect(decide(id, { ...ann, role: 'admin' })).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    expect((await here.reconcile()).gate.state).toBe('killed');
    expect(await decide(id)).toMatchObject({ state: 'approved', requestedBy: 'ann', decidedBy: 'bob' });
    expect((await here.reconcile()).gate).toMatchObject({ state: 'open' });
    expect(await here.run()).toMatchObject({ status: 'succeeded' });
  });

  test('that is refused leaves the gate killed', async () => {
    await kill();
    const { id } = await ask();
    await decide(id, bob, 'reject');
    expect((await here.reconcile()).gate.state).toBe('killed');
  });

  test('loses against a kill that came after it was asked for', async () => {
    await kill('first');
    const { id } = await ask();
    await kill('second');
    await expect(decide(id)).rejects.toMatchObject({ code: 'REARM_OUTDATED' });
    expect((await here.reconcile()).gate).toMatchObject({ state: 'killed', reason: 'second' });
  });

  describe('of many gates', () => {
    const regions = ['north-1', 'south-1', 'west-1'];
    const stop = (...where: readonly string[]) =>
      killJob(owner(), owner, { job: 'claims', regions: where, reason: 'wrong' }, ann);
    const askFor = (named?: readonly string[]) =>
      askRearm(
        owner(),
        () => platform.region,
        { job: 'claims', regions: named, among: regions, reason: 'over', onRearm: 'skip' },
        ann,
      );
    const states = () =>
      Promise.all(regions.map(async (region) => (await readGate(platform.region, 'claims', region)).state));

    test('is one request, decided once, and whoever asks for one of them joins it', async () => {
      await stop(...regions);
      const single = await askFor(['north-1']);
      expect(single).toMatchObject({ subject: 'claims.north-1', region: 'north-1', others: [] });
      const all = await Promise.all([askFor(), askFor(), askFor([...regions].reverse())]);
      expect(new Set(all.map(({ id }) => id)).size).toBe(1);
      expect(all.filter(({ joined }) => !joined)).toHaveLength(1);
      expect(all[0]).toMatchObject({
        subject: 'claims in north-1, south-1, west-1',
        ...{ region: null, regions, others: [{ id: single.id, regions: ['north-1'] }] },
      });
      expect(await askFor(['south-1'])).toMatchObject({ joined: true, id: all[0].id, regions });
      await decide(all[0].id);
      expect(await states()).toEqual(['held', 'held', 'held']);
      await expect(decide(single.id)).rejects.toMatchObject({ code: 'GATE_NOT_KILLED' });
      await expect(askFor()).rejects.toMatchObject({ code: 'GATE_NOT_KILLED' });
    });

    test('names those that are killed, and leaves those that are re-armed meanwhile as they are', async () => {
      await stop('north-1', 'west-1');
      await expect(askFor(['north-1', 'south-1'])).rejects.toMatchObject({ code: 'GATE_NOT_KILLED' });
      const single = await askFor(['north-1']);
      const both = await askFor();
      expect(both.regions).toEqual(['north-1', 'west-1']);
      await decide(single.id);
      await decide(both.id);
      expect(await states()).toEqual(['held', 'held', 'held']);
    });

    test('loses whole against a kill of one of them since', async () => {
      await stop(...regions);
      const { id } = await askFor();
      await stop('west-1');
      await expect(decide(id)).rejects.toMatchObject({ code: 'REARM_OUTDATED' });
      expect(await states()).toEqual(['killed', 'killed', 'killed']);
    });

    test('is asked for by whoever may act in all of them', async () => {
      const bound = person('near', 'operator', ['north-1']);
      const order = { job: 'claims', among: regions, reason: 'over', onRearm: 'skip' } as const;
      for (const named of [undefined, ['north-1', 'south-1']]) {
        await expect(
          askRearm(owner(), () => platform.region, { ...order, regions: named }, bound),
        ).rejects.toMatchObject({ code: 'FORBIDDEN' });
      }
    });
  });

  test('racing a kill, never leaves the gate armed', async () => {
    for (let round = 0; round < 20; round += 1) {
      await kill(`round ${round}`);
      const { id } = await ask();
      await Promise.allSettled([decide(id), kill('again')]);
      expect((await here.reconcile()).gate.state).toBe('killed');
    }
  });

  test('cannot be asked for where nothing is killed', async () => {
    await here.reconcile();
    await expect(ask()).rejects.toMatchObject({ code: 'GATE_NOT_KILLED' });
  });

  test('has slots from before it forgotten, or caught up once, as the policy says', async () => {
    await here.run();
    const of = { job: 'claims', version: job.version, region: here.region };
    await kill();
    await decide((await ask('skip')).id);
    await here.reconcile();
    const since = await missedSince(platform.region, of, 'once');
    const { rows } = await owner().query<{ slot: Date }>(
      'select slot from portcullis_region.run where region = $1',
      [here.region],
    );
    expect(since?.getTime()).toBeGreaterThan(rows[0]?.slot.getTime() ?? Infinity);
    expect(await missedSince(platform.region, of, 'skip')).toBeUndefined();
    await kill();
    await decide((await ask('once')).id);
    await here.reconcile();
    expect(await missedSince(platform.region, of, 'skip')).toBeDefined();
  });
});
