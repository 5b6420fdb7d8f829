import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { ensureAdminToken, recoverAdminToken } from '../../../src/access/admin-token.js';
import { decideApproval, requestApproval } from '../../../src/access/approvals.js';
import { addPerson, listPeople, redeemCode, removePerson } from '../../../src/access/people.js';
import type { Principal } from '../../../src/access/roles.js';
import { issueToken, principalOfToken } from '../../../src/access/tokens.js';
import { listAudit } from '../../../src/audit/browse-audit.js';
import { testDatabase } from '../../support/database.js';
import { temporaryFolder } from '../../support/portcullis.js';

const { owner } = await testDatabase();
const home = await temporaryFolder();

const bearer = async (token: string): Promise<Principal> => {
  const principal = await principalOfToken(owner, token);
  if (principal === undefined) throw new Error('that token is not valid');
  return principal;
};
await ensureAdminToken(owner, home);
const admin = await bearer((await readFile(`${home}/admin-token`, 'utf8')).trim());

const request = (by: Principal) =>
  requestApproval(
    owner,
    { action: 'rearm', subject: 'sweep', reason: 'over', evidence: { nonce: randomUUID() } },
    by,
  );
const approve = (id: string, by: Principal) =>
  decideApproval(owner, id, by, 'approve', () => Promise.resolve());
/** By approving what the one asked for. */
const secondTo = async (one: Principal, other: Principal) => approve((await request(one)).id, other);
/** Redeemed their code so long ago. */
const age = (name: string, minutes: number) =>
  owner.query(
    `update portcullis_control.person set known_since = known_since - $2 * interval '1 minute' where name = $1`,
    [name, minutes],
  );
const invited = (name: string, role: 'approver' | 'admin' | 'operator' = 'approver', by = admin) =>
  addPerson(owner, { name, role }, by);
const joined = async (name: string, role: 'approver' | 'admin' | 'operator' = 'approver', by = admin) =>
  bearer((await redeemCode(owner, { code: (await invited(name, role, by)).code, at: 'test' })).token);

describe('the first start', () => {
  test('makes one person, who has the admin token', async () => {
    expect(await listPeople(owner)).toMatchObject([
      { name: 'admin', role: 'admin', state: 'known', knownBy: 'first-start', tokens: ['admin'] },
    ]);
    expect(admin).toMatchObject({ name: 'admin', person: { name: 'admin' } });
    expect(admin.hands).toEqual([admin.person?.id]);
  });
});

describe('a person who is added', () => {
  test('has a code that is hashed, and no token until they redeem it, once', async () => {
    const { code, expiresAt } = await invited('bob');
    expect(code).toMatch(/^([a-z2-7]{5}-){4}[a-z2-7]{5}$/);
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(23 * 3_600_000);
    const { rows } = await owner.query<{ row: string }>(
      `select p::text as row from portcullis_control.person p`,
    );
    expect(rows.map(({ row }) => row).join()).not.toContain(code);
    expect((await listPeople(owner)).find(({ name }) => name === 'bob')).toMatchObject({
      ...{ state: 'invited', introducedBy: ['admin'], tokens: [] },
    });
    const typed = ` ${code.toUpperCase().replaceAll('-', '')} `;
    const redeemed = await redeemCode(owner, { code: typed, at: 'test' });
    expect(redeemed).toMatchObject({ name: 'bob', person: 'bob', role: 'approver' });
    await expect(redeemCode(owner, { code, at: 'test' })).rejects.toMatchObject({ code: 'CODE_REFUSED' });
    expect((await listPeople(owner)).find(({ name }) => name === 'bob')).toMatchObject({
      ...{ state: 'known', knownBy: 'code', tokens: ['bob'], lastSeenAt: null },
    });
    const { rows: then } = await owner.query<{ now: Date }>('select clock_timestamp() as now');
    await bearer(redeemed.token);
    const seen = (await listPeople(owner)).find(({ name }) => name === 'bob')?.lastSeenAt ?? '';
    expect(Date.parse(seen)).toBeGreaterThanOrEqual(then[0]?.now.getTime() ?? Infinity);
    const { items } = await listAudit(owner, { subject: 'bob' }, { limit: 5 });
    expect(items.map(({ principal, action }) => `${principal} ${action}`)).toEqual([
      'bob redeem-code',
      'admin add-person',
    ]);
    expect(JSON.stringify(items)).not.toContain(code);
  });

  test('cannot redeem a code that has expired, or that was replaced', async () => {
    const { code } = await invited('late');
    await owner.query(
      `update portcullis_control.person set code_expires_at = clock_timestamp() where name = 'late'`,
    );
    await expect(redeemCode(owner, { code, at: 'test' })).rejects.toMatchObject({ code: 'CODE_REFUSED' });
    await expect(invited('late')).rejects.toMatchObject({ code: 'PERSON_KNOWN' });
    const again = await addPerson(owner, { name: 'late', role: 'approver', replace: true }, admin);
    await expect(redeemCode(owner, { code, at: 'test' })).rejects.toMatchObject({ code: 'CODE_REFUSED' });
    expect(await redeemCode(owner, { code: again.code, at: 'test' })).toMatchObject({ name: 'late' });
  });

  test('keeps the code where the token’s name is taken', async () => {
    const { code } = await invited('taken');
    const twice = redeemCode(owner, { code, tokenName: 'admin', at: 'test' });
    await expect(twice).rejects.toMatchObject({ code: 'TOKEN_NAME_TAKEN' });
    expect(await redeemCode(owner, { code, tokenName: 'mine', at: 'test' })).toMatchObject({ name: 'mine' });
  });

  test('approves an hour after redeeming it, and who introduced them is on record', async () => {
    const carol = await joined('carol');
    const { id } = await request(admin);
    await expect(approve(id, carol)).rejects.toMatchObject({ code: 'APPROVER_TOO_NEW' });
    await age('carol', 61);
    const approved = {
      ...{ state: 'approved', decidedBy: 'carol', decidedPerson: 'carol', requestedPerson: 'admin' },
      ...{ introducedBy: 'admin', caution: 'admin asked, and introduced carol' },
    };
    expect(await approve(id, carol)).toMatchObject(approved);
    const { items } = await listAudit(owner, { subject: id }, { limit: 1 });
    expect(items).toMatchObject([
      { action: 'approve', principal: 'carol', evidence: { introducedBy: 'admin', person: 'carol' } },
    ]);
  });

  test('who is removed has no token any more', async () => {
    const { token } = await redeemCode(owner, { code: (await invited('gone')).code, at: 'test' });
    expect(await removePerson(owner, 'gone', admin)).toEqual(['gone']);
    expect(await principalOfToken(owner, token)).toBeUndefined();
    await expect(removePerson(owner, 'gone', admin)).rejects.toMatchObject({ code: 'NOTHING_REACHED' });
    await expect(removePerson(owner, 'nobody', admin)).rejects.toMatchObject({ code: 'PERSON_UNKNOWN' });
  });
});

describe('one person with many tokens is one', () => {
  test('with a second token of their own', async () => {
    const own = { name: 'admin-2', role: 'admin', owner: { person: 'admin' } } as const;
    const second = await bearer((await issueToken(owner, own, admin)).token);
    await expect(secondTo(admin, second)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    await expect(secondTo(second, admin)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
  });

  test('with the token of a machine that they issued', async () => {
    const ci = { name: 'ci', role: 'admin', owner: 'machine' } as const;
    const machine = await bearer((await issueToken(owner, ci, admin)).token);
    await expect(secondTo(machine, admin)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    await expect(secondTo(admin, machine)).rejects.toMatchObject({ code: 'MACHINE_CANNOT_APPROVE' });
    // Nor through a second machine, or a person whom the machine introduced.
    const cd = { name: 'cd', role: 'admin', owner: 'machine' } as const;
    const other = await bearer((await issueToken(owner, cd, machine)).token);
    await expect(secondTo(other, admin)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    const puppet = await joined('puppet', 'approver', machine);
    await expect(secondTo(admin, puppet)).rejects.toMatchObject({ code: 'APPROVER_TOO_NEW' });
  });

  test('with a token that they issued for somebody else', async () => {
    await joined('dora');
    await age('dora', 120);
    const hers = { name: 'dora-2', role: 'approver', owner: { person: 'dora' } } as const;
    const known = await bearer((await issueToken(owner, hers, admin)).token);
    await expect(secondTo(admin, known)).rejects.toMatchObject({ code: 'APPROVER_UNPROVEN' });
    await expect(secondTo(known, admin)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    const twice = issueToken(owner, { name: 'x', role: 'viewer', owner: { person: 'nobody' } }, admin);
    await expect(twice).rejects.toMatchObject({ code: 'PERSON_UNKNOWN' });
  });

  test('with the code of somebody who redeems it where their own token can be read', async () => {
    const { code } = await invited('beside');
    const { token } = await redeemCode(owner, { code, at: 'local:root', beside: admin.hands });
    await age('beside', 120);
    const beside = await bearer(token);
    await expect(secondTo(admin, beside)).rejects.toMatchObject({ code: 'APPROVER_UNPROVEN' });
  });

  test('who gives another person a new code, and redeems it', async () => {
    await joined('erin');
    await age('erin', 10_000);
    const { code } = await addPerson(owner, { name: 'erin', role: 'approver', replace: true }, admin);
    const stolen = await bearer((await redeemCode(owner, { code, at: 'test' })).token);
    await expect(secondTo(admin, stolen)).rejects.toMatchObject({ code: 'APPROVER_TOO_NEW' });
  });

  test('who recovers the admin token without a token, within the hour', async () => {
    const fred = await joined('fred');
    await age('fred', 120);
    const recovered = await bearer((await recoverAdminToken(owner, 'local:root')).token);
    await expect(secondTo(recovered, fred)).rejects.toMatchObject({ code: 'APPROVER_TOO_NEW' });
    await expect(secondTo(fred, recovered)).rejects.toMatchObject({ code: 'APPROVER_TOO_NEW' });
    await age('admin', 61);
    expect(await secondTo(fred, recovered)).toMatchObject({ caution: expect.stringContaining('recovered') });
  });
});

test('a machine is no approver', async () => {
  const machine = { name: 'robot', role: 'approver', owner: 'machine' } as const;
  await expect(issueToken(owner, machine, admin)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  const nobodys = { name: 'nobodys', role: 'viewer' } as const;
  await expect(issueToken(owner, nobodys, admin)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
});
