import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { PortcullisError } from '../../../../src/kernel/errors.js';
import type { Fault } from '../../../../src/csv/faults.js';
import { importDirectory, type ImportOptions as Options } from '../../../../src/jobs/directory/import.js';
import type { ImportProgress } from '../../../../src/jobs/directory/import.js';
import { testDatabase } from '../../../support/database.js';
import { csvFolder } from '../../../support/directory-files.js';

const database = await testDatabase();
const pool = database.owner;
const folder = await csvFolder();
afterAll(() => folder.remove());

const EMPTY =
  'truncate directory.organisation, directory.account, directory.admin, directory.product_use, directory.request, directory.domain';
beforeEach(async () => {
  await pool.query(EMPTY);
});

type Contents = Parameters<typeof folder.write>[0];
const doImport = async (contents: Contents, options?: Options) =>
  importDirectory(pool, await folder.write(contents), options);

/** The faults of an import that must be refused, as `file:line: reason`, and proof that nothing is left of it. */
async function faultsOf(contents: Contents, options?: Options): Promise<string[]> {
  const before = await counts();
  const error = await doImport(contents, options).then(
    () => undefined,
    (thrown: unknown) => thrown as PortcullisError,
  );
  expect(error).toMatchObject({ code: 'CSV_INVALID' });
  expect(await counts()).toEqual(before);
  const faults = error?.details['faults'] as Fault[];
  expect(error?.details['total']).toBeGreaterThanOrEqual(faults.length);
  return faults.map(({ file, line, reason }) => `${file.slice(folder.path.length + 1)}:${line}: ${reason}`);
}

async function counts(): Promise<unknown> {
  const { rows } = await pool.query(`
    select (select count(*) from directory.organisation) as organisations,
           (select count(*) from directory.account) as accounts,
           (select count(*) from directory.admin) as admins,
           (select count(*) from directory.product_use) as uses,
           (select count(*) from directory.request) as requests,
           (select count(*) from directory.domain) as domains`);
  return rows[0];
}

const ORGANISATIONS = 'id,name,home_region\no1,Acme,eu-west-1\no2,Globex,us-east-1\n';
const ACCOUNTS = 'id,email,email_verified,home_region\na1,ann@acme.example,true,eu-west-1\n';
const DOMAINS = 'id,name,organisation_id\nd1,acme.example,o1\n';
const REQUESTED =
  'id,name,organisation_id,request_id,requested_by,requested_at,token,token_issued_at\n' +
  'd1,acme.example,o1,r1,a1,2026-01-01T00:00:00Z,0123,2026-01-01T00:00:01Z\n';

describe('a file that is right', () => {
  test('needs few columns, in any order, and the rest get their defaults', async () => {
    const report = await doImport({
      organisations: 'name,home_region,id\nAcme,eu-west-1,o1\n',
      accounts: ACCOUNTS,
      domains: DOMAINS,
    });
    expect(report).toEqual({
      organisations: 1,
      accounts: 1,
      admins: 0,
      productUses: 0,
      requests: 0,
      domains: 1,
    });
    const { rows } = await pool.query(
      `select o.consent, d.state, d.home_region, d.request_id, d.check_count, a.state as account, a.kind
         from directory.organisation o, directory.domain d, directory.account a`,
    );
    expect(rows).toEqual([
      {
        consent: 'none',
        state: 'PENDING',
        home_region: 'eu-west-1',
        request_id: null,
        check_count: 0,
        account: 'UNMANAGED',
        kind: 'person',
      },
    ]);
  });

  test('may have a byte order mark, CRLF, empty lines, and quoted commas, quotes and newlines', async () => {
    await doImport({
      organisations: '\uFEFFid,name,home_region\r\n\r\no1,"Acme, ""the"" first\r\nand  last ",eu-west-1\r\n',
    });
    const { rows } = await pool.query('select name from directory.organisation');
    expect(rows).toEqual([{ name: 'Acme, "the" first\r\nand  last ' }]);
  });

  test('carries admins, with since and until, and the request behind a domain', async () => {
    const report = await doImport({
      organisations: ORGANISATIONS,
      accounts:
        'id,email,email_verified,home_region,admin_of\n' +
        'a1,ann@acme.example,TRUE,eu-west-1,o1@2025-01-01;o2@2024-01-01T00:00:00+02:00/2025-06-30T12:00:00Z\n',
      domains: REQUESTED,
    });
    expect(report).toEqual({
      organisations: 2,
      accounts: 1,
      admins: 2,
      productUses: 0,
      requests: 1,
      domains: 1,
    });
    const { rows } = await pool.query(
      'select organisation_id, since, removed_at from directory.admin order by organisation_id',
    );
    expect(rows).toEqual([
      { organisation_id: 'o1', since: new Date('2025-01-01T00:00:00Z'), removed_at: null },
      {
        organisation_id: 'o2',
        since: new Date('2023-12-31T22:00:00Z'),
        removed_at: new Date('2025-06-30T12:00:00Z'),
      },
    ]);
    const requests = await pool.query(
      'select organisation_id, domain_name, requested_by, token from directory.request',
    );
    expect(requests.rows).toEqual([
      { organisation_id: 'o1', domain_name: 'acme.example', requested_by: 'a1', token: '0123' },
    ]);
  });

  test('carries the products that accounts are used in', async () => {
    const report = await doImport({
      accounts:
        'id,products,email,email_verified,home_region\n' +
        'a1,Jira;Trello,x,true,r\na2,,y,true,r\na3,"A;\\;b\\\\",z,true,r\n',
    });
    expect(report).toMatchObject({ accounts: 3, productUses: 4 });
    const { rows } = await pool.query('select * from directory.product_use order by account_id, product');
    expect(rows.map(Object.values)).toEqual([
      ['a1', 'Jira'],
      ['a1', 'Trello'],
      ['a3', ';b\\'],
      ['a3', 'A'],
    ]);
  });

  test('is not judged on its addresses and names: that is the job’s to do', async () => {
    await doImport({
      organisations: ORGANISATIONS,
      accounts:
        'id,email,email_verified,home_region\n' +
        'a1,,false,eu-west-1\na2,a@acme.example@evil.example,true,eu-west-1\n' +
        'a3,"""Ann"" <ann@acme.example>\nbcc: x",true,eu-west-1\n',
      domains: `id,name,organisation_id\nd1,*.acme.example,o1\nd2,a..b,o1\nd3,${'x'.repeat(300)},o1\nd4,,o1\n`,
    });
    expect(await counts()).toMatchObject({ accounts: 3, domains: 4 });
  });

  test('may build on what is in the directory', async () => {
    await doImport({ organisations: ORGANISATIONS });
    await doImport({ accounts: ACCOUNTS });
    await doImport({ domains: REQUESTED });
    expect(await counts()).toMatchObject({ organisations: 2, accounts: 1, requests: 1, domains: 1 });
  });

  test('takes the place of the whole directory when it is to replace it', async () => {
    await doImport({ organisations: ORGANISATIONS, accounts: ACCOUNTS, domains: DOMAINS });
    await doImport(
      { organisations: 'id,name,home_region\no1,New,eu-west-1\n', accounts: ACCOUNTS, domains: DOMAINS },
      { replace: true },
    );
    const { rows } = await pool.query('select id, name from directory.organisation');
    expect(rows).toEqual([{ id: 'o1', name: 'New' }]);
  });

  test('tells how far it is', async () => {
    const lines = Array.from({ length: 25_000 }, (_, index) => `o${index},Org,eu-west-1\n`);
    const told: ImportProgress[] = [];
    await doImport(
      { organisations: `id,name,home_region\n${lines.join('')}` },
      { onProgress: (progress) => told.push(progress) },
    );
    expect(told).toEqual([
      { step: 'reading organisations', rows: 10_000 },
      { step: 'reading organisations', rows: 20_000 },
      { step: 'reading organisations', rows: 25_000 },
      { step: 'checking', rows: 25_000 },
      { step: 'writing', rows: 25_000 },
    ]);
  });
});

describe('a file with faults is refused whole, each fault with its line and reason', () => {
  test('a column that there is not, with the nearest one that there is', async () => {
    await expect(faultsOf({ organisations: 'id,nmae,home_region,colour\no1,Acme,x,red\n' })).resolves.toEqual(
      [
        'organisations.csv:1: there is no column "nmae"; did you mean name?',
        'organisations.csv:1: there is no column "colour"; the columns are id, name, home_region, consent, ' +
          'consent_at, suspended_at',
        'organisations.csv:1: the column name is missing',
      ],
    );
  });

  test.each([
    ['a column twice', 'id,name,home_region,id\n', 'the column "id" is there twice'],
    ['semicolons', 'id;name;home_region\n', 'the columns are separated by ";"; separate them by commas'],
    [
      'nothing in it',
      '',
      'the file is empty; its first line names the columns: id, name, home_region, consent, consent_at, suspended_at',
    ],
  ])('%s', async (_what, content, reason) => {
    await expect(faultsOf({ organisations: content })).resolves.toEqual([`organisations.csv:1: ${reason}`]);
  });

  test('lines with too few or too many fields', async () => {
    await expect(faultsOf({ organisations: `${ORGANISATIONS}o3,Umbrella\no4,a,b,c\n` })).resolves.toEqual([
      'organisations.csv:4: there are 2 fields, and the header has 3',
      'organisations.csv:5: there are 4 fields, and the header has 3',
    ]);
  });

  test('wrong words, times, booleans, numbers and empty fields, all at once', async () => {
    await expect(
      faultsOf({
        organisations:
          'id,name,home_region,consent,suspended_at\n' +
          ',Acme,eu-west-1,al,\no1,Acme,,ALL,2026-02-29\no2,Globex,r,all,last week\n',
        accounts:
          'id,email,email_verified,home_region,kind,admin_of,products\n' +
          'a1,x,maybe,r,Person,o2,Jira;;Trello\na2,y,,r,person,o2@2026-13-01,Jira;Jira\n',
        domains:
          'id,name,organisation_id,check_count,request_id,token,proof\n' +
          'd1,x.example,o2,many,,abc,\nd2,y.example,o2,1,r2,abc,http\n',
      }),
    ).resolves.toEqual([
      'organisations.csv:2: id is empty',
      'organisations.csv:2: consent: "al" is none of none, selected, all; did you mean all?',
      'organisations.csv:3: home_region is empty',
      'organisations.csv:3: consent: "ALL" is none of none, selected, all; did you mean all?',
      'organisations.csv:3: suspended_at: there is no such time as "2026-02-29"',
      'organisations.csv:4: suspended_at: "last week" is not a time such as 2026-03-01T09:30:00Z',
      'accounts.csv:2: email_verified: "maybe" is neither true nor false',
      'accounts.csv:2: kind: "Person" is none of person, bot, service, portal-customer; did you mean person?',
      'accounts.csv:2: admin_of: "o2" is not organisation@since or organisation@since/removed, separated by semicolons',
      'accounts.csv:2: products: "Jira;;Trello" is not a list of products separated by semicolons',
      'accounts.csv:3: email_verified is empty',
      'accounts.csv:3: admin_of: "o2@2026-13-01": there is no such time as "2026-13-01"',
      'accounts.csv:3: products: "Jira;Jira" names "Jira" twice',
      'domains.csv:2: check_count: "many" is not a whole number below 2,147,483,648',
      'domains.csv:2: token is given, though there is no request_id',
      'domains.csv:3: proof: "http" is none of dns, https; did you mean https?',
      'domains.csv:3: requested_at is empty, though there is a request_id',
      'domains.csv:3: token_issued_at is empty, though there is a request_id',
    ]);
  });

  test('lines that contradict each other', async () => {
    const time = '2026-01-01T00:00:00Z';
    await expect(
      faultsOf({
        organisations: `${ORGANISATIONS}o1,Again,eu-west-1\n`,
        accounts: `id,email,email_verified,home_region,admin_of\na1,x,true,r,o1@${time};o1@2026-01-02\na1,y,true,r,\n`,
        domains:
          'id,name,organisation_id,state,request_id,requested_at,token,token_issued_at\n' +
          `d1,acme.example,o1,VERIFIED,r1,${time},t1,${time}\n` +
          `d1,b.example,o1,PENDING,,,,\n` +
          `d2,acme.example,o1,PENDING,,,,\n` +
          `d3,acme.example,o2,AT_RISK,r1,${time},t1,${time}\n` +
          `d4,c.example,o2,PENDING,r4,${time},t1,${time}\n`,
      }),
    ).resolves.toEqual([
      'organisations.csv:4: the id "o1" is also on line 2',
      'accounts.csv:2: admin_of names "o1" 2 times',
      'accounts.csv:3: the id "a1" is also on line 2',
      'domains.csv:3: the id "d1" is also on line 2',
      'domains.csv:4: "o1" has the domain "acme.example" on line 2 too',
      'domains.csv:5: the domain "acme.example" is VERIFIED or AT_RISK on line 2 too: a domain has one owner',
      'domains.csv:5: the request "r1" is on line 2 with other particulars',
      'domains.csv:6: its token is that of request "r1" on line 2: a token is issued once',
    ]);
  });

  test('lines that name what is nowhere', async () => {
    await expect(
      faultsOf({
        organisations: ORGANISATIONS,
        accounts:
          'id,email,email_verified,home_region,organisation_id,selected_by,admin_of\n' +
          'a1,x,true,r,o7,o8,o9@2026-01-01\n',
        domains: REQUESTED.replace('a1', 'a9').replace('o1', 'o6').replace('request_id', 'request_id'),
      }),
    ).resolves.toEqual([
      'accounts.csv:2: organisation_id: there is no organisation "o7"',
      'accounts.csv:2: selected_by: there is no organisation "o8"',
      'accounts.csv:2: admin_of: there is no organisation "o9"',
      'domains.csv:2: organisation_id: there is no organisation "o6"',
      'domains.csv:2: requested_by: there is no account "a9"',
    ]);
  });

  test('rows that the directory has already', async () => {
    await doImport({
      organisations: ORGANISATIONS,
      accounts: ACCOUNTS,
      domains: REQUESTED.replace('organisation_id', 'organisation_id,state').replace('o1', 'o1,VERIFIED'),
    });
    await expect(
      faultsOf({
        organisations: 'id,name,home_region\no2,Globex,us-east-1\n',
        accounts: ACCOUNTS,
        domains:
          'id,name,organisation_id,state,request_id,requested_at,token,token_issued_at\n' +
          'd1,b.example,o1,PENDING,r1,2026-01-01,t9,2026-01-01\n' +
          'd2,acme.example,o1,PENDING,r2,2026-01-01,0123,2026-01-01\n' +
          'd3,acme.example,o2,VERIFIED,,,,\n',
      }),
    ).resolves.toEqual([
      'organisations.csv:2: the organisation "o2" is in the directory already',
      'accounts.csv:2: the account "a1" is in the directory already',
      'domains.csv:2: the domain "d1" is in the directory already',
      'domains.csv:2: the request "r1" is in the directory already',
      'domains.csv:3: "o1" has the domain "acme.example" in the directory already, as "d1"',
      'domains.csv:3: its token is that of request "r1" in the directory: a token is issued once',
      'domains.csv:4: the domain "acme.example" has an owner in the directory, "o1": a domain has one owner',
    ]);
  });

  test('a faulty file does not replace the directory', async () => {
    await doImport({ organisations: ORGANISATIONS, accounts: ACCOUNTS, domains: DOMAINS });
    const faults = await faultsOf(
      { organisations: ORGANISATIONS, accounts: ACCOUNTS, domains: DOMAINS.replace('o1', 'o9') },
      { replace: true },
    );
    expect(faults).toEqual(['domains.csv:2: organisation_id: there is no organisation "o9"']);
  });

  test('bytes that are not UTF-8 and NULs, on their lines, whatever the newlines before them', async () => {
    const content = Buffer.concat([
      Buffer.from('id,name,home_region\no1,"a\nb",r\no2,J'),
      Buffer.from([0xf8]),
      Buffer.from('rg,r\no3,\0,r\no4,fine é 😀,r\n'),
    ]);
    await expect(faultsOf({ organisations: content })).resolves.toEqual([
      'organisations.csv:4: is not valid UTF-8',
      'organisations.csv:5: holds a NUL character',
    ]);
  });

  test.each([
    ['never closed', 'o3,"open,r\no4,x,r\n', 'a quote is opened and never closed'],
    [
      'followed by text',
      'o3,"a"b,r\no4,x,r\n',
      'text follows a closing quote; write a quote within a quoted field twice',
    ],
    [
      'within an unquoted field',
      'o3,a"b,r\no4,x,r\n',
      'a quote stands within an unquoted field; quote the field and write the quote twice',
    ],
  ])('a quote that is %s, and what other files say for themselves', async (_what, lines, reason) => {
    await expect(
      faultsOf({
        organisations: `id,name,home_region\n"o\n2",x,r\n${lines}`,
        accounts: 'id,email,email_verified,home_region,organisation_id\na1,x,perhaps,r,o4\n',
      }),
    ).resolves.toEqual([
      `organisations.csv:4: ${reason}; the lines from here on were not read`,
      'accounts.csv:2: email_verified: "perhaps" is neither true nor false',
    ]);
  });

  test('many faults are counted and the first fifty shown', async () => {
    const lines = Array.from(
      { length: 3_000 },
      (_, index) => `o${index % 2_900},x,r,${index < 2_950 ? 'bad' : 'all'}\n`,
    );
    const error = await doImport({ organisations: `id,name,home_region,consent\n${lines.join('')}` }).catch(
      (thrown: unknown) => thrown as PortcullisError,
    );
    expect(error).toMatchObject({ code: 'CSV_INVALID', details: { total: 2_950 + 100 } });
    const faults = (error as PortcullisError).details['faults'] as Fault[];
    expect(faults.map((fault) => fault.line)).toEqual(Array.from({ length: 50 }, (_, index) => index + 2));
    expect((error as PortcullisError).message).toContain('3050 faults; nothing was imported');
    expect((error as PortcullisError).message).toContain('… and 3000 more');
  });
});

describe('an import that cannot begin', () => {
  test('names the file that is not there', async () => {
    await expect(importDirectory(pool, { accounts: `${folder.path}/none.csv` })).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('none.csv'),
    });
  });

  test('names a folder that was given for a file', async () => {
    await expect(importDirectory(pool, { accounts: folder.path })).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
    });
  });

  test('waits no longer than it may for whoever is using the directory, and leaves it as it was', async () => {
    await doImport({ organisations: ORGANISATIONS, accounts: ACCOUNTS, domains: DOMAINS });
    const before = await counts();
    const run = await pool.connect();
    try {
      await run.query('begin');
      await run.query('select from directory.account');
      const all = { organisations: ORGANISATIONS, accounts: ACCOUNTS, domains: DOMAINS };
      await expect(doImport(all, { replace: true, waitMs: 50 })).rejects.toMatchObject({
        code: 'DIRECTORY_BUSY',
      });
      await run.query('commit');
      expect(await counts()).toEqual(before);
      await doImport(all, { replace: true, waitMs: 50 });
    } finally {
      run.release();
    }
  });

  test('wants a file, and all three to replace', async () => {
    await expect(importDirectory(pool, {})).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    const some = doImport({ organisations: ORGANISATIONS }, { replace: true });
    await expect(some).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});
