import { mkdir, symlink, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type ExportFiles, exportDirectory } from '../../../../src/jobs/directory/export.js';
import { importDirectory } from '../../../../src/jobs/directory/import.js';
import { testDatabase } from '../../../support/database.js';
import { anyCharacter } from '../../../support/any-character.js';
import { csvFolder } from '../../../support/directory-files.js';

const database = await testDatabase();
const pool = database.owner;
const folder = await csvFolder();
afterAll(() => folder.remove());

const TABLES = ['organisation', 'account', 'admin', 'product_use', 'request', 'domain'];
beforeEach(() => empty());

const empty = () => pool.query(`truncate ${TABLES.map((table) => `directory.${table}`).join(', ')}`);

const contents = async (files: ExportFiles): Promise<Record<string, string>> => ({
  organisations: await readFile(files.organisations, 'utf8'),
  accounts: await readFile(files.accounts, 'utf8'),
  domains: await readFile(files.domains, 'utf8'),
});

/** Every table's rows as PostgreSQL writes them. */
async function tables(): Promise<Record<string, string[]>> {
  const dumped: Record<string, string[]> = {};
  for (const table of TABLES) {
    const { rows } = await pool.query<{ row: string }>(
      `select t::text as row from directory.${table} t order by t::text collate "C"`,
    );
    dumped[table] = rows.map(({ row }) => row);
  }
  return dumped;
}

/** Text of the kind that CSV, COPY, `admin_of` and `products` could each trip over. PostgreSQL keeps no NUL and no half surrogate. */
const text = fc
  .oneof(
    { weight: 2, arbitrary: fc.string({ unit: anyCharacter, maxLength: 12 }) },
    {
      weight: 3,
      arbitrary: fc.string({
        unit: fc.constantFrom(
          ...['a', 'b', ' ', ',', ';', '@', '"', "'", '\\', '/', '\n', '\r', '\t', '\uFEFF', '\u2028'],
          '\r\n',
          'é',
          '😀',
          '\\N',
          '\\.',
          'NULL',
          '""',
        ),
        maxLength: 8,
      }),
    },
  )
  .map((value) => value.replaceAll('\0', ''));
const id = text.filter((value) => value !== '');
const time = fc.oneof(
  fc
    .date({
      min: new Date('0001-01-02T00:00:00Z'),
      max: new Date('9999-12-30T00:00:00Z'),
      noInvalidDate: true,
    })
    .chain((date) =>
      fc
        .integer({ min: 0, max: 999 })
        .map((micros) => date.toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`)),
    ),
  fc.constantFrom('infinity', '-infinity'),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });

interface Ids {
  readonly organisations: readonly string[];
  readonly accounts: readonly string[];
}

const rowsOf = ({ organisations, accounts }: Ids) => {
  const organisation = fc.constantFrom(...organisations);
  const account = fc.constantFrom(...accounts);
  return fc.record({
    organisations: fc.tuple(
      ...organisations.map((each) =>
        fc.tuple(
          fc.constant(each),
          text,
          id,
          fc.constantFrom('none', 'selected', 'all'),
          maybe(time),
          maybe(time),
        ),
      ),
    ),
    accounts: fc.tuple(
      ...accounts.map((each) =>
        fc.tuple(
          fc.constant(each),
          text,
          fc.boolean(),
          fc.constantFrom('person', 'bot', 'service'),
          id,
          fc.constantFrom('UNMANAGED', 'MANAGED', 'RELEASED', 'EXCLUDED', 'CONFLICT'),
          maybe(organisation),
          maybe(id),
          maybe(time),
          maybe(organisation),
          maybe(time),
          maybe(time),
        ),
      ),
    ),
    admins: fc.uniqueArray(fc.tuple(organisation, account, time, maybe(time)), {
      maxLength: 4,
      selector: ([org, who]) => JSON.stringify([org, who]),
    }),
    productUses: fc.uniqueArray(fc.tuple(account, id), {
      maxLength: 6,
      selector: (use) => JSON.stringify(use),
    }),
    requests: fc.uniqueArray(fc.tuple(id, organisation, id, maybe(account), time, maybe(time), id, time), {
      maxLength: 3,
      selector: ([request]) => request,
    }),
    domains: fc.uniqueArray(
      fc.tuple(
        id,
        text,
        organisation,
        id,
        fc.constantFrom('PENDING', 'LAPSED', 'EXPIRED', 'REMOVED', 'CONTESTED', 'SUPERSEDED'),
        maybe(time),
        maybe(fc.constantFrom('dns', 'https')),
        maybe(time),
        maybe(time),
        maybe(time),
        fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
        maybe(time),
        maybe(time),
        maybe(time),
        maybe(time),
      ),
      { maxLength: 4, selector: ([domain]) => domain },
    ),
  });
};

const ids = (length: number) => fc.uniqueArray(id, { minLength: 1, maxLength: length });
const directory = fc
  .record({ organisations: ids(3), accounts: ids(4) })
  .chain(rowsOf)
  .map((rows) => ({
    ...rows,
    requests: unique(rows.requests, (request) => request[6]),
    domains: unique(rows.domains, (domain) => JSON.stringify([domain[1], domain[2]])),
  }));

function unique<T>(rows: readonly T[], key: (row: T) => string): T[] {
  return rows.filter((row, index) => rows.findIndex((other) => key(other) === key(row)) === index);
}

async function insert(rows: typeof directory extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
  const into = async (
    table: string,
    columns: string,
    values: readonly (readonly unknown[])[],
  ): Promise<void> => {
    for (const row of values) {
      const places = row.map((_, index) => `$${index + 1}`).join(', ');
      await pool.query(`insert into directory.${table} (${columns}) values (${places})`, [...row]);
    }
  };
  await into('organisation', 'id, name, home_region, consent, consent_at, suspended_at', rows.organisations);
  await into(
    'account',
    `id, email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
     selected_by, deactivated_at, deleted_at`,
    rows.accounts,
  );
  await into('admin', 'organisation_id, account_id, since, removed_at', rows.admins);
  await into('product_use', 'account_id, product', rows.productUses);
  await into(
    'request',
    'id, organisation_id, domain_name, requested_by, requested_at, withdrawn_at, token, token_issued_at',
    rows.requests,
  );
  // Requests in turn, and the last of the domains without one: only a request with a domain is in the files.
  await into(
    'domain',
    `id, name, organisation_id, home_region, state, verified_at, proof, proof_seen_at, check_started_at,
     checked_at, check_count, next_check_at, absent_at, absent_again_at, at_risk_since, request_id`,
    rows.domains.map((row, index) => [...row, rows.requests[index]?.[0] ?? null]),
  );
  await pool.query(
    'delete from directory.request r where not exists (select from directory.domain where request_id = r.id)',
  );
}

describe('an export', () => {
  test('of any directory imports to the same rows and exports to the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(directory, async (rows) => {
        await empty();
        await insert(rows);
        const before = await tables();
        const first = await exportDirectory(pool, join(folder.path, 'first'));
        await empty();
        await importDirectory(pool, first.files);
        expect(await tables()).toEqual(before);
        const second = await exportDirectory(pool, join(folder.path, 'second'));
        expect(await contents(second.files)).toEqual(await contents(first.files));
      }),
      { numRuns: 60 },
    );
  });

  test('counts its rows, replaces older files, and lets nobody else read them', async () => {
    await pool.query(`insert into directory.organisation (id, name, home_region) values ('o1', 'Acme', 'r')`);
    const target = join(folder.path, 'mode');
    await exportDirectory(pool, target);
    await writeFile(join(target, 'organisations.csv'), 'old');
    const { files, rows } = await exportDirectory(pool, target);
    expect(rows).toEqual({ organisations: 1, accounts: 0, domains: 0 });
    expect((await readdir(target)).toSorted()).toEqual(['accounts.csv', 'domains.csv', 'organisations.csv']);
    expect((await stat(files.organisations)).mode & 0o777).toBe(0o600);
    expect(await readFile(files.organisations, 'utf8')).toBe(
      'id,name,home_region,consent,consent_at,suspended_at\no1,Acme,r,none,,\n',
    );
  });

  test('of a region is complete in itself', async () => {
    const at = '2026-01-01T00:00:00Z';
    const { organisations, accounts, domains } = await folder.write({
      organisations: 'id,name,home_region\nhere,A,r1\nthere,B,r2\nnamed,C,r2\nadmined,D,r2\n',
      accounts:
        'id,email,email_verified,home_region,organisation_id,admin_of\n' +
        `a1,x,true,r1,named,\na2,y,true,r2,,here@${at};admined@${at}\na3,z,true,r2,,here@${at}\n`,
      domains:
        'id,name,organisation_id,request_id,requested_by,requested_at,token,token_issued_at\n' +
        `d1,a.example,here,q1,a2,${at},t1,${at}\nd2,b.example,there,,,,,\n`,
    });
    await importDirectory(pool, { organisations, accounts, domains });
    const { files, rows } = await exportDirectory(pool, join(folder.path, 'region'), { region: 'r1' });
    expect(rows).toEqual({ organisations: 3, accounts: 2, domains: 1 });
    await empty();
    await importDirectory(pool, files);
    const { rows: found } = await pool.query('select id from directory.organisation order by id');
    expect(found).toEqual([{ id: 'admined' }, { id: 'here' }, { id: 'named' }]);
  });

  test('says where it cannot write, and leaves nothing half-written', async () => {
    await writeFile(join(folder.path, 'a-file'), '');
    await expect(exportDirectory(pool, join(folder.path, 'a-file', 'folder'))).rejects.toMatchObject({
      code: 'FILE_UNWRITABLE',
    });
    const target = join(folder.path, 'half');
    await expect(
      exportDirectory(pool, {
        organisations: join(target, 'o.csv'),
        accounts: join(target, 'a.csv'),
        domains: join(folder.path, 'a-file', 'd.csv'),
      }),
    ).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(await readdir(target)).toEqual([]);
  });

  test('ends where the disk is full in the middle of a file', async () => {
    const target = join(folder.path, 'full');
    await mkdir(target);
    await symlink('/dev/full', join(target, 'organisations.csv.partial'));
    await expect(exportDirectory(pool, target)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(await readdir(target)).toEqual([]);
  });
});
