import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { importDirectory } from '../../src/jobs/directory/import.js';
import type { Lookups } from '../../src/jobs/domain-claim/lookups.js';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import { createDns } from '../../src/lookup/dns-client.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { testDatabase } from '../support/database.js';
import { csvFolder } from '../support/directory-files.js';
import { startNameServer, type NameServer } from '../support/name-server.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const REGION = 'eu-west-1';
const token = (id: string): string => Buffer.from(id.padEnd(16, '.')).toString('hex');
const ago = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

/** Each of Acme's domains, and what its name server says of it. */
const DOMAINS: readonly (readonly [id: string, name: string, record: string])[] = [
  ['proved', 'acme-proved.com', `_portcullis-challenge IN TXT "token=${token('proved')}"`],
  [
    'split',
    'acme-split.com',
    `_portcullis-challenge IN TXT "token=${token('split').slice(0, 9)}" "${token('split').slice(9)}"`,
  ],
  ['alias', 'acme-alias.com', '_portcullis-challenge IN CNAME _portcullis-challenge.acme-proof.com.'],
  ['others', 'acme-others.com', `_portcullis-challenge IN TXT "token=${token('proved')}"`],
  ['quoted', 'acme-quoted.com', `_portcullis-challenge IN TXT "\\"token=${token('quoted')}\\""`],
  ['nothing', 'acme-nothing.com', 'www IN TXT "nothing here"'],
  ['loop', 'acme-loop.com', '_portcullis-challenge IN CNAME _portcullis-challenge'],
];

const database = await testDatabase();
const folder = await csvFolder();
let server: NameServer;
let platform: ReturnType<typeof testPlatform>;

beforeAll(async () => {
  server = await startNameServer({
    ...Object.fromEntries(DOMAINS.map(([, name, record]) => [name, record])),
    'acme-proof.com': `_portcullis-challenge IN TXT "token=${token('alias')}"`,
  });
  const lookups: Lookups = {
    dns: createDns({
      resolvers: [`${server.address}:${server.port}`],
      timeoutMs: 2_000,
      tries: 2,
      maxConcurrent: 20,
    }),
    // No page anywhere: what is proved here is proved over DNS.
    https: { getText: () => Promise.resolve({ kind: 'absent', status: 404 }) },
  };
  platform = { ...testPlatform(database), clients: () => lookups };
  const files = await folder.write({
    organisations: `id,name,home_region,consent,consent_at\nacme,Acme,${REGION},all,${ago(900)}\n`,
    accounts: [
      'id,email,email_verified,home_region,admin_of',
      `root,root@acme-staff.com,true,${REGION},acme@${ago(900)}`,
      ...DOMAINS.map(([id, name]) => `ada-${id},ada@${name},true,${REGION},`),
      '',
    ].join('\n'),
    domains: [
      'id,name,organisation_id,request_id,requested_by,requested_at,token,token_issued_at',
      ...DOMAINS.map(([id, name]) => `${id},${name},acme,r-${id},root,${ago(3)},${token(id)},${ago(2)}`),
      '',
    ].join('\n'),
  });
  await importDirectory(database.owner, files);
}, 400_000);
afterAll(async () => {
  await platform.planner.close();
  await server.close();
  await folder.remove();
});

async function run(): Promise<RunReport | undefined> {
  const job = await loadTestJob(platform, domainClaim);
  platform.flags.open('domain-claim', REGION, { version: job.version, permille: 1000 });
  const election = await elect(platform.region, {
    job: 'domain-claim',
    version: job.version,
    region: REGION,
    trigger: 'manual',
    worker: 'test',
    leaseMs: 20_000,
  });
  if (!election.elected) throw new Error(election.why);
  const policy = testPolicy('domain-claim', [REGION]);
  return executeRun(platform, job, policy, election.run, 'planning', {
    signal: new AbortController().signal,
  });
}

async function column(sql: string): Promise<Record<string, string>> {
  const { rows } = await database.owner.query<{ id: string; value: string }>(sql);
  return Object.fromEntries(rows.map(({ id, value }) => [id, value]));
}

describe('the job domain-claim on an imported directory, against Knot DNS', () => {
  test('verifies exactly the domains whose name server shows their own token', async () => {
    expect(await run()).toMatchObject({ status: 'succeeded', planned: { verify: 3, note: 4 }, conflicts: 0 });
    expect(await column('select id, state as value from directory.domain')).toEqual({
      proved: 'VERIFIED',
      split: 'VERIFIED',
      alias: 'VERIFIED',
      others: 'PENDING',
      quoted: 'PENDING',
      nothing: 'PENDING',
      loop: 'PENDING',
    });
  });

  test('keeps in the journal what the name server said', async () => {
    const { rows } = await database.owner.query<{ key: string; dns: string }>(
      `select c.key, said.value as dns from portcullis_region.change c, jsonb_each_text(c.evidence->'dns') said`,
    );
    expect(Object.fromEntries(rows.map(({ key, dns }) => [key, dns]))).toMatchObject({
      proved: 'PRESENT',
      others: 'ABSENT',
      nothing: 'NXDOMAIN',
      loop: 'CNAME_LOOP',
    });
  });

  test('claims, in the next run, the accounts of those domains and no others', async () => {
    expect(await run()).toMatchObject({ status: 'succeeded', applied: { claim: 3 } });
    const managed = await column(
      `select id, organisation_id as value from directory.account where state = 'MANAGED'`,
    );
    expect(managed).toEqual({ 'ada-proved': 'acme', 'ada-split': 'acme', 'ada-alias': 'acme' });
  });

  test('has nothing more to do while the world stays as it is', async () => {
    expect(await run()).toMatchObject({ status: 'succeeded', code: 'nothing-to-do' });
  });
});
