import { beforeAll, describe, expect, test } from '@jest/globals';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { databaseCli } from '../../support/database-cli.js';
import { testDatabase } from '../../support/database.js';
import { temporaryFolder } from '../../support/portcullis.js';

/** In which form commands answer: what they hide and count, what was and is, in short or in full. */

const { owner } = await testDatabase();
const POLICY = `
job: sweep
schedule: '*/15 * * * *'
regions: [eu-west-1, us-east-1]
`;
const CHANGED = `
job: sweep
schedule: '*/30 * * * *'
regions: [eu-west-1, ap-south-1]
`;
const flagsFolder = await temporaryFolder({ 'sweep.yaml': CHANGED });
const { run, issued } = await databaseCli(owner, flagsFolder);
const admin = await issued({ name: 'ada', role: 'admin' });

beforeAll(async () => {
  await applyPolicies(owner, [parsePolicyFile(POLICY, 'sweep.yaml')], 'test');
});

describe('runs', () => {
  const insert = (id: string, status: string, minutesAgo: number) =>
    owner.query(
      `insert into portcullis_region.run
         (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, created_at)
       values ($1, 'sweep', '1.10.0_9f3c2a1b', 'eu-west-1', now() - make_interval(mins => $3), 'schedule', $2, 'x',
               'the flag is off', 'w', now(), now() - make_interval(mins => $3))`,
      [`${id}-0000-4000-8000-000000000000`, status, minutesAgo],
    );
  const listed = async (...args: string[]) => {
    const { out } = await run(admin, 'runs', '--json', ...args);
    const { runs, hidden } = JSON.parse(out) as { runs: { runId: string }[]; hidden: number };
    return { ids: runs.map(({ runId }) => runId.slice(0, 8)), hidden };
  };

  beforeAll(async () => {
    await insert('00000001', 'held', 60);
    await insert('00000002', 'succeeded', 45);
    await insert('00000003', 'held', 30);
    await insert('00000004', 'failed', 20);
    await insert('00000005', 'held', 10);
  });

  test('that were held are counted, and listed where they are asked for', async () => {
    expect(await listed()).toEqual({ ids: ['00000004', '00000002'], hidden: 3 });
    expect(await listed('--held')).toEqual({
      ids: ['00000005', '00000004', '00000003', '00000002', '00000001'],
      hidden: 0,
    });
    expect(await listed('--status', 'held')).toEqual({
      ids: ['00000005', '00000003', '00000001'],
      hidden: 0,
    });
    const { out } = await run(admin, 'runs');
    expect(out).toMatch(/\n3 held runs not shown; --held shows them\n$/);
    expect(out).not.toContain('00000005');
  });

  test('of a list with a limit, those are counted that it would have shown', async () => {
    expect(await listed('--limit', '1')).toEqual({ ids: ['00000004'], hidden: 1 });
  });

  test('that are all held leave an empty list, which says so', async () => {
    expect(
      await run(admin, 'runs', '--region', 'eu-west-1', '--job', 'sweep', '--status', 'killed'),
    ).toMatchObject({ exit: 0, out: 'No runs\n' });
    await owner.query(`delete from portcullis_region.run where status <> 'held'`);
    expect((await run(admin, 'runs')).out).toBe('No runs\n3 held runs not shown; --held shows them\n');
  });
});

test('a flag that is set says what it was and what it is', async () => {
  const set = (...args: string[]) =>
    run(admin, 'flags', 'set', 'sweep', '--region', 'eu-west-1', '--reason', 'x', ...args);
  const on = await set('--hold');
  expect(on.out).toMatch(/^sweep\.eu-west-1 +off → held +none$/m);
  const off = await set('--off', '--json');
  expect(JSON.parse(off.out)).toMatchObject({
    flags: [{ enabled: false, before: { enabled: true, variants: [] } }],
  });
  expect((await set('--off')).out).toMatch(/^sweep\.eu-west-1 +off +none$/m);
});

test('flags apply says in short what changes, and with --full all of it', async () => {
  const full = await run(admin, 'flags', 'diff');
  expect(full).toMatchObject({ exit: 1 });
  expect(full.out).toContain('  ~ schedule: */15 * * * * → */30 * * * *\n');
  await run(admin, 'flags', 'set', 'sweep', '--region', 'us-east-1', '--hold', '--reason', 'x');
  const { out } = await run(admin, 'flags', 'apply');
  expect(out).toMatch(/^sweep {2}\S*sweep\.yaml: 2 changes\n {2}regions, schedule\n/);
  expect(out).not.toContain('*/30');
  expect(out).toContain('  + 1 flag, switched off: ap-south-1\n');
  expect(out).toContain('  - flag sweep.us-east-1: switched off, the region is no longer in the policy\n');
  await applyPolicies(owner, [parsePolicyFile(POLICY, 'sweep.yaml')], 'test');
  expect((await run(admin, 'flags', 'apply', '--full')).out).toContain(
    '  ~ schedule: */15 * * * * → */30 * * * *\n',
  );
});

test.each([['status'], ['rollout status sweep']])(
  '%s --watch answers as without it where there is no terminal',
  async (command) => {
    const once = await run(admin, ...command.split(' '));
    const watched = await run(admin, ...command.split(' '), '--watch');
    const timeless = (text: string): string => text.replaceAll(/\d+ m?s\b|\d{4}-\S+Z/g, '');
    expect({ ...watched, out: timeless(watched.out) }).toEqual({ ...once, out: timeless(once.out) });
    expect(once.exit).toBe(command === 'status' ? 0 : 2);
  },
);

test('-v stands for nothing, and a version is not called current', async () => {
  for (const args of [
    ['kill', 'sweep', '-v', '1.0.0', '--reason', 'x'],
    ['rollout', 'start', 'sweep', '--version', '1.0.0', '-v', '--reason', 'x'],
    ['rearm', 'sweep', '-v', '1.0.0', '--reason', 'x'],
    ['-v'],
  ]) {
    expect(await run(admin, ...args)).toMatchObject({
      exit: 2,
      err: expect.stringContaining("unknown option '-v'"),
    });
  }
  const set = (version: string) =>
    run(admin, 'flags', 'set', 'sweep', '--version', version, '--share', '1%', '--reason', 'x');
  expect(await set('current')).toMatchObject({ exit: 2, err: expect.stringContaining('or installed') });
  expect((await set('installed')).err).toContain('ADMISSION_EXCEEDED');
  expect((await set('installed')).exit).toBe(4);
});
