import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { emptyDatabase } from '../support/database.js';
import { shippedPolicy } from '../support/far-slot.js';
import { startNameServer, type NameServer } from '../support/name-server.js';
import { portcullis, temporaryFolder, untilWith } from '../support/portcullis.js';
import { until } from '../support/until.js';

/**
 * One domain, asked for and proven by two organisations in two regions with databases of their own, under the shipped
 * policy: one owns it, the other is told so; and once the first has given it up, the second gets it.
 */

const DOMAIN = 'shared-example.com';
const REGIONS = { west: 'eu-west-1', central: 'eu-central-1' } as const;
type Side = keyof typeof REGIONS;
const TOKENS: Readonly<Record<Side, string>> = { west: '1'.repeat(32), central: '2'.repeat(32) };

const control = await emptyDatabase();
const databases = { west: await emptyDatabase(), central: await emptyDatabase() } as const;
const sampled = {
  other: await emptyDatabase(),
  west: await emptyDatabase(),
  central: await emptyDatabase(),
} as const;
const project = await temporaryFolder();
const ago = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();
let server: NameServer;
let env: Readonly<Record<string, string>>;

const ask = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await portcullis([...args, '--json'], { cwd: project, env }).finished;
  if (code !== 0) throw new Error(`${args.join(' ')}: ${code}\n${stdout}\n${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
};

/** Serves both databases for as long as `work` takes. */
async function serving(work: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
  const running = portcullis(['start', '--json'], { cwd: project, env });
  let out = '';
  running.child.stdout?.on('data', (text: string) => (out += text));
  await untilWith(running, 'it serves', () => out.includes('"event":"waiting"'));
  await work();
  running.child.kill('SIGTERM');
  await running.finished;
}

async function importSide(side: Side): Promise<void> {
  const files: Readonly<Record<string, string>> = {
    organisations: `id,name,home_region,consent,consent_at\norg${side},${side},${REGIONS[side]},all,${ago(20)}\n`,
    accounts: [
      'id,email,email_verified,home_region,admin_of,organisation_id,state',
      `adm${side},root@${side}.example.net,true,${REGIONS[side]},org${side}@${ago(900)},org${side},MANAGED`,
      `u${side},u${side}@${DOMAIN},true,${REGIONS[side]},,,`,
      '',
    ].join('\n'),
    domains: [
      'id,name,organisation_id,request_id,requested_by,requested_at,token,token_issued_at',
      `d${side},${DOMAIN},org${side},r${side},adm${side},${ago(3)},${TOKENS[side]},${ago(2)}`,
      '',
    ].join('\n'),
  };
  const options: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    const path = join(project, `${side}-${name}.csv`);
    await writeFile(path, text);
    options.push(`--${name}`, path);
  }
  await ask('directory', 'import', ...options, '--region', REGIONS[side]);
}

interface RunAnswer {
  readonly runId: string;
  readonly status: string;
  readonly applied: Readonly<Record<string, number>>;
  readonly conflicts: number;
}

const run = async (side: Side): Promise<RunAnswer> =>
  (await ask('run', 'domain-claim', '--region', REGIONS[side])) as never;

async function domainOf(side: Side): Promise<{ state: string; seen: Date | null }> {
  const { rows } = await databases[side].owner.query<{ state: string; seen: Date | null }>(
    'select state, proof_seen_at as seen from directory.domain',
  );
  expect(rows).toHaveLength(1);
  return rows[0] ?? { state: 'nothing', seen: null };
}

async function managed(side: Side): Promise<string[]> {
  const { rows } = await databases[side].owner.query<{ id: string }>(
    `select id from directory.account where state = 'MANAGED' and id not like 'adm%'`,
  );
  return rows.map(({ id }) => id);
}

/** What the journal keeps of a run's change of the domain. */
async function evidenceOf(side: Side, { runId }: RunAnswer): Promise<Record<string, unknown>> {
  const { rows } = await databases[side].owner.query<{ evidence: Record<string, unknown> }>(
    `select evidence from portcullis_region.change where run = $1 and resource = 'domain'`,
    [runId],
  );
  return rows[0]?.evidence ?? {};
}

/** Until a process has read the rows of central's database behind the moment at which west's proof was seen. */
async function readAgain(): Promise<void> {
  const { seen } = await domainOf('west');
  await serving(() =>
    until('the rows of the other region are read again', async () => {
      const { rows } = await control.owner.query<{ at: Date }>(
        `select read_at as at from portcullis_control.reserved_region where region = $1`,
        [REGIONS.central],
      );
      return rows[0] !== undefined && seen !== null && rows[0].at > seen;
    }),
  );
}

const checkNow = (side: Side): Promise<unknown> =>
  ask('directory', 'check', DOMAIN, '--region', REGIONS[side]);

beforeAll(async () => {
  const tokens = Object.values(TOKENS).map((token) => `_portcullis-challenge IN TXT "token=${token}"`);
  server = await startNameServer({ [DOMAIN]: tokens.join('\n') });
  env = {
    PORTCULLIS_HOME: join(project, '.portcullis'),
    PORTCULLIS_HTTP: '127.0.0.1:0',
    PORTCULLIS_DATABASE_URL: control.url,
    PORTCULLIS_DATABASE_URL_W: databases.west.url,
    PORTCULLIS_DATABASE_URL_C: databases.central.url,
    PORTCULLIS_RESOLVERS: `${server.address}:${server.port}`,
  };
  const [judged = ''] = (await shippedPolicy()).split(/^rollout:$/m);
  const places = Object.entries({ west: 'W', central: 'C' }).map(
    ([side, name]) => `${REGIONS[side as Side]}: { database: PORTCULLIS_DATABASE_URL_${name} }`,
  );
  await mkdir(join(project, 'flags'));
  await writeFile(
    join(project, 'flags/domain-claim.yaml'),
    judged.replace(/^regions: .*$/m, `regions: { ${places.join(', ')} }`),
  );
  await serving(async () => {
    await importSide('west');
    await importSide('central');
    await ask('rollout', 'start', 'domain-claim', '--version', 'installed', '--initial', '--reason', 'first');
    for (const region of Object.values(REGIONS))
      await ask(
        ...['flags', 'set', 'domain-claim', '--region', region, '--on', '--version', 'installed'],
        ...['--share', '100%', '--reason', 'first'],
      );
  });
}, 400_000);
afterAll(() => server.close());

test('start --sample fills the database that is reached, names the one that is not, and fills that later', async () => {
  const { other, west, central } = sampled;
  const home = join(project, 'sampled');
  const start = async (url: string): Promise<Record<string, unknown>> => {
    const running = portcullis(['start', '--sample', '--json'], {
      cwd: project,
      env: {
        ...{ PORTCULLIS_HOME: home, PORTCULLIS_HTTP: '127.0.0.1:0', PORTCULLIS_DATABASE_URL: other.url },
        ...{ PORTCULLIS_DATABASE_URL_W: west.url, PORTCULLIS_DATABASE_URL_C: url },
      },
    });
    let out = '';
    running.child.stdout?.on('data', (text: string) => (out += text));
    await untilWith(running, 'it serves', () => out.includes('"event":"waiting"'));
    running.child.kill('SIGTERM');
    await running.finished;
    return JSON.parse(out.slice(0, out.indexOf('\n'))) as Record<string, unknown>;
  };
  const on = async (): Promise<string[]> => {
    const { rows } = await other.owner.query<{ region: string }>(
      'select region from portcullis_control.flag where enabled order by region',
    );
    return rows.map(({ region }) => region);
  };
  expect(await start('postgresql://nobody@127.0.0.1:1/nothing')).toMatchObject({
    seeded: true,
    sampleAway: [{ job: 'domain-claim', database: 'PORTCULLIS_DATABASE_URL_C', regions: [REGIONS.central] }],
  });
  expect(await on()).toEqual([REGIONS.west]);
  await other.owner.query(`update portcullis_control.flag set reason = 'a person''s' where enabled`);
  expect(await start(central.url)).toMatchObject({ seeded: true, sampleAway: [] });
  expect(await on()).toEqual([REGIONS.central, REGIONS.west]);
  // What a person has set since stays.
  const { rows } = await other.owner.query(
    `select region from portcullis_control.flag where reason = 'a person''s'`,
  );
  expect(rows).toEqual([{ region: REGIONS.west }]);
  const { rows: filled } = await central.owner.query(
    `select count(*) > 0 as filled from directory.organisation where home_region = $1`,
    [REGIONS.central],
  );
  expect(filled).toEqual([{ filled: true }]);
});

test('the first region to run verifies the domain, and the other learns that it is owned elsewhere', async () => {
  // The first domain of a region is 100 % of it: a share has a least number.
  expect(await run('central')).toMatchObject({ status: 'succeeded', applied: { verify: 1 }, conflicts: 0 });
  const noting = await run('west');
  expect(noting).toMatchObject({ status: 'succeeded', applied: { note: 1 }, conflicts: 0 });
  expect(await evidenceOf('west', noting)).toMatchObject({
    reason: 'name-owned-elsewhere',
    ownedElsewhere: { regions: [REGIONS.central] },
  });
  // The owner may have given it up since that was last read: nothing is contested yet, and nobody verified.
  await checkNow('west');
  expect(await run('west')).toMatchObject({ applied: { note: 1 } });
  expect([await domainOf('central'), await domainOf('west')]).toMatchObject([
    { state: 'VERIFIED' },
    { state: 'PENDING' },
  ]);
});

test('it is contested once the owner was seen behind the proof, and says where it is owned, not by whom', async () => {
  await readAgain();
  await checkNow('west');
  const contesting = await run('west');
  expect(contesting).toMatchObject({ status: 'succeeded', applied: { contest: 1 }, conflicts: 0 });
  expect((await domainOf('west')).state).toBe('CONTESTED');
  const evidence = await evidenceOf('west', contesting);
  expect(evidence).toMatchObject({
    reason: 'name-owned-elsewhere',
    ownedElsewhere: { regions: [REGIONS.central], seenAt: expect.any(String) },
  });
  expect(JSON.stringify(evidence)).not.toMatch(/orgcentral|dcentral|admcentral|2222/);
  expect(await run('central')).toMatchObject({ applied: { claim: 1 } });
  expect(await run('west')).toMatchObject({ status: 'succeeded', applied: {} });
  expect([await managed('central'), await managed('west')]).toEqual([['ucentral'], []]);
});

test('once the verification is restored, the other region gets the domain, and the first learns of it', async () => {
  const runOf = async (side: Side, kind: string): Promise<string> => {
    const { rows } = await databases[side].owner.query<{ run: string }>(
      `select run from portcullis_region.change where kind = $1`,
      [kind],
    );
    return rows[0]?.run ?? 'none';
  };
  for (const [side, kind] of [
    ['central', 'claim'],
    ['central', 'verify'],
    ['west', 'contest'],
  ] as const)
    expect(await ask('restore', await runOf(side, kind), '--reason', 'test')).toMatchObject({
      runs: [{ restored: 1 }],
    });
  expect((await domainOf('west')).state).toBe('PENDING');
  expect(await run('west')).toMatchObject({ status: 'succeeded', applied: { verify: 1 }, conflicts: 0 });
  await checkNow('central');
  const noting = await run('central');
  expect(await evidenceOf('central', noting)).toMatchObject({
    reason: 'name-owned-elsewhere',
    ownedElsewhere: { regions: [REGIONS.west] },
  });
  expect([await domainOf('west'), await domainOf('central')]).toMatchObject([
    { state: 'VERIFIED' },
    { state: 'PENDING' },
  ]);
});
