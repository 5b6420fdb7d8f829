import { randomUUID } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { databaseCli } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { temporaryFolder } from '../support/portcullis.js';
import { tokenOf } from '../support/people.js';
import { until } from '../support/until.js';
import { runAt } from './remote.js';
import { answerOf, archiveOf, serving } from './serving.js';

/** A job's files through a server, beside the same command on the database. */

const { owner } = await testDatabase();
const { run: runHere } = await databaseCli(owner);
const REGIONS = ['eu-west-1', 'us-east-1'];
await applyPolicies(
  owner,
  ['sweep', 'domain-claim'].map((job) =>
    parsePolicyFile(`job: ${job}\nschedule: '*/15 * * * *'\nregions: [${REGIONS.join()}]\n`, `${job}.yaml`),
  ),
  'test',
);
const [NAME, VERSION] = [domainClaim.name, '1.0.0_00000000'];
const served = await serving(owner, {
  jobs: () => [{ name: NAME, version: VERSION, schedule: '*/15 * * * *', regions: REGIONS, kinds: [] }],
  installed: () => [{ definition: domainClaim, version: VERSION }],
});
const { token } = await tokenOf(owner, { name: 'ada', role: 'admin' });
const { token: operator } = await tokenOf(owner, { name: 'otto', role: 'operator' });
const { token: bound } = await tokenOf(owner, { name: 'eve', role: 'admin', regions: ['us-east-1'] });
const folder = await temporaryFolder();
const FILES = '/api/v1/jobs/domain-claim/files';

const CONTENTS = {
  organisations: 'id,name,home_region\no-1,"Acme, Ltd",eu-west-1\no-2,Bolt,us-east-1\n',
  accounts:
    'id,email,email_verified,home_region,admin_of\na-1,ann@acme.example,true,eu-west-1,o-1@2026-01-01\na-2,not an address,true,atlantis,\n',
  domains: 'id,name,organisation_id\nd-1,acme.example,o-1\n',
};
type Name = keyof typeof CONTENTS;

async function given(contents: Partial<Record<Name, string | Buffer>>): Promise<string[]> {
  const at = join(folder, randomUUID());
  const args: string[] = [];
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(`${at}-${name}.csv`, content);
    args.push(`--${name}`, `${at}-${name}.csv`);
  }
  return args;
}

const post = (body: string | Buffer, headers: Record<string, string> = {}): RequestInit => ({
  ...{ method: 'POST', body, headers: { 'content-type': 'application/x-tar', ...headers } },
});

async function rowsIn(table: string): Promise<number> {
  const { rows } = await owner.query<{ n: number }>(`select count(*) as n from directory.${table}`);
  return rows[0]?.n ?? 0;
}

/** The folders of uploads and downloads that are there now. */
const spools = async () =>
  (await readdir(tmpdir())).filter((name) => name.startsWith(`portcullis-files-${process.pid}-`));

const remote = (...args: string[]) => runAt({ serverUrl: served.url, token }, args);

async function empty(): Promise<void> {
  await owner.query(
    'truncate directory.organisation, directory.account, directory.admin, directory.product_use, directory.request, directory.domain',
  );
}
beforeEach(empty);

describe('directory import and export', () => {
  test('answer through a server as on the database, and write the same files', async () => {
    const all = await given(CONTENTS);
    for (const form of [[], ['--json']]) {
      for (const replace of [[], ['--replace']]) {
        await empty();
        const line = ['directory', 'import', ...all, ...replace, ...form];
        const here = await runHere({ token }, ...line);
        await empty();
        const there = await remote(...line);
        expect([there.exit, there.out, there.err]).toEqual([0, here.out, here.err]);
        expect(there.out).toContain('atlantis');
      }
      for (const region of [[], ['--region', 'eu-west-1']]) {
        const out = join(folder, randomUUID());
        const here = await runHere({ token }, 'directory', 'export', `${out}-x`, ...region, ...form);
        const there = await remote('directory', 'export', `${out}-y`, ...region, ...form);
        expect([there.exit, there.out.replaceAll(`${out}-y`, `${out}-x`)]).toEqual([here.exit, here.out]);
        for (const name of Object.keys(CONTENTS)) {
          const file = await readFile(join(`${out}-y`, `${name}.csv`), 'utf8');
          expect([name, file]).toEqual([name, await readFile(join(`${out}-x`, `${name}.csv`), 'utf8')]);
        }
        expect((await readdir(`${out}-y`)).sort()).toEqual(
          Object.keys(CONTENTS)
            .map((name) => `${name}.csv`)
            .sort(),
        );
      }
    }
    expect(await spools()).toEqual([]);
  });

  test('name the same faults, by the names that were typed', async () => {
    const lines = [
      await given({ ...CONTENTS, accounts: 'id,email\na-1,x\n' }),
      await given({ organisations: Buffer.from('id,name,home_region\no-1,\xff,eu-west-1\n', 'latin1') }),
      await given({ domains: 'id,name,organisation_id\nd-1,x.example,o-9\nd-1,y.example,"o-9\n' }),
      await given({ organisations: CONTENTS.organisations, accounts: '' }),
      [...(await given({ organisations: 'id,name,home_region\n' }))],
      [...(await given({ organisations: CONTENTS.organisations })), '--replace'],
      [...(await given({ organisations: CONTENTS.organisations })), '--region', 'eu-wst-1'],
      ['--organisations', join(folder, 'missing.csv')],
      ['--organisations', folder],
      [],
    ];
    for (const args of lines) {
      for (const form of [[], ['--json']]) {
        const here = await runHere({ token }, 'directory', 'import', ...args, ...form);
        const there = await remote('directory', 'import', ...args, ...form);
        expect([args, there.exit, there.out, there.err]).toEqual([args, here.exit, here.out, here.err]);
        expect(here.exit).not.toBe(0);
      }
    }
    for (const args of [[], ['--region', 'eu-wst-1']]) {
      const here = await runHere({ token }, 'directory', 'export', join(folder, 'e'), ...args);
      const there = await remote('directory', 'export', join(folder, 'e'), ...args);
      expect([there.exit, there.out, there.err]).toEqual([1, here.out, here.err]);
    }
    expect([await rowsIn('organisation'), await spools()]).toEqual([0, []]);
  });

  test('are on record with who did them', async () => {
    const all = await given(CONTENTS);
    await remote('directory', 'import', ...all, '--region', 'eu-west-1');
    await remote('directory', 'export', join(folder, randomUUID()));
    const { rows } = await owner.query(
      `select principal, action, subject, evidence->'files'->>'accounts' as file
       from portcullis_control.audit where action in ('import-directory', 'read-personal-data') order by seq desc limit 2`,
    );
    expect(rows).toEqual([
      { principal: 'ada', action: 'read-personal-data', subject: 'directory', file: null },
      { principal: 'ada', action: 'import-directory', subject: 'directory', file: all[3] },
    ]);
  });
});

describe('an import over HTTP', () => {
  test('takes what an export answers, and what tar makes', async () => {
    expect(
      (await served.call(FILES, post(await archiveOf({ './organisations.csv': CONTENTS.organisations }))))
        .status,
    ).toBe(200);
    const exported = Buffer.from(await (await served.call(FILES)).arrayBuffer());
    const again = await answerOf(await served.call(`${FILES}?replace=true`, post(exported)));
    expect([again.status, again.body]).toEqual([
      200,
      { rows: expect.objectContaining({ organisations: 2, accounts: 0 }), notes: { total: 0, first: [] } },
    ]);
  });

  test('is refused before it is sent to whoever may not do it there', async () => {
    const body = await archiveOf({ 'organisations.csv': CONTENTS.organisations });
    for (const [who, query] of [
      [operator, ''],
      [bound, ''],
      [bound, '?region=eu-west-1'],
    ] as const) {
      const { status } = await served.call(FILES + query, post(body, { authorization: `Bearer ${who}` }));
      expect([query, status]).toEqual([query, 403]);
    }
    const there = await served.call(
      `${FILES}?region=us-east-1`,
      post(body, { authorization: `Bearer ${bound}` }),
    );
    expect(there.status).toBe(200);
  });

  test('is refused where it is no archive, or has what the job does not know', async () => {
    for (const [init, code] of [
      [post('id,name\n'), 'REQUEST_INVALID'],
      [post('{}', { 'content-type': 'application/json' }), 'REQUEST_INVALID'],
      [post(await archiveOf({ 'people.csv': 'id\n' })), 'REQUEST_INVALID'],
      [post(await archiveOf({ '../accounts.csv': 'id\n' })), 'REQUEST_INVALID'],
      [post(await archiveOf({ 'accounts.csv': 'x'.repeat(1_048_576) })), 'BODY_TOO_LARGE'],
    ] as const) {
      const { status, body } = await answerOf(await served.call(FILES, init));
      expect([status, body['code']]).toEqual([code === 'BODY_TOO_LARGE' ? 413 : 400, code]);
    }
    const { body } = await served.json('/api/v1/jobs/domain-clam/files', post(await archiveOf({})));
    expect(body).toMatchObject({ code: 'JOB_UNKNOWN', hint: 'did you mean domain-claim?' });
    expect([await rowsIn('organisation'), await spools()]).toEqual([0, []]);
  });

  test('of more than it says, or says nothing of, is told that it is too large', async () => {
    const large = await given({ organisations: 'x'.repeat(3_000_000) });
    const { exit, err } = await remote('directory', 'import', ...large);
    expect([exit, err]).toEqual([2, expect.stringContaining('BODY_TOO_LARGE')]);
    expect(err).toContain('PORTCULLIS_UPLOAD_MIB');
    expect(await spools()).toEqual([]);
  });

  test('is carried out once for a key, also where its answer is lost', async () => {
    const body = await archiveOf({ 'organisations.csv': CONTENTS.organisations });
    const key = { 'idempotency-key': randomUUID() };
    const first = await answerOf(await served.call(FILES, post(body, key)));
    const second = await answerOf(await served.call(FILES, post(body, key)));
    expect([first.status, second.status, second.headers.get('idempotent-replayed')]).toEqual([
      200,
      200,
      'true',
    ]);
    expect(second.body).toEqual(first.body);
    const other = await archiveOf({ 'organisations.csv': `${CONTENTS.organisations}o-3,Cask,eu-west-1\n` });
    expect((await answerOf(await served.call(FILES, post(other, key)))).body['code']).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    expect(await rowsIn('organisation')).toBe(2);
  });

  test('imports nothing where whoever sends it goes away, and leaves no file behind', async () => {
    const body = await archiveOf({ 'organisations.csv': CONTENTS.organisations });
    const sending = request(served.url + FILES, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${token}`, 'content-type': 'application/x-tar' },
        'content-length': body.length,
      },
    });
    sending.on('error', () => undefined);
    sending.write(body.subarray(0, body.length - 1));
    await until('the upload to begin', async () => (await spools()).length === 1);
    sending.destroy();
    await until('its folder to go', async () => (await spools()).length === 0);
    expect(await rowsIn('organisation')).toBe(0);
  });

  test('is cancelled in the database where whoever waits for it goes away', async () => {
    const holder = await owner.connect();
    try {
      await holder.query('begin; lock table directory.organisation in share mode');
      const leaving = new AbortController();
      const body = await archiveOf({ 'organisations.csv': CONTENTS.organisations });
      const left = served.call(FILES, { ...post(body), signal: leaving.signal }).catch(() => 'left');
      const waiting = async () => {
        const { rowCount } = await owner.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'insert into directory.organisation%' and datname = current_database()`,
        );
        return rowCount;
      };
      await until('the import to wait for the table', async () => (await waiting()) === 1);
      leaving.abort();
      await until('the import to be cancelled', async () => (await waiting()) === 0);
      await until('its folder to go', async () => (await spools()).length === 0);
      expect(await left).toBe('left');
    } finally {
      await holder.query('rollback');
      holder.release();
    }
    expect(await rowsIn('organisation')).toBe(0);
  });

  test('waits for no more than two others in this process', async () => {
    const body = await archiveOf({ 'organisations.csv': CONTENTS.organisations });
    const begun = [1, 2].map(() => {
      const sending = request(served.url + FILES, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/x-tar',
          'content-length': 9_999,
        },
      });
      sending.on('error', () => undefined);
      sending.write(body.subarray(0, 10));
      return sending;
    });
    await until('two uploads to begin', async () => (await spools()).length === 2);
    const third = await answerOf(await served.call(FILES, post(body)));
    expect([third.status, third.body['code']]).toEqual([503, 'TRANSFERS_FULL']);
    for (const each of begun) each.destroy();
    await until('their folders to go', async () => (await spools()).length === 0);
    expect((await served.call(FILES, post(body))).status).toBe(200);
  });
});

test('no more than two exports are sent at a time, and one of which nobody reads the rest leaves no file behind', async () => {
  await owner.query(
    `insert into directory.organisation (id, name, home_region) select 'o-' || n, repeat('x', 1000), 'eu-west-1' from generate_series(1, 50000) n`,
  );
  const responses = [await served.call(FILES), await served.call(FILES)];
  expect(await spools()).toHaveLength(2);
  expect((await served.json(FILES)).body['code']).toBe('TRANSFERS_FULL');
  for (const response of responses) await response.body?.cancel();
  await until('its folder to go', async () => (await spools()).length === 0);
});

describe('a command of a job', () => {
  const CHECK = '/api/v1/jobs/domain-claim/commands/check';
  const give = (body: unknown, as = token, path = CHECK, headers: Record<string, string> = {}) =>
    served.json(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${as}`, ...headers },
      body: JSON.stringify(body),
    });
  const dueAt = async (): Promise<string | null> => {
    const { rows } = await owner.query<{ at: string | null }>(
      `select next_check_at::text as at from directory.domain where id = 'd-1'`,
    );
    return rows[0]?.at ?? null;
  };

  beforeEach(async () => {
    await empty();
    await owner.query(
      `insert into directory.organisation (id, name, home_region) values ('o-1', 'Acme', 'eu-west-1');
       insert into directory.domain (id, name, organisation_id, home_region) values ('d-1', 'acme.com', 'o-1', 'eu-west-1')`,
    );
  });

  test('is given by the command line, by its own command or by that for all jobs', async () => {
    for (const [args, exit] of [
      [['acme.com'], 0],
      [['acme.com', '--region', 'eu-west-1'], 0],
      [['acme.com', '--region', 'us-east-1'], 1],
      [['nobodys.com'], 1],
      [['mail.gmail.com'], 2],
      [['no domain'], 2],
      [['acme.com', '--region', 'eu-wst-1'], 2],
    ] as const) {
      const [domain, ...rest] = args;
      const [own, general] = [
        await remote('directory', 'check', domain, ...rest, '--json'),
        await remote('job', 'do', 'domain-claim', 'check', `domain=${domain}`, ...rest, '--json'),
      ];
      expect({ args, ...own }).toEqual({ args, ...general });
      expect({ args, exit: own.exit }).toEqual({ args, exit });
    }
    const refused = await remote('directory', 'check', 'mail.gmail.com');
    expect(refused.err).toContain('gmail.com is in the list of mail providers');
    expect(refused.err).toContain('PORTCULLIS_PROVIDERS');
    expect((await remote('job', 'commands', 'domain-claim')).out).toMatch(/check .*checks a domain/);
    expect((await remote('job', 'do', 'domain-claim', 'check', 'acme.com')).err).toContain(
      'is not name=value',
    );
  });

  test('makes the domain due and says so, with who asked on record', async () => {
    expect(await give({ given: { domain: 'Acme.COM' } })).toMatchObject({
      status: 200,
      body: {
        done: [{ id: 'd-1', domain: 'acme.com', organisation: 'o-1', state: 'PENDING', region: 'eu-west-1' }],
        unreachable: [],
      },
    });
    expect(await dueAt()).not.toBeNull();
    const { rows } = await owner.query(
      `select principal, subject, evidence -> 'given' as given from portcullis_control.audit where action = 'job-command' order by seq desc limit 1`,
    );
    expect(rows).toEqual([
      { principal: 'ada', subject: 'domain-claim check', given: { domain: 'Acme.COM' } },
    ]);
  });

  test('is for who may import, in their regions', async () => {
    const domain = { given: { domain: 'acme.com' } };
    expect(await give(domain, operator)).toMatchObject({ status: 403 });
    expect(await give(domain, bound)).toMatchObject({ status: 403 });
    expect(await give({ ...domain, region: 'eu-west-1' }, bound)).toMatchObject({ status: 403 });
    expect(await give({ ...domain, region: 'us-east-1' }, bound)).toMatchObject({
      body: { code: 'NOTHING_REACHED' },
    });
    expect(await dueAt()).toBeNull();
  });

  test('is done once for a key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const first = await give({ given: { domain: 'acme.com' } }, token, CHECK, key);
    const due = await dueAt();
    expect(await give({ given: { domain: 'acme.com' } }, token, CHECK, key)).toMatchObject({
      body: first.body,
    });
    expect(await dueAt()).toBe(due);
  });

  test('names what is wrong with it', async () => {
    expect(await give({ given: {} })).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', detail: 'domain-claim check: domain is missing' },
    });
    expect(await give({ given: { domain: 'acme.com', force: 'yes' } })).toMatchObject({ status: 400 });
    expect(await give({ given: {} }, token, '/api/v1/jobs/domain-claim/commands/chek')).toMatchObject({
      status: 400,
      body: { hint: 'it has check' },
    });
    expect(await give({ given: {} }, token, '/api/v1/jobs/sweep/commands/check')).toMatchObject({
      body: { code: 'JOB_UNKNOWN' },
    });
  });
});
