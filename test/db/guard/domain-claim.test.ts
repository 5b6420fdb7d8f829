import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { rulesOf } from '../../../src/flags/guard-policy.js';
import { readPolicies, type Policy } from '../../../src/flags/policy.js';
import { judgeInvariant } from '../../../src/guard/invariant.js';
import { verdictsOf } from '../../../src/guard/verdict-rows.js';
import type { Lookups } from '../../../src/jobs/domain-claim/lookups.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import { executeRun, type RunReport } from '../../../src/worker/run-loop.js';
import { SAMPLE_REGIONS } from '../../../src/demo/sample-rows.js';
import { seedSampleWorld } from '../../../src/demo/sample-world.js';
import { sampleZone } from '../../../src/demo/sample-zone.js';
import { elect } from '../../../src/runs/election.js';
import { testDatabase } from '../../support/database.js';
import { loadTestJob, testPlatform } from '../../support/platform.js';

const database = await testDatabase();
const { owner } = database;
const [file] = await readPolicies(new URL('../../../flags/', import.meta.url).pathname);
if (!file) throw new Error('there is no policy');
const policy: Policy = file.policy;
const invariants = rulesOf(policy.guard.rules, 'invariant');

await seedSampleWorld(owner, { seed: 'portcullis', now: new Date() });
const zone = await sampleZone(owner);
const lookups: Lookups = {
  dns: {
    txt: (name: string) => {
      const said = zone(name);
      const answer =
        said.kind === 'txt'
          ? {
              kind: 'records' as const,
              values: said.values.map((value) => [value].flat().join('')),
              ttlSeconds: 60,
            }
          : { kind: 'indeterminate' as const, code: 'SERVFAIL' as const };
      return Promise.resolve([{ perspective: 'sample', answer }]);
    },
  },
  https: { getText: () => Promise.resolve({ kind: 'indeterminate' as const, code: 'UNREACHABLE' as const }) },
};
const platform = { ...testPlatform(database), clients: () => lookups };
const job = await loadTestJob(platform, domainClaim);
afterAll(() => platform.planner.close());

async function run(region: string, dryRun: boolean): Promise<RunReport> {
  platform.flags.open('domain-claim', region, { version: job.version, permille: 1000 });
  const election = await elect(platform.region, {
    job: 'domain-claim',
    version: job.version,
    region,
    trigger: 'manual',
    dryRun,
    worker: 'test',
    leaseMs: 60_000,
  });
  if (!election.elected) throw new Error(election.why);
  const signal = new AbortController().signal;
  const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
  if (!report) throw new Error('another worker has it');
  return report;
}

describe('the sample world, which is healthy', () => {
  test.each(SAMPLE_REGIONS)('breaks no rule in %s, in its first run or the next', async (region) => {
    for (const dryRun of [true, false, false]) {
      const report = await run(region, dryRun);
      const verdicts = await verdictsOf(owner, report.run.id);
      expect(verdicts.filter(({ verdict }) => !['pass', 'too-few'].includes(verdict))).toEqual([]);
      expect(report.status).toBe(dryRun ? 'planned' : 'succeeded');
      expect(verdicts.map(({ rule }) => rule)).toEqual(
        expect.arrayContaining(invariants.map(({ name }) => name)),
      );
    }
  });
});

describe('each invariant', () => {
  let runId = '';
  /** A claim of a healthy plan that is not carried out, and what it rests on. */
  const it = {
    account: '',
    organisation: '',
    domain: '',
    request: '',
    asker: '',
    other: '',
    otherAccount: '',
  };
  beforeAll(async () => {
    // A world that has not been worked on: the claims are still to be made.
    for (const table of ['domain', 'request', 'admin', 'product_use', 'account', 'organisation']) {
      await owner.query(`delete from directory.${table}`);
    }
    await seedSampleWorld(owner, { seed: 'portcullis', now: new Date() });
    const [region] = SAMPLE_REGIONS;
    runId = (await run(region, true)).run.id;
    const { rows } = await owner.query<typeof it>(
      `select c.key as account, c.unit as organisation, d.id as domain, r.id as request, r.requested_by as asker,
         (select id from directory.organisation x where x.id <> c.unit and x.home_region = $2 order by id limit 1) as other,
         (select id from directory.account x where x.home_region = $2 and x.id <> c.key and x.state = 'UNMANAGED'
            and x.id not in (select key from portcullis_region.change where run = $1) order by id limit 1) as "otherAccount"
       from portcullis_region.change c
       join directory.domain d on d.id = c.after ->> 'claimed_domain_id'
       join directory.request r on r.id = d.request_id
       where c.run = $1 and c.kind = 'claim' and c.key <> r.requested_by
       order by c.key limit 1`,
      [runId, region],
    );
    Object.assign(it, rows[0]);
    expect(it.account).not.toBe('');
    // That claim alone, so that a fault has one change to be found in.
    await owner.query('delete from portcullis_region.change where run = $1 and key <> $2', [
      runId,
      it.account,
    ]);
  });

  /** Which invariants fail of the plan once `plant` has been at it; nothing of that stays. */
  async function broken(plant: (client: pg.PoolClient) => Promise<unknown>): Promise<string[]> {
    const client = await owner.connect();
    try {
      await client.query('begin');
      await plant(client);
      const names: string[] = [];
      for (const rule of invariants) {
        const { verdict, reason, evidence } = await judgeInvariant(
          client,
          { id: runId, version: '1.0.0_00000000' },
          1,
          rule,
          ['directory'],
        );
        if (verdict === 'pass') continue;
        expect({ reason, verdict }).toMatchObject({ verdict: 'fail' });
        expect(evidence?.length).toBeGreaterThan(0);
        names.push(rule.name);
      }
      return names;
    } finally {
      await client.query('rollback');
      client.release();
    }
  }

  const sql =
    (text: string, ...keys: (keyof typeof it)[]) =>
    (client: pg.PoolClient) =>
      client.query(
        text,
        keys.map((key) => it[key]),
      );
  const change = (assignment: string, ...keys: (keyof typeof it)[]) =>
    sql(`update portcullis_region.change set ${assignment} where key = $1`, 'account', ...keys);

  test('holds of the claim as it is', async () => {
    expect(await broken(() => Promise.resolve())).toEqual([]);
  });

  test.each([
    [
      'a domain that is not verified',
      sql(`update directory.domain set state = 'PENDING' where id = $1`, 'domain'),
    ],
    ['no request', sql('update directory.domain set request_id = null where id = $1', 'domain')],
    [
      'a request withdrawn',
      sql('update directory.request set withdrawn_at = now() where id = $1', 'request'),
    ],
    ['a request by nobody', sql('update directory.request set requested_by = null where id = $1', 'request')],
    [
      'an admin who is none any more',
      sql('update directory.admin set removed_at = now() where account_id = $1', 'asker'),
    ],
    [
      'an admin whose login is gone',
      sql('update directory.account set deleted_at = now() where id = $1', 'asker'),
    ],
    [
      'another organisation’s request',
      sql('update directory.request set organisation_id = $2 where id = $1', 'request', 'other'),
    ],
    [
      'a request for another domain',
      sql(`update directory.request set domain_name = 'other.example' where id = $1`, 'request'),
    ],
    [
      'an organisation that is suspended',
      sql('update directory.organisation set suspended_at = now() where id = $1', 'organisation'),
    ],
    [
      'an address elsewhere',
      sql(`update directory.account set email = 'a@elsewhere.example' where id = $1`, 'account'),
    ],
    [
      'a domain that the same plan takes back',
      sql(
        `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
         select run, 9, 1, 'domain', $2, 'at-risk', unit, '{"state": "VERIFIED"}', '{"state": "AT_RISK"}', '{}'
         from portcullis_region.change where key = $1`,
        'account',
        'domain',
      ),
    ],
  ])('claims-are-asked-for: %s', async (_, plant) => {
    expect(await broken(plant)).toContain('claims-are-asked-for');
  });

  test.each([
    [
      'a domain verified that nobody asked for',
      'verified-domains-are-asked-for',
      sql(
        `with unasked as (update directory.domain set request_id = null where id = $2)
         insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
         select run, 9, 1, 'domain', $2, 'verify', unit, '{"state": "PENDING"}',
           jsonb_build_object('state', 'VERIFIED', 'check_started_at', now(), 'proof_seen_at', now()), '{}'
         from portcullis_region.change where key = $1`,
        'account',
        'domain',
      ),
    ],
    [
      'a token from before its request',
      'asked-then-issued-then-checked-then-claimed',
      sql(
        `update directory.request set token_issued_at = requested_at - interval '1 s' where id = $1`,
        'request',
      ),
    ],
    [
      'a check from before its token',
      'asked-then-issued-then-checked-then-claimed',
      sql(
        `update directory.request set requested_at = now() - interval '1 s', token_issued_at = now() where id = $1`,
        'request',
      ),
    ],
    [
      'a claim from the future',
      'asked-then-issued-then-checked-then-claimed',
      change(`after = jsonb_set(after, '{claimed_at}', to_jsonb(now() + interval '1 day'))`),
    ],
    [
      'evidence of more than seven days ago',
      'evidence-is-fresh',
      sql(`update directory.domain set check_started_at = now() - interval '169 h' where id = $1`, 'domain'),
    ],
    [
      'no proof',
      'evidence-is-fresh',
      sql('update directory.domain set proof_seen_at = null where id = $1', 'domain'),
    ],
    [
      'no consent',
      'consent-is-given',
      sql(`update directory.organisation set consent = 'none' where id = $1`, 'organisation'),
    ],
    [
      'consent to other accounts',
      'consent-is-given',
      async (client: pg.PoolClient) => {
        await sql(
          `update directory.organisation set consent = 'selected' where id = $1`,
          'organisation',
        )(client);
        await sql('update directory.account set selected_by = null where id = $1', 'account')(client);
      },
    ],
    [
      'a domain that another has',
      'a-domain-has-one-owner',
      async (client: pg.PoolClient) => {
        await sql(
          `insert into directory.domain (id, name, organisation_id, home_region, state)
           select 'rival', name, $2, home_region, 'PENDING' from directory.domain where id = $1`,
          'domain',
          'other',
        )(client);
        await sql(
          `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
           select run, 9, 1, 'domain', 'rival', 'verify', $2, '{"state": "PENDING"}', '{"state": "VERIFIED"}', '{}'
           from portcullis_region.change where key = $1`,
          'account',
          'other',
        )(client);
      },
    ],
    [
      'a request of the job’s making',
      'nothing-is-asked-or-consented-to-by-the-job',
      change(`resource = 'request'`),
    ],
    [
      'a selection of the job’s making',
      'nothing-is-asked-or-consented-to-by-the-job',
      change(`after = after || '{"selected_by": "the-job"}'`),
    ],
    [
      'an account of the job’s making',
      'nothing-is-asked-or-consented-to-by-the-job',
      change('before = null'),
    ],
    [
      'an account that another manages',
      'nobody-elses-account',
      sql(
        `update directory.account set organisation_id = $2, state = 'MANAGED' where id = $1`,
        'account',
        'other',
      ),
    ],
    [
      'an account that was let go',
      'nobody-elses-account',
      sql(`update directory.account set state = 'RELEASED' where id = $1`, 'account'),
    ],
    ['a claim on another unit’s account', 'nobody-elses-account', change('unit = $2', 'other')],
    [
      'the last admin of another organisation',
      'nobodys-last-admin',
      async (client: pg.PoolClient) => {
        await sql('delete from directory.admin where organisation_id = $1', 'other')(client);
        await sql(
          'insert into directory.admin (organisation_id, account_id, since) values ($1, $2, now())',
          'other',
          'account',
        )(client);
      },
    ],
    [
      'an account that lives elsewhere',
      'at-home-only',
      sql(`update directory.account set home_region = 'mars-1' where id = $1`, 'account'),
    ],
  ])('%s breaks %s', async (_, name, plant) => {
    expect(await broken(plant)).toContain(name);
  });

  test('lets an admin go whose organisation has another', async () => {
    expect(
      await broken(async (client) => {
        await sql('delete from directory.admin where organisation_id = $1', 'other')(client);
        for (const admin of ['account', 'otherAccount'] as const) {
          await sql(
            'insert into directory.admin (organisation_id, account_id, since) values ($1, $2, now())',
            'other',
            admin,
          )(client);
        }
      }),
    ).toEqual([]);
  });
});
