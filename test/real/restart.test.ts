import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { FAR_SLOT } from '../support/far-slot.js';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';

/** A restart, a deploy with other files, or a second process changes nothing that it was not asked to change. */

const database = await testDatabase();
const folder = await temporaryFolder();
const file = join(folder, 'domain-claim.yaml');

const policy = (batch: number, regions: string) => `
job: domain-claim
schedule: '${FAR_SLOT}'
regions: [${regions}]
apply: { batch: ${batch} }
guard: { caps: [] }
`;

interface Started {
  readonly event: string;
  readonly policies: {
    readonly applied?: unknown[];
    readonly drift?: { differing: { job: string }[] };
  } | null;
}

/** Starts a control plane until it waits for its schedule, and stops it. Answers what it said. */
async function start(home: string, more: Readonly<Record<string, string>> = {}) {
  const env = {
    ...{ PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: home, PORTCULLIS_FLAGS: folder },
    ...{ PORTCULLIS_HTTP: '127.0.0.1:0', PORTCULLIS_LOG_LEVEL: 'warn' },
    ...more,
  };
  const { child, finished } = portcullis(['start', '--json'], { env });
  let text = '';
  child.stdout?.on('data', (part: string) => (text += part));
  await until(
    'the start waits for its schedule',
    () => text.includes('"waiting"') || child.exitCode !== null,
  );
  child.kill('SIGTERM');
  const { code, stdout, stderr } = await finished;
  const events = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Started);
  return { code, stderr, started: events.find(({ event }) => event === 'started'), events };
}

/** Everything that a start might have changed. */
async function inForce(): Promise<unknown> {
  const { rows } = await database.owner.query(`
    select 'policy' as what, to_jsonb(p) as is from portcullis_control.policy p
    union all select 'flag', to_jsonb(f) from portcullis_control.flag f
    union all select 'change', to_jsonb(c) from portcullis_control.flag_change c
    union all select 'token', to_jsonb(t) - 'last_used_at' from portcullis_control.api_token t
    union all select 'run', to_jsonb(r) from portcullis_region.run r
    union all select 'role', to_jsonb(a) from pg_authid a where rolname like current_database() || '%'
    order by 1, 2`);
  return rows;
}

test('the first start puts the policy files in force, and no later one does', async () => {
  const home = await temporaryFolder();
  await writeFile(file, policy(500, 'eu-west-1'));
  const first = await start(home);
  expect(first).toMatchObject({ code: 0, started: { policies: { applied: [{ job: 'domain-claim' }] } } });
  const before = await inForce();

  await writeFile(file, policy(400, 'eu-west-1, us-east-1'));
  const second = await start(home);
  expect(second).toMatchObject({
    code: 0,
    started: { policies: { drift: { differing: [{ job: 'domain-claim', change: 'changed' }] } } },
  });
  expect(second.stderr).toContain('policy-differs');
  expect(second.stderr).toContain('put it in force with portcullis flags apply');
  expect(second.events.some(({ event }) => event === 'run')).toBe(false);
  expect(await inForce()).toEqual(before);
});

test('a start beside policy files with faults goes on with what is in force, and says why', async () => {
  const home = await temporaryFolder();
  await writeFile(file, 'job: domain-claim\nschedule: never\n');
  const before = await inForce();
  const { code, started, stderr } = await start(home);
  expect({ code, faults: started?.policies?.drift }).toEqual({
    code: 0,
    faults: { differing: [], faults: expect.stringContaining('is not a cron schedule') as unknown },
  });
  expect(stderr).toContain('the policy files have faults');
  expect(withoutTokens(await inForce())).toEqual(withoutTokens(before));
});

/** Who has an admin token of a folder of its own is no concern of this test. */
function withoutTokens(rows: unknown): unknown[] {
  return (rows as { what: string }[]).filter(({ what }) => what !== 'token');
}
