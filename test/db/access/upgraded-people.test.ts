import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { decideApproval, findApproval } from '../../../src/access/approvals.js';
import { listPeople } from '../../../src/access/people.js';
import { listTokens, principalOfToken } from '../../../src/access/tokens.js';
import { recordAudit } from '../../../src/audit/record.js';
import { emptyDatabase } from '../../support/database.js';

const FOLDER = new URL('../../../src/postgres/migrations/control/', import.meta.url);
const PEOPLE = 19;
const { owner } = await emptyDatabase();

test('tokens of before become people and machines, and approve as before, with a caution', async () => {
  const files = (await readdir(FOLDER)).sort();
  const apply = async (wanted: (number: number) => boolean) => {
    for (const file of files.filter((each) => wanted(Number(each.slice(0, 3))))) {
      await owner.query(await readFile(new URL(file, FOLDER), 'utf8'));
    }
  };
  await apply((number) => number < PEOPLE);
  const token = (name: string, role: string, revoked = false) =>
    owner.query(
      `insert into portcullis_control.api_token (id, name, sha256, role, revoked_at)
       values (gen_random_uuid(), $1, $2, $3, case when $4 then now() end)`,
      [name, createHash('sha256').update(`pcl_${name}`).digest(), role, revoked],
    );
  const issued = async (name: string, role: string, by: string, revoked = false) => {
    await token(name, role, revoked);
    await recordAudit(owner, { principal: by, action: 'issue-token', subject: name, evidence: { role } });
  };
  await issued('admin', 'admin', 'system:start');
  await issued('bob', 'approver', 'local:root');
  await issued('carol', 'operator', 'bob');
  await issued('gone', 'admin', 'admin', true);
  await issued('alertmanager', 'worker', 'admin');
  const asked = (id: string, by: string) =>
    owner.query(
      `insert into portcullis_control.approval (id, action, subject, reason, request, requested_by, expires_at)
       values ($1, 'rearm', 'sweep', 'over', '{}', $2, now() + interval '1 hour')`,
      [id, by],
    );
  await asked('aaaaaaaa', 'local:root');
  await asked('bbbbbbbb', 'bob');
  await apply((number) => number >= PEOPLE);

  expect(await listPeople(owner)).toMatchObject([
    { name: 'admin', role: 'admin', state: 'known', knownBy: 'upgrade', introducedBy: [], tokens: ['admin'] },
    { name: 'bob', state: 'known', knownBy: 'upgrade', introducedBy: ['admin'], tokens: ['bob'] },
    { name: 'carol', state: 'known', introducedBy: ['bob'] },
    { name: 'gone', state: 'removed', tokens: [] },
  ]);
  expect((await listTokens(owner)).map(({ name, person }) => [name, person])).toEqual([
    ['admin', 'admin'],
    ['alertmanager', null],
    ['bob', 'bob'],
    ['carol', 'carol'],
    ['gone', 'gone'],
  ]);
  const holder = async (name: string) => {
    const found = await principalOfToken(owner, `pcl_${name}`);
    if (found === undefined) throw new Error(`${name} is locked out`);
    return found;
  };
  const approve = async (id: string, by: string) =>
    decideApproval(owner, id, await holder(by), 'approve', () => Promise.resolve());
  // Whoever had the machine had the admin's token.
  await expect(approve('aaaaaaaa', 'admin')).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
  await expect(approve('bbbbbbbb', 'bob')).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
  const caution = expect.stringContaining('before Portcullis knew people');
  expect(await approve('aaaaaaaa', 'bob')).toMatchObject({ introducedBy: 'admin', caution });
  expect(await approve('bbbbbbbb', 'admin')).toMatchObject({ caution });
  expect(await findApproval(owner, 'bbbbbbbb')).toMatchObject({ requestedPerson: 'bob' });
});
