import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { importDirectory, type ImportReport } from '../../../../src/jobs/directory/import.js';
import { testDatabase } from '../../../support/database.js';
import { csvFolder } from '../../../support/directory-files.js';

/** Imports that bring the directory up to date: `--update`. */

const { owner } = await testDatabase();
const folder = await csvFolder();
afterAll(() => folder.remove());

type Contents = Parameters<typeof folder.write>[0];
const update = async (contents: Contents): Promise<ImportReport> =>
  importDirectory(owner, await folder.write(contents), { update: true });

const DOMAINS =
  'id,name,organisation_id,request_id,requested_by,requested_at,token,token_issued_at\n' +
  'd1,acme.example,o1,r1,a1,2026-01-01T00:00:00Z,0123,2026-01-01T00:00:01Z\n';

beforeEach(async () => {
  await owner.query(
    'truncate directory.organisation, directory.account, directory.admin, directory.product_use, directory.request, directory.domain',
  );
  const files = await folder.write({
    organisations: 'id,name,home_region,consent\no1,Acme,eu-west-1,all\no2,Globex,us-east-1,none\n',
    accounts:
      'id,email,email_verified,home_region,admin_of,products\n' +
      'a1,ann@acme.example,true,eu-west-1,o1@2026-01-01T00:00:00Z;o2@2026-01-01T00:00:00Z,Jira;Trello\n' +
      'a2,bob@acme.example,false,eu-west-1,,\n',
    domains: DOMAINS,
  });
  await importDirectory(owner, files);
  await owner.query(
    `update directory.account set state = 'MANAGED', organisation_id = 'o1' where id = 'a1';
     update directory.domain set state = 'VERIFIED' where id = 'd1'`,
  );
});

const rowsOf = async (sql: string): Promise<unknown[]> =>
  (await owner.query<Record<string, unknown>>(sql)).rows;

test('rows follow their file in its columns, new ones are made, and the rest stays as it is', async () => {
  const report = await update({
    organisations: 'id,name,home_region\no1,Acme Ltd,eu-west-1\no2,Globex,us-east-1\no3,Initech,eu-west-1\n',
    accounts:
      'id,email,email_verified,home_region\na1,ann@acme.example,true,eu-west-1\na2,bob@acme.example,true,eu-west-1\n',
  });
  // The rows that were new or have changed.
  expect(report).toEqual({
    organisations: 2,
    accounts: 1,
    admins: 0,
    productUses: 0,
    requests: 0,
    domains: 0,
  });
  expect(await rowsOf('select id, name, consent from directory.organisation order by id')).toEqual([
    { id: 'o1', name: 'Acme Ltd', consent: 'all' },
    { id: 'o2', name: 'Globex', consent: 'none' },
    { id: 'o3', name: 'Initech', consent: 'none' },
  ]);
  // What the files do not name is the job's, or nobody's business.
  expect(
    await rowsOf('select id, email_verified, state, organisation_id from directory.account order by id'),
  ).toEqual([
    { id: 'a1', email_verified: true, state: 'MANAGED', organisation_id: 'o1' },
    { id: 'a2', email_verified: true, state: 'UNMANAGED', organisation_id: null },
  ]);
  expect(await rowsOf('select state from directory.domain')).toEqual([{ state: 'VERIFIED' }]);
  expect(await rowsOf('select count(*)::integer as n from directory.admin where removed_at is null')).toEqual(
    [{ n: 2 }],
  );
});

test('who is no longer named as an admin is removed as one, and products are those of the file', async () => {
  await update({
    accounts:
      'id,email,email_verified,home_region,admin_of,products\n' +
      'a1,ann@acme.example,true,eu-west-1,o1@2026-01-01T00:00:00Z,Jira;Compass\n',
  });
  expect(
    await rowsOf('select organisation_id as o, removed_at is null as still from directory.admin order by 1'),
  ).toEqual([
    { o: 'o1', still: true },
    { o: 'o2', still: false },
  ]);
  expect(await rowsOf('select product from directory.product_use order by 1')).toEqual([
    { product: 'Compass' },
    { product: 'Jira' },
  ]);
});

test('the same file changes nothing, and a request keeps what it was issued for', async () => {
  expect(await update({ domains: DOMAINS })).toMatchObject({ requests: 0, domains: 0 });
  await expect(update({ domains: DOMAINS.replace('0123', '4567') })).rejects.toMatchObject({
    code: 'CSV_INVALID',
    message: expect.stringContaining('the request "r1" is in the directory with other particulars'),
  });
  const withdrawn = DOMAINS.replace('token_issued_at\n', 'token_issued_at,withdrawn_at\n').replace(
    '00:00:01Z\n',
    '00:00:01Z,2026-02-01T00:00:00Z\n',
  );
  expect(await update({ domains: withdrawn })).toMatchObject({ requests: 1, domains: 0 });
});

test('a directory is replaced or brought up to date, not both', async () => {
  const files = await folder.write({ organisations: 'id,name,home_region\n', accounts: 'x', domains: 'x' });
  await expect(importDirectory(owner, files, { update: true, replace: true })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
});
