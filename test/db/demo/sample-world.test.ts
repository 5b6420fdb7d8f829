import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { exportDirectory } from '../../../src/jobs/directory/export.js';
import { importDirectory } from '../../../src/jobs/directory/import.js';
import type { Change } from '../../../src/sdk/contract.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import type { Lookups } from '../../../src/jobs/domain-claim/lookups.js';
import { rowsOf } from '../../../src/sdk/rows.js';
import type { TxtAnswer } from '../../../src/lookup/dns.js';
import { openPlannerDatabase } from '../../../src/worker/planner-database.js';
import { SAMPLE_REGIONS } from '../../../src/demo/sample-rows.js';
import { isSampleWorld, seedSampleWorld } from '../../../src/demo/sample-world.js';
import { sampleZone } from '../../../src/demo/sample-zone.js';
import type { ZoneAnswer } from '../../../src/demo/zone-answer.js';
import { testDatabase } from '../../support/database.js';
import { csvFolder } from '../../support/directory-files.js';

const database = await testDatabase();
const pool = database.owner;
const planner = openPlannerDatabase(database.plannerUrl, 2);
afterAll(() => planner.close());

const MINUTE_MS = 60_000;
const now = new Date('2026-03-01T12:00:00Z');
const seed = { seed: 'portcullis', now };

const TABLES = ['organisation', 'account', 'admin', 'product_use', 'request', 'domain'] as const;
const empty = () => pool.query(`truncate ${TABLES.map((table) => `directory.${table}`).join(', ')}`);

async function digest(): Promise<unknown> {
  const { rows } = await pool.query(
    TABLES.map(
      (table) =>
        `select '${table}' as name, md5(string_agg(t::text, E'\\n' order by t.ctid)) from directory.${table} t`,
    ).join(' union all ') + ' order by name',
  );
  return rows;
}

/** What a resolver makes of the zone's answer. */
function heard(answer: ZoneAnswer): TxtAnswer {
  switch (answer.kind) {
    case 'txt':
      return {
        kind: 'records',
        values: answer.values.map((value) => [value].flat().join('')),
        ttlSeconds: 60,
      };
    case 'nodata':
      return { kind: 'absent', code: 'NODATA', negativeTtlSeconds: 60 };
    case 'nxdomain':
      return { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: 60 };
    case 'servfail':
      return { kind: 'indeterminate', code: 'SERVFAIL' };
    case 'refused':
      return { kind: 'indeterminate', code: 'REFUSED' };
    case 'cname':
    case 'drop':
    case 'garbage':
    case 'wrong-id':
    case 'wrong-question':
    case 'truncate':
    case 'delay':
      throw new Error(`the sample world has no ${answer.kind}`);
  }
}

async function planOf(region: string, atMs: number): Promise<Change[]> {
  const zone = await sampleZone(pool);
  const { rows } = await pool.query<{ id: string }>(
    'select id from directory.organisation where home_region = $1',
    [region],
  );
  const changes: Change[] = [];
  const plan = domainClaim.plan({
    region,
    units: new Set(rows.map(({ id }) => id)),
    rows: rowsOf(planner),
    clients: {
      dns: { txt: (name) => Promise.resolve([{ perspective: 'sample', answer: heard(zone(name)) }]) },
      https: { getText: () => Promise.resolve({ kind: 'indeterminate', code: 'UNREACHABLE' }) },
    } satisfies Lookups,
    heldElsewhere: () => Promise.resolve(undefined),
    progressed: () => undefined,
    clock: { now: () => new Date(atMs) },
    signal: new AbortController().signal,
  });
  for await (const change of plan) changes.push(change);
  return changes;
}

async function write(changes: readonly Change[]): Promise<void> {
  for (const { resource, key, after } of changes) {
    const columns = Object.keys(after ?? {}).join(', ');
    await pool.query(
      `update directory.${resource} set (${columns}) =
         (select ${columns} from jsonb_populate_record(null::directory.${resource}, $2)) where id = $1`,
      [key, JSON.stringify(after)],
    );
  }
}

function countBy(changes: readonly Change[], key: (change: Change) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const each of changes.map(key)) counts[each] = (counts[each] ?? 0) + 1;
  return counts;
}

interface Cap {
  readonly kind: string;
  readonly perRun: number;
  readonly perUnit: number;
  readonly shareOfRegion: string;
}

/** What a plan would break of the shipped policy's caps. */
async function brokenCaps(region: string, changes: readonly Change[]): Promise<string[]> {
  const policy = parse(await readFile('flags/domain-claim.yaml', 'utf8')) as { guard: { caps: Cap[] } };
  const { rows } = await pool.query<Record<string, number>>(
    `select (select count(*) from directory.account where home_region = $1) as account,
            (select count(*) from directory.domain where home_region = $1) as domain`,
    [region],
  );
  return policy.guard.caps.flatMap(({ kind, perRun, perUnit, shareOfRegion }) => {
    const mine = changes.filter((change) => change.kind === kind);
    const share = mine.length / (rows[0]?.[kind === 'claim' ? 'account' : 'domain'] ?? 0);
    const most = Math.max(0, ...Object.values(countBy(mine, ({ unit }) => unit)));
    return mine.length > perRun || most > perUnit || share > Number.parseInt(shareOfRegion) / 100
      ? [`${region} ${kind}: ${mine.length} in the run, ${most} for a unit, ${share} of the region`]
      : [];
  });
}

describe('seeding', () => {
  test('writes the same rows for the same seed, in little time', async () => {
    await empty();
    const startedMs = performance.now();
    await expect(seedSampleWorld(pool, seed)).resolves.toBe(true);
    // One or two, on a machine of its own.
    expect(performance.now() - startedMs).toBeLessThan(60_000);
    const { rows } = await pool.query(
      `select (select count(*) from directory.organisation) as organisations,
         (select count(*) from directory.domain) as domains, (select count(*) from directory.account) as accounts`,
    );
    expect(rows).toEqual([{ organisations: 300, domains: 900, accounts: 20_000 }]);
    const first = await digest();
    await empty();
    await seedSampleWorld(pool, seed);
    expect(await digest()).toEqual(first);
  });

  test('leaves a directory alone that is not empty', async () => {
    await empty();
    await pool.query(
      `insert into directory.organisation (id, name, home_region) values ('mine', 'Mine', 'r')`,
    );
    await expect(seedSampleWorld(pool, seed)).resolves.toBe(false);
    const { rows } = await pool.query('select count(*) as accounts from directory.account');
    expect(rows).toEqual([{ accounts: 0 }]);
  });

  test('by two processes at once makes one world', async () => {
    await empty();
    const both = await Promise.all([seedSampleWorld(pool, seed), seedSampleWorld(pool, seed)]);
    expect(both.filter(Boolean)).toHaveLength(1);
  });

  test('makes a world that is known for a sample until something else is in it', async () => {
    await empty();
    await expect(isSampleWorld(pool)).resolves.toBe(false);
    await seedSampleWorld(pool, seed);
    await expect(isSampleWorld(pool)).resolves.toBe(true);
    await pool.query(
      `insert into directory.organisation (id, name, home_region) values ('mine', 'Mine', 'r')`,
    );
    await expect(isSampleWorld(pool)).resolves.toBe(false);
  });

  test('makes a world that survives an export and an import', async () => {
    const folder = await csvFolder();
    try {
      await empty();
      await seedSampleWorld(pool, seed);
      const first = await exportDirectory(pool, join(folder.path, 'first'));
      await importDirectory(pool, first.files, { replace: true });
      const second = await exportDirectory(pool, join(folder.path, 'second'));
      for (const name of ['organisations', 'accounts', 'domains'] as const) {
        expect(await readFile(second.files[name], 'utf8')).toBe(await readFile(first.files[name], 'utf8'));
      }
    } finally {
      await folder.remove();
    }
  });
});

describe('the job in the sample world', () => {
  beforeAll(async () => {
    await empty();
    await seedSampleWorld(pool, seed);
  });

  test('has much to do in each region at first, makes every move, and stays below every cap', async () => {
    for (const region of SAMPLE_REGIONS) {
      const changes = await planOf(region, now.getTime());
      const kinds = countBy(changes, ({ kind }) => kind);
      expect(kinds['claim']).toBeGreaterThan(150);
      expect(kinds['claim']).toBeLessThan(650);
      expect(kinds['verify']).toBeGreaterThanOrEqual(15);
      for (const kind of ['confirm', 'note', 'at-risk', 'recover', 'lapse', 'expire', 'contest']) {
        expect([region, kind, kinds[kind] ?? 0]).not.toEqual([region, kind, 0]);
      }
      expect(await brokenCaps(region, changes)).toEqual([]);
    }
  });

  test('refuses for each of the reasons that the world is made to show', async () => {
    const region = SAMPLE_REGIONS[0];
    const changes = await planOf(region, now.getTime());
    const reasons = countBy(changes, ({ evidence }) => String(evidence['reason']));
    for (const reason of [
      'no-request',
      'no-requester',
      'admin-removed',
      'request-withdrawn',
      'request-of-another-organisation',
      'proof-absent',
      'nothing-learnt',
      'token-expired',
      'name-owned-by-another',
      'name-contested',
    ]) {
      expect([reason, reasons[reason] ?? 0]).not.toEqual([reason, 0]);
    }
    const claimed = new Set(changes.filter(({ kind }) => kind === 'claim').map(({ key }) => key));
    const { rows } = await pool.query<{ id: string; why: string | null }>(
      `select a.id, case
                when a.home_region <> $1 then 'another region'
                when a.kind <> 'person' then 'no person'
                when not a.email_verified then 'unverified'
                when a.deleted_at is not null or a.deactivated_at is not null then 'gone'
                when o.suspended_at is not null then 'suspended'
                when o.consent = 'none' then 'no consent'
                when o.consent = 'selected' and a.selected_by is null then 'not selected'
                when d.proof_seen_at < $2::timestamptz - interval '7 days' then 'stale'
                when d.request_id is null then 'no request'
                when length(a.email) - length(replace(a.email, '@', '')) > 1 then 'odd address'
                when exists (select from directory.admin m where m.account_id = a.id and m.organisation_id <> o.id)
                  then 'admin of another'
              end as why
         from directory.account a
         join directory.domain d on d.name = a.email_domain and d.state = 'VERIFIED'
         join directory.organisation o on o.id = d.organisation_id
        where a.state = 'UNMANAGED' and d.home_region = $1`,
      [region, now],
    );
    const refused = rows.filter(({ why }) => why !== null);
    expect([...new Set(refused.map(({ why }) => why))].toSorted()).toEqual([
      'admin of another',
      'another region',
      'gone',
      'no consent',
      'no person',
      'no request',
      'not selected',
      'odd address',
      'stale',
      'suspended',
      'unverified',
    ]);
    expect(refused.filter(({ id }) => claimed.has(id))).toEqual([]);
  });

  test('claims in the second run at the domains that the first has verified, and has less to do in the third', async () => {
    const region = SAMPLE_REGIONS[1];
    const first = await planOf(region, now.getTime());
    await write(first);
    const verified = new Set(
      first.filter(({ kind }) => kind === 'verify' || kind === 'recover').map(({ key }) => key),
    );
    const second = await planOf(region, now.getTime() + 15 * MINUTE_MS);
    const claims = second.filter(({ kind }) => kind === 'claim');
    expect(claims.length).toBeGreaterThan(80);
    expect(claims.every(({ evidence }) => verified.has(String(evidence['domainId'])))).toBe(true);
    expect(second.some(({ kind }) => kind === 'verify')).toBe(true);
    expect(await brokenCaps(region, second)).toEqual([]);
    await write(second);
    const third = await planOf(region, now.getTime() + 30 * MINUTE_MS);
    expect(third.length).toBeLessThan(second.length);
    expect(await brokenCaps(region, third)).toEqual([]);
  });
});
