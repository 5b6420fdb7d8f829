import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ensureAdminToken } from '../../../src/access/admin-token.js';
import { testDatabase } from '../../support/database.js';
import { databaseCli } from '../../support/database-cli.js';
import { temporaryFolder } from '../../support/portcullis.js';

const { owner } = await testDatabase();
const { run, issued } = await databaseCli(owner);
const home = await temporaryFolder();
await ensureAdminToken(owner, home);

const codeFor = async (name: string) => {
  const { out } = await run({ home }, 'people', 'add', name, '--role', 'approver', '--json');
  return (JSON.parse(out) as { code: string }).code;
};

describe('login', () => {
  test('redeems a code for a token in a file that only its user reads', async () => {
    const code = await codeFor('bob');
    const file = join(await temporaryFolder(), 'token');
    const { exit, out } = await run({ typed: [code] }, 'login', '--file', file);
    expect([exit, out]).toEqual([0, `token written to ${file}; PORTCULLIS_TOKEN=$(cat ${file})\n`]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const token = (await readFile(file, 'utf8')).trim();
    expect(out).not.toContain(token);
    expect((await run({ token }, 'people', 'list')).out).toMatch(
      /^bob +approver +all +known .* admin +bob$/m,
    );
    // Never a file that is there: the code is not redeemed either.
    const other = await codeFor('other');
    expect((await run({ typed: [other] }, 'login', '--file', file)).err).toContain('FILE_UNWRITABLE');
    expect((await run({ typed: [other] }, 'login')).out).toMatch(/^pcl_[\w-]{43}\n$/);
    const missing = join(await temporaryFolder(), 'token');
    expect((await run({ typed: ['wrong'] }, 'login', '--file', missing)).err).toContain('CODE_REFUSED');
    await expect(stat(missing)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await run({}, 'login')).err).toContain('no code was given');
  });

  test('beside the admin token makes a token that counts as the admin’s too', async () => {
    const { out, err } = await run({ home, typed: [await codeFor('near')] }, 'login');
    expect(err).toContain("admin's token can be read here");
    expect((await run({ token: out.trim() }, 'tokens', 'list')).out).toMatch(/^near +near, known to admin /m);
  });
});

describe('one’s own token', () => {
  test('is revoked only after being asked', async () => {
    const ada = await issued({ name: 'ada', role: 'admin' });
    const refused = await run(ada, 'tokens', 'revoke', 'ada');
    expect([refused.exit, refused.err]).toEqual([2, expect.stringContaining('--yes')]);
    expect((await run(ada, 'people', 'remove', 'ada')).exit).toBe(2);
    expect((await run(ada, 'tokens', 'list')).exit).toBe(0);
    expect((await run(ada, 'tokens', 'revoke', 'ada', '--yes')).exit).toBe(0);
    expect((await run(ada, 'tokens', 'list')).err).toContain('TOKEN_REFUSED');
  });
});

test('a lost admin token is recovered without a token, and that is on record', async () => {
  const { exit, out } = await run({}, 'tokens', 'issue', 'admin', '--role', 'admin', '--replace');
  expect(exit).toBe(0);
  const admin = { token: out.trim() };
  expect((await run(admin, 'people', 'list')).out).toMatch(/^admin .* a recovery without a token +admin$/m);
  expect((await run(admin, 'audit', 'list', '--subject', 'admin')).out).toMatch(/local:\S+ +recover-token/);
});

describe('personal data', () => {
  test('is exported on record, and not with a token that is not valid', async () => {
    const folder = await temporaryFolder();
    const bad = await run({ token: 'pcl_bad', home }, 'directory', 'export', folder);
    expect([bad.exit, bad.err]).toEqual([4, expect.stringContaining('TOKEN_REFUSED')]);
    expect(await readdir(folder)).toEqual([]);
    const ann = await issued({ name: 'ann', role: 'viewer' });
    await run(ann, 'directory', 'export', folder);
    const listed = await run(ann, 'audit', 'list', '--by', 'ann', '--json');
    expect((JSON.parse(listed.out) as { entries: unknown[] }).entries).toMatchObject([
      { action: 'read-personal-data', subject: 'directory', evidence: { folder, region: null } },
    ]);
  });
});
