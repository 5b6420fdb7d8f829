import { describe, expect, test } from '@jest/globals';
import { announceVersions } from '../../src/rollout/announce.js';
import { setAdmittedFlag } from '../support/admissions.js';
import { databaseCli, type Ran } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { runAt } from './remote.js';
import { hearFlags, serving } from './serving.js';

/** What the command line asks of flags, on the database and through a server. */

const { owner } = await testDatabase();
const heard = await hearFlags(owner);
const served = await serving(owner, { flags: heard.desk });
const { token } = served;
const { run: runHere } = await databaseCli(owner);

const VERSION = '1.0.0_0000000a';
const AT = ['domain-claim', '--region', 'eu-west-1'];
const WHERE = { job: 'domain-claim', region: 'eu-west-1' };

async function give(permille: number, reason: string): Promise<number> {
  const variants = permille === 0 ? [] : [{ version: VERSION, permille }];
  const { revision } = await setAdmittedFlag(owner, {
    ...{ ...WHERE, enabled: true, variants, reason, changedBy: 'ann' },
  });
  await until('the server has heard it', () => {
    const now = heard.source.repository.find('domain-claim.eu-west-1');
    return now !== undefined && now.revision >= revision;
  });
  return revision;
}

/** On the database and through the server, which answer the same. */
async function both(...args: string[]): Promise<Pick<Ran, 'exit' | 'out'>> {
  const [{ exit, out }, there] = [
    await runHere({ token, columns: 80 }, ...args),
    await runAt({ serverUrl: served.url, token }, [...args, '--json']),
  ];
  const here = await runHere({ token }, ...args, '--json');
  expect([args, there.exit, there.out]).toEqual([args, here.exit, here.out]);
  return { exit, out };
}

const json = ({ out }: { out: string }) => JSON.parse(out) as Record<string, unknown>;

describe('flags', () => {
  test('history shows what each change changed, in 80 columns', async () => {
    await give(100, 'pilot');
    await give(250, 'the pilot went well, and so it is given to a quarter of all organisations');
    const { exit, out } = await both('flags', 'history', ...AT, '--limit', '2');
    expect(exit).toBe(0);
    expect(out).toMatch(/10% → .*25%/);
    expect(out).toMatch(/off → on; .*no version → .*10%/);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('revert sets a flag as it was, once, and says what it was', async () => {
    const revision = await give(100, 'before');
    await give(250, 'after');
    const order = ['flags', 'revert', ...AT, '--to', String(revision), '--reason', 'too much'];
    const there = await runAt({ serverUrl: served.url, token }, order);
    expect([there.exit, there.out]).toEqual([0, expect.stringMatching(/25% → .*10%/)]);
    await give(250, 'again');
    const here = await runHere({ token }, ...order);
    expect([here.exit, here.out]).toEqual([0, there.out]);
    const unknown = await runHere({ token }, 'flags', 'revert', ...AT, '--to', '0', '--reason', 'x');
    expect([unknown.exit, unknown.err]).toEqual([2, expect.stringContaining('FLAG_CHANGE_UNKNOWN')]);
  });

  test('explain says which version a unit gets and why, and exits with 3 where it gets none', async () => {
    await give(1000, 'everybody');
    const explain = ['flags', 'explain', ...AT, '--unit', 'org-1'];
    const given = await both(...explain);
    expect([given.exit, given.out]).toEqual([0, expect.stringMatching(/^version +1\.0\.0_0000000a$/m)]);
    expect(given.out).toMatch(/of 1,000/);
    await give(0, 'nobody');
    const held = await both(...explain);
    expect([held.exit, held.out]).toEqual([3, expect.stringMatching(/^version +none$/m)]);
  });
});

test('workers shows which revision each has heard, and which one is in force', async () => {
  const before = await give(100, 'first');
  const announcement = { job: 'domain-claim', version: VERSION, regions: ['eu-west-1', 'us-east-1'] };
  await announceVersions(owner, 'w1', [{ ...announcement, flagRevisions: { 'eu-west-1': before } }]);
  const { out } = await both('workers');
  expect(out).toMatch(new RegExp(`eu-west-1 +${before}$`, 'm'));
  expect(out).toMatch(/us-east-1 +not yet$/m);
  for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  const now = await give(200, 'second');
  expect((await both('workers')).out).toContain(`${before}, now ${now}`);
  const { workers } = json(await runHere({ token }, 'workers', '--json'));
  expect(workers).toMatchObject([
    {
      worker: 'w1',
      versions: [{ flags: [{ region: 'eu-west-1', heard: before, current: now }, { heard: null }] }],
    },
  ]);
});

test('flags set asks the server no more than it must', async () => {
  const calls = async (...args: string[]): Promise<string[]> => {
    const before = served.logged.length;
    const { exit } = await runAt({ serverUrl: served.url, token }, [
      'flags',
      'set',
      ...args,
      '--reason',
      'x',
    ]);
    expect(exit).toBe(0);
    const lines = served.logged.slice(before).map((line) => JSON.parse(line) as Record<string, unknown>);
    return lines.filter(({ component }) => component === 'http').map(({ route }) => String(route));
  };
  const [set, policy, me] = ['/api/v1/flags/:job/:region', '/api/v1/policies/:job', '/api/v1/me'];
  expect(await calls(...AT, '--off')).toEqual([set]);
  expect(await calls('domain-claim', '--off')).toEqual([policy, me, set, set, set]);
  expect(await calls(...AT, '--hold')).toEqual([set]);
});
