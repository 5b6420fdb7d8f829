import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { requestApproval } from '../../../src/access/approvals.js';
import { ensureAdminToken } from '../../../src/access/admin-token.js';
import { revokeToken } from '../../../src/access/tokens.js';
import { listAudit } from '../../../src/audit/browse-audit.js';
import { recordAudit } from '../../../src/audit/record.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { testDatabase } from '../../support/database.js';
import { databaseCli } from '../../support/database-cli.js';
import { temporaryFolder } from '../../support/portcullis.js';
import { person } from '../../support/people.js';

const { owner } = await testDatabase();
const POLICY = `
job: sweep
schedule: '*/15 * * * *'
regions: [eu-west-1, us-east-1]
`;
const flagsFolder = await temporaryFolder({ 'sweep.yaml': POLICY });

const { run, issued } = await databaseCli(owner, flagsFolder);
const lastEntry = async () => (await listAudit(owner, {}, { limit: 1 })).items[0];

const SET = ['flags', 'set', 'sweep', '--off', '--reason', 'too many'];

describe('on the command line', () => {
  beforeAll(async () => {
    await applyPolicies(owner, [parsePolicyFile(POLICY, 'sweep.yaml')], 'test');
  });

  test('without a token, whoever is at the keyboard looks, and changes nothing', async () => {
    expect((await run({}, 'approvals')).exit).toBe(0);
    for (const args of [
      SET,
      ['flags', 'apply'],
      ['tokens', 'issue', 'me', '--role', 'admin', '--machine'],
      ['people', 'add', 'me', '--role', 'admin'],
      ['directory', 'import', '--accounts', 'a.csv'],
      ['rearm', 'sweep', '--region', 'eu-west-1', '--reason', 'over'],
    ]) {
      const refused = await run({}, ...args);
      expect([args, refused.exit]).toEqual([args, 4]);
      expect(refused.err).toMatch(/^error FORBIDDEN: local:.* is without a token, and [a-z-]+ takes an/);
      expect(refused.err).toContain('PORTCULLIS_TOKEN');
    }
  });

  test('the admin token in the folder is used where it can be read', async () => {
    const home = await temporaryFolder();
    await ensureAdminToken(owner, home);
    expect((await run({ home }, ...SET)).exit).toBe(0);
    expect(await lastEntry()).toMatchObject({ principal: 'admin', action: 'set-flag' });
    await writeFile(join(home, 'admin-token'), 'pcl_of-another-installation\n');
    expect((await run({ home }, 'tokens', 'revoke', 'alice')).err).toContain('FORBIDDEN');
  });

  test('PORTCULLIS_TOKEN says who acts, and its role what they may', async () => {
    const viewer = await issued({ name: 'vera', role: 'viewer' });
    for (const args of [
      SET,
      ['flags', 'apply'],
      ['run', 'sweep', '--region', 'eu-west-1'],
      ['tokens', 'revoke', 'vera'],
    ]) {
      const { exit, err } = await run(viewer, ...args);
      expect([args, exit]).toEqual([args, 4]);
      expect(err).toContain('error FORBIDDEN: vera is a viewer');
    }
    const operator = await issued({ name: 'otto', role: 'operator' });
    const { exit, out } = await run(operator, ...SET, '--json');
    expect(exit).toBe(0);
    const { flags } = JSON.parse(out) as { flags: { changedBy: string; revision: number }[] };
    expect(flags.map(({ changedBy }) => changedBy)).toEqual(['otto', 'otto']);
    expect(await lastEntry()).toMatchObject({ principal: 'otto', flagRevision: flags[1]?.revision });
  });

  test('a token that is bound to one region sets no flag where it is asked for both', async () => {
    const bound = await issued({ name: 'bea', role: 'operator', regions: ['eu-west-1'] });
    expect((await run(bound, ...SET)).err).toContain('bea is bound to eu-west-1: not to us-east-1');
    // That it was tried is all that has come of it.
    expect(await lastEntry()).toMatchObject({ principal: 'bea', action: 'refused', subject: 'set-flag' });
    expect((await run(bound, ...SET, '--region', 'eu-west-1')).exit).toBe(0);
  });

  test('a token that was revoked is refused, and not passed over for the keyboard', async () => {
    const gone = await issued({ name: 'gone', role: 'admin' });
    await revokeToken(owner, 'gone', 'test');
    expect((await run(gone, ...SET)).err).toContain('error TOKEN_REFUSED');
  });

  test('tokens are issued with a role and regions, listed, and revoked once on the record', async () => {
    const admin = await issued({ name: 'ada', role: 'admin' });
    expect((await run(admin, 'tokens', 'issue', 'x')).err).toContain(
      "required option '--role <role>' not specified",
    );
    expect((await run(admin, 'tokens', 'issue', 'x', '--role', 'king')).err).toContain(
      'Allowed choices are viewer',
    );
    expect(
      (await run(admin, 'tokens', 'issue', 'x', '--machine', '--role', 'viewer', '--regions', 'a,,b')).err,
    ).toContain('REQUEST_INVALID');
    expect(
      (
        await run(
          admin,
          'tokens',
          'issue',
          'w',
          '--machine',
          '--role',
          'worker',
          '--regions',
          'eu-west-1, us-east-1',
        )
      ).exit,
    ).toBe(0);
    expect((await run(admin, 'tokens', 'list')).out).toMatch(
      /^w +a machine +worker +eu-west-1, us-east-1 +valid/m,
    );
    expect((await run(admin, 'tokens', 'revoke', 'w')).exit).toBe(0);
    // There is nothing left to revoke, and that is said.
    expect((await run(admin, 'tokens', 'revoke', 'w')).exit).toBe(1);
    const { items } = await listAudit(owner, { subject: 'w' }, { limit: 9 });
    expect(items.map(({ principal, action }) => `${principal} ${action}`)).toEqual([
      'ada revoke-token',
      'ada issue-token',
    ]);
  });
});

test('a directory that is imported is on the record with its rows, and one that is refused is not', async () => {
  const admin = await issued({ name: 'imp', role: 'admin' });
  const folder = await temporaryFolder({
    'o.csv': 'id,name,home_region\no-1,Example,eu-west-1\n',
    'faulty.csv': 'id,name,home_region\n,,\n',
  });
  const importing = (file: string) =>
    run(admin, 'directory', 'import', '--organisations', join(folder, file));
  expect((await importing('faulty.csv')).err).toContain('CSV_INVALID');
  expect((await listAudit(owner, { principal: 'imp' }, { limit: 9 })).items).toEqual([]);
  expect((await importing('o.csv')).exit).toBe(0);
  expect(await lastEntry()).toMatchObject({
    principal: 'imp',
    action: 'import-directory',
    evidence: { files: { organisations: join(folder, 'o.csv') }, replace: false, rows: { organisations: 1 } },
  });
});

describe('the record', () => {
  test('is listed and narrowed', async () => {
    await recordAudit(owner, {
      principal: 'zoe',
      action: 'test',
      subject: 'thing',
      evidence: { why: 'to see' },
    });
    const { out } = await run({}, 'audit', 'list', '--by', 'zoe');
    expect(out.split('\n')).toHaveLength(3);
    expect(out).toMatch(/zoe +test +thing +– +{"why":"to see"}/);
    const said = {
      reason: `the bake was skipped, not checked: ${'because it has to be out today '.repeat(4)}`,
    };
    await recordAudit(owner, {
      ...{ principal: 'bob', action: 'rollout-skip-bake', subject: 'claims 1.1.0_9f3c2a1b' },
      evidence: said,
    });
    const { out: narrow } = await run({ columns: 80 }, 'audit', 'list', '--by', 'bob');
    expect(narrow.replaceAll(/\s+/g, ' ')).toContain(said.reason.trim());
    expect(Math.max(...narrow.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect((await run({}, 'audit', 'list', '--subject', 'no-such')).out).toBe('No entries\n');
    const { out: json } = await run({}, 'audit', 'list', '-n', '2', '--since', '2000-01-01', '--json');
    expect((JSON.parse(json) as { entries: unknown[] }).entries).toHaveLength(2);
    expect((await run({}, 'audit', 'list', '--since', '2999-01-01')).out).toBe('No entries\n');
    expect((await run({}, 'audit', 'list', '--since', 'noon')).err).toContain('USAGE_INVALID');
  });

  test('is verified against a head that was kept, here and from an export', async () => {
    const { exit, out } = await run({}, 'audit', 'verify', '--json');
    expect(exit).toBe(0);
    const { head, count } = JSON.parse(out) as { head: string; count: number };
    expect(head).toMatch(new RegExp(`^${count}:[0-9a-f]{64}$`));
    expect((await run({}, 'audit', 'verify', '--expect-head', head)).out).toMatch(
      /^record +whole: \d+ entries\nhead /,
    );
    const exported = await run({}, 'audit', 'export');
    const folder = await temporaryFolder({
      'audit.jsonl': exported.out,
      'short.jsonl': exported.out.split('\n').slice(0, -3).join('\n'),
    });
    const verify = (file: string) =>
      run({}, 'audit', 'verify', '--file', join(folder, file), '--expect-head', head);
    expect((await verify('audit.jsonl')).exit).toBe(0);
    const short = await verify('short.jsonl');
    expect(short.exit).toBe(1);
    expect(short.out).toContain('missing at the end');
    expect((await verify('none.jsonl')).err).toContain('FILE_UNREADABLE');
    expect((await run({}, 'audit', 'verify', '--expect-head', 'x')).exit).toBe(2);
  });

  test('that was tampered with is found so: exit code 1', async () => {
    await owner.query('alter table portcullis_control.audit disable trigger user');
    await owner.query(`update portcullis_control.audit set principal = 'eve' where seq = 3`);
    await owner.query('alter table portcullis_control.audit enable always trigger audit_append_only');
    const { exit, out } = await run({}, 'audit', 'verify');
    expect(exit).toBe(1);
    expect(out).toMatch(/^record +broken at entry 3\nreason +entry 3 was changed/);
  });
});

test('requests for approval are listed', async () => {
  expect((await run({}, 'approvals')).out).toBe('No approvals\n');
  const { id } = await requestApproval(
    owner,
    { action: 'rearm', subject: 'sweep.eu-west-1', reason: 'mended', evidence: {} },
    person('alice', 'operator'),
  );
  expect((await run({}, 'approvals', '--state', 'pending')).out).toMatch(
    new RegExp(`^${id} +pending +rearm +sweep.eu-west-1 +alice`, 'm'),
  );
  expect((await run({}, 'approvals', '--state', 'approved', '--json')).out).toBe('{"approvals":[]}\n');
});
