import { afterEach, describe, expect, test } from '@jest/globals';
import { findApproval, listApprovals } from '../../../src/access/approvals.js';
import type { Principal, Role } from '../../../src/access/roles.js';
import { principalOfToken } from '../../../src/access/tokens.js';
import { startAlone } from '../../../src/app/alone.js';
import { listAudit } from '../../../src/audit/browse-audit.js';
import type { Installation } from '../../../src/cli/app-port.js';
import { askLift } from '../../../src/containment/rearm-approval.js';
import { approveAloneAndTell } from '../../../src/notify/tell-alone.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { databasesAt } from '../../http/serving.js';
import { testDatabase } from '../../support/database.js';
import { databaseCli } from '../../support/database-cli.js';
import { tokenOf } from '../../support/people.js';
import { until } from '../../support/until.js';

const { owner } = await testDatabase();
const { run } = await databaseCli(owner);
const installation = { control: owner, regionDatabases: databasesAt(owner) } as unknown as Installation;

const tokens = new Map<string, string>();
const holder = async (name: string, role: Role, regions?: readonly string[]): Promise<Principal> => {
  const { token } = await tokenOf(owner, { name, role, regions, replace: true });
  tokens.set(name, token);
  const found = await principalOfToken(owner, token);
  if (found === undefined) throw new Error(`the token of ${name} is not valid`);
  return found;
};
const ann = await holder('ann', 'admin');

let versions = 0;
/** A request for a quarantine to be lifted, and whether it still stands. */
const asked = async (by = ann) => {
  const version = `1.0.${(versions += 1)}_9f3c2a1b`;
  await owner.query(
    `insert into portcullis_region.quarantine (job, version, reason, set_by) values ('sweep', $1, 'bad', 'ann')`,
    [version],
  );
  const { id } = await askLift(owner, [owner], { job: 'sweep', version, reason: 'it was not' }, by);
  const quarantined = async () => {
    const found = await owner.query('select from portcullis_region.quarantine where version = $1', [version]);
    return found.rowCount === 1;
  };
  return { id, quarantined };
};
const pass = (id: string, minutes: number) =>
  owner.query(
    `update portcullis_control.approval set alone_at = alone_at - $2 * interval '1 minute' where id = $1`,
    [id, minutes],
  );

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});
const serve = () => {
  const beat = startAlone(installation, createLogger({ level: 'silent' }), undefined);
  stops.push(() => beat.stop());
};

describe('a request that one person decides alone', () => {
  test('approves itself when its hour is over, is carried out, and shows for ever that nobody agreed', async () => {
    const { id, quarantined } = await asked();
    const alone = await approveAloneAndTell(owner, id, ann);
    const { rows } = await owner.query<{ s: number }>(
      'select extract(epoch from alone_at - clock_timestamp())::float8 as s from portcullis_control.approval where id = $1',
      [id],
    );
    expect(rows[0]?.s).toBeGreaterThan(3_590);
    expect(rows[0]?.s).toBeLessThanOrEqual(3_600);
    expect(alone).toMatchObject({ state: 'pending', aloneAt: expect.any(String) });
    const { rows: told } = await owner.query<{ title: string; lines: string[] }>(
      `select title, lines from portcullis_control.notice where kind = 'approval' order by at desc`,
    );
    expect(told[0]?.title).toContain('ann alone asks for lift-quarantine');
    expect(told[0]?.lines).toContain(`Anybody may cancel it until then: portcullis reject ${id}`);
    const again = approveAloneAndTell(owner, id, ann);
    await expect(again).rejects.toMatchObject({ code: 'NOTHING_REACHED' });

    // Another is due first: when that one is approved, this one was looked at, and was not.
    const due = await asked();
    await approveAloneAndTell(owner, due.id, ann);
    await pass(due.id, 61);
    serve();
    await until('it approved itself', async () => (await findApproval(owner, due.id)).state === 'approved');
    expect((await findApproval(owner, id)).state).toBe('pending');
    expect(await quarantined()).toBe(true);
    await pass(id, 61);
    await until('this one too', async () => (await findApproval(owner, id)).state === 'approved');
    expect(await quarantined()).toBe(false);
    const caution = 'alone: ann asked, nobody else agreed, and nobody cancelled it';
    expect(await findApproval(owner, id)).toMatchObject({ decidedBy: 'system:alone', caution });
    expect((await listAudit(owner, { subject: id }, { limit: 9 })).items).toMatchObject([
      { principal: 'system:alone', action: 'approve', evidence: { caution } },
      { principal: 'ann', action: 'approve-alone' },
      { principal: 'ann', action: 'request-approval' },
    ]);
    const { out } = await run({}, 'approvals');
    expect(out).toMatch(new RegExp(`^${id} +approved, alone `, 'm'));
    expect(out).toContain(`${id}: ${caution}`);
  });

  test.each(['viewer', 'worker', 'nobody', 'ann'] as const)('is cancelled by %s', async (who) => {
    const { id, quarantined } = await asked();
    await approveAloneAndTell(owner, id, ann);
    if (who === 'viewer' || who === 'worker') await holder(`a-${who}`, who);
    const token = tokens.get(who === 'ann' ? 'ann' : `a-${who}`);
    const cancelled = await run(token === undefined ? {} : { token }, 'reject', id);
    expect([cancelled.exit, cancelled.err]).toEqual([0, '']);
    await pass(id, 61);
    const due = await asked();
    await approveAloneAndTell(owner, due.id, ann);
    await pass(due.id, 61);
    serve();
    await until('the other approved itself', async () => !(await due.quarantined()));
    expect(await findApproval(owner, id)).toMatchObject({ state: 'rejected', aloneAt: expect.any(String) });
    expect(await quarantined()).toBe(true);
  });

  test('is asked for by its own person alone, on the command line, with rearm and approve', async () => {
    const { id } = await asked();
    const olaf = await holder('olaf', 'operator');
    const ci = { ...ann, person: undefined, name: 'ci' };
    for (const [by, code] of [
      [olaf, 'FORBIDDEN'],
      [ci, 'MACHINE_CANNOT_APPROVE'],
    ] as const) {
      await expect(approveAloneAndTell(owner, id, by)).rejects.toMatchObject({ code });
    }
    const { id: of } = await asked(olaf);
    await expect(approveAloneAndTell(owner, of, ann)).rejects.toMatchObject({ code: 'ALONE_REFUSED' });
    const token = tokens.get('ann') ?? '';
    expect((await run({ token }, 'approve', id, '--alone')).out).toContain(`portcullis reject ${id}`);
    await owner.query(
      `insert into portcullis_region.quarantine (job, version, reason, set_by) values ('sweep', '2.0.0_9f3c2a1b', 'bad', 'ann')`,
    );
    const rearm = ['rearm', 'sweep', '--version', '2.0.0_9f3c2a1b', '--reason', 'over', '--alone'];
    expect((await run({ token }, ...rearm)).out).toContain('as decided alone, unless somebody cancels it');
  });

  test('is refused where somebody else may approve, and not for one who may not', async () => {
    await holder('elsewhere', 'approver', ['us-east-1']);
    const { id } = await asked();
    await approveAloneAndTell(owner, id, ann);
    await holder('bob', 'approver');
    const { id: second } = await asked();
    const refused = approveAloneAndTell(owner, second, ann);
    await expect(refused).rejects.toMatchObject({
      code: 'ALONE_REFUSED',
      message: expect.stringMatching(/^bob /),
    });
    expect((await listApprovals(owner, { state: 'pending' }, { limit: 50 })).items).toContainEqual(
      expect.objectContaining({ id: second, aloneAt: null }),
    );
  });
});

test('what is asked for already, and waits, is joined on record', async () => {
  const version = '3.0.0_9f3c2a1b';
  await owner.query(
    `insert into portcullis_region.quarantine (job, version, reason, set_by) values ('sweep', $1, 'bad', 'ann')`,
    [version],
  );
  const order = { job: 'sweep', version, reason: 'it was not' };
  const first = await askLift(owner, [owner], order, ann);
  const olga = await holder('olga', 'operator');
  const second = await askLift(owner, [owner], order, olga);
  expect([first.joined, second.joined, second.id === first.id]).toEqual([false, true, true]);
  expect(second.requestedBy).toBe('ann');
  const { items } = await listAudit(owner, { subject: first.id }, { limit: 5 });
  expect(items.map(({ principal, action }) => `${principal} ${action}`)).toEqual([
    'olga join-request',
    'ann request-approval',
  ]);
  const rearm = ['rearm', 'sweep', '--version', version, '--reason', 'over'];
  expect((await run({ token: tokens.get('olga') ?? '' }, ...rearm)).err).toContain(
    'ann has asked for that already',
  );
});
