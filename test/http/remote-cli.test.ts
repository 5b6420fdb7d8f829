import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { embeddedDesk } from '../../src/flags/flag-desk.js';
import { databaseCli } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { temporaryFolder } from '../support/portcullis.js';
import { tokenOf } from '../support/people.js';
import { FakeApp } from '../unit/cli/fake-app.js';
import { runAt } from './remote.js';
import { serving } from './serving.js';

/** The command line through a server, beside the same on the database: with a token, and no database login. */

const { owner } = await testDatabase();
const { run: runHere } = await databaseCli(owner);
await applyPolicies(
  owner,
  [parsePolicyFile("job: sweep\nschedule: '*/15 * * * *'\nregions: [eu-west-1, us-east-1]\n", 'sweep.yaml')],
  'test',
);
const JOB = {
  ...{ name: 'sweep', version: '1.0.0_0000abcd', schedule: '*/15 * * * *', kinds: [] },
  regions: ['eu-west-1', 'us-east-1'],
};
const { jobs: installed } = await new FakeApp().open();
const look = () => ({ open: false, code: 'flag-off', reason: 'the flag is off' }) as const;
const evaluate = () => Promise.resolve({ value: 'hold' });
const served = await serving(owner, {
  flags: { ...embeddedDesk(owner), look, evaluate },
  jobs: () => [JOB],
  installed: () => installed,
});
const { token } = await tokenOf(owner, { name: 'ada', role: 'admin' });
const { token: viewer } = await tokenOf(owner, { name: 'vera', role: 'viewer' });
const folder = await temporaryFolder();

const remote = (...args: string[]) => runAt({ serverUrl: served.url, token }, args);
/** Ages of what was heard differ from call to call. */
const settled = (text: string) => text.replaceAll(/"(heardAt|ageMs)":("[^"]*"|\d+)/g, '"$1":0');

beforeAll(async () => {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until)
     select ('0000000' || n || '-0000-4000-8000-000000000000')::uuid, 'sweep', '1.0.0_0000abcd', 'eu-west-1',
       now() + n * interval '1 minute', 'schedule', case when n % 2 = 0 then 'held' else 'failed' end, 'x', 'y', 'w', now()
     from generate_series(1, 5) as n`,
  );
});

test('open prints a link that signs the token’s person in, once', async () => {
  const { exit, out } = await remote('open');
  expect(exit).toBe(0);
  const link = new URL(out.trim());
  expect(link.origin + link.pathname).toBe(`${served.url}/sign-in`);
  const signIn = () =>
    fetch(`${served.url}/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: served.url },
      body: JSON.stringify({ code: link.hash.slice(1) }),
    });
  const [first, second] = [await signIn(), await signIn()];
  expect(await first.json()).toEqual({ name: 'ada', person: 'ada' });
  expect(second.status).toBe(403);
});

describe('a look', () => {
  test.each([
    ['runs'],
    ['runs --held'],
    ['runs --status held --limit 1'],
    ['runs --limit 1'],
    ['runs --limit 3'],
    ['flags list'],
    ['flags list sweep'],
    ['approvals'],
    ['incident list --unclosed'],
    ['alerts list'],
    ['notifications list'],
    ['people list'],
    ['tokens list'],
    ['audit list --limit 3'],
    ['rollout status sweep'],
    ['run show 00000001'],
    ['run show 00000001 --changes'],
    ['impact 00000001'],
    ['impact 00000001 --csv'],
    ['database show'],
    ['audit verify'],
    ['flags diff'],
    ['guard suggest sweep'],
  ])('%s answers through a server as on the database', async (line) => {
    for (const form of [[], ['--json']]) {
      const args = [...line.split(' '), ...form];
      const here = await runHere({ token }, ...args);
      const there = await remote(...args);
      expect([args, there.exit, settled(there.out)]).toEqual([args, here.exit, settled(here.out)]);
    }
  });
});

test('status and me answer the same too, but for what only whoever is here can know', async () => {
  type Answer = Record<string, unknown>;
  const parsed = ({ out }: { out: string }): Answer => JSON.parse(settled(out)) as Answer;
  const status = parsed(await runHere({ token }, 'status', '--json'));
  expect(parsed(await remote('status', '--json'))).toEqual({
    ...status,
    policyFiles: { faults: null, differing: [] },
  });
  expect(status['jobs']).toMatchObject([{ job: 'sweep', regions: [{ region: 'eu-west-1' }, {}] }]);
  const me = await runHere({ token }, 'me', '--json');
  expect((await remote('me', '--json')).out).toBe(me.out);
  expect(parsed(me)).toMatchObject({ name: 'ada', person: 'ada', role: 'admin', regions: null });
  expect((await remote('me')).out).toContain(served.url);
});

describe('an act', () => {
  test('sets flags, kills, asks for a re-arm, and another approves it', async () => {
    const set = await remote('flags', 'set', 'sweep', '--hold', '--reason', 'try');
    expect(set).toMatchObject({ exit: 0, err: '' });
    expect(set.out).toMatch(/^sweep\.eu-west-1 +off → held +none$/m);
    expect(set.out).toMatch(/^sweep\.us-east-1 +off → held +none$/m);
    const killed = await remote('kill', 'sweep', '--region', 'eu-west-1', '--reason', 'stop', '--json');
    expect(killed.exit).toBe(0);
    expect(JSON.parse(killed.out)).toMatchObject({ job: 'sweep', killed: [{ region: 'eu-west-1' }] });
    const asked = await remote('rearm', 'sweep', '--region', 'eu-west-1', '--reason', 'mended', '--json');
    const { id } = JSON.parse(asked.out) as { id: string };
    expect((await remote('approve', id)).exit).toBe(4);
    const { token: bob } = await tokenOf(owner, { name: 'bob', role: 'approver' });
    const decided = await runAt({ serverUrl: served.url, token: bob }, ['approve', id]);
    expect(decided).toMatchObject({ exit: 0, out: expect.stringContaining('is re-armed') });
  });

  test('that the token may not do is refused', async () => {
    const refused = await runAt({ serverUrl: served.url, token: viewer }, ['stop', '--all', '--reason', 'x']);
    expect([refused.exit, refused.err]).toEqual([4, expect.stringContaining('FORBIDDEN')]);
  });
});

describe('without a server that answers', () => {
  const away = 'http://127.0.0.1:1';
  const kill = ['kill', 'sweep', '--region', 'us-east-1', '--reason', 'stop'];

  test('a look says so, and a kill where to give it', async () => {
    expect(await runAt({ serverUrl: away, token }, ['runs'])).toMatchObject({
      exit: 1,
      err: expect.stringContaining('SERVER_UNREACHABLE'),
    });
    const killed = await runAt({ serverUrl: away, token }, kill);
    expect([killed.exit, killed.err]).toEqual([1, expect.stringContaining('nothing was stopped')]);
    expect(killed.err).toContain('PORTCULLIS_DATABASE_URL');
  });

  test('a kill goes to the database that is configured, and says so', async () => {
    const { err } = await runAt({ serverUrl: away, token, hasDatabase: true }, kill);
    expect(err).toContain('killing on the database itself (break-glass)');
    expect(err).toContain('a remote command opened the database');
  });

  test.each([
    ['kill', kill],
    ['stop', ['stop', '--all', '--reason', 'stop']],
  ])(
    'a %s that goes to the database is on record as break-glass, in the gate and in the audit log',
    async (_, line) => {
      const killed = await runHere({ token, serverUrl: away }, ...line);
      expect([killed.exit, killed.err]).toEqual([0, expect.stringContaining('(break-glass)')]);
      const reason = 'break-glass, without the server: stop';
      const { rows } = await owner.query<{ principal: string; said: string; gate: string }>(
        `select a.principal, a.evidence->>'reason' as said, g.reason as gate
       from portcullis_control.audit a, portcullis_region.gate g
       where a.action = 'kill' and a.subject = 'sweep.us-east-1' and g.job = 'sweep' and g.region = 'us-east-1'
       order by a.seq desc limit 1`,
      );
      expect(rows).toEqual([{ principal: 'ada', said: reason, gate: reason }]);
      // With a server, or on the machine of the database alone, it is an ordinary one.
      await runHere({ token }, ...line);
      expect((await remote('audit', 'list', '--limit', '50')).out).toContain('without the server');
      const { rowCount } = await owner.query(
        `select from portcullis_region.gate where job = 'sweep' and region = 'us-east-1' and reason = 'stop'`,
      );
      expect(rowCount).toBe(1);
    },
  );
});

test('a command that works on the database alone says so', async () => {
  for (const line of ['start', 'worker', 'migrate']) {
    const { exit, err } = await remote(...line.split(' '));
    expect([line, exit, err]).toEqual([line, 2, expect.stringContaining('works on the database itself')]);
  }
});

test('login keeps the token for its owner alone, commands use it, and logout removes it', async () => {
  const credentialsFile = join(folder, 'portcullis', 'credentials.json');
  const at = { credentialsFile };
  expect((await runAt(at, ['login', served.url], ['pcl_unknown'])).exit).toBe(4);
  expect(await runAt(at, ['logout'])).toMatchObject({ exit: 1 });
  expect(await runAt(at, ['login', served.url], [token])).toMatchObject({ exit: 0 });
  expect((await stat(credentialsFile)).mode & 0o777).toBe(0o600);
  expect((await runAt(at, ['tokens', 'list'])).out).toContain('ada');
  // On the machine of a database, commands work on that.
  expect((await runAt({ ...at, hasDatabase: true }, ['runs'])).err).toContain('opened the database');
  expect(await runAt(at, ['logout'])).toMatchObject({ exit: 0 });
  expect((await runAt({ ...at, serverUrl: served.url }, ['runs'])).err).toContain('TOKEN_MISSING');
});
