import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import type { Assessment } from '../../src/incidents/assess-incident.js';
import { assessIncident } from '../support/assess-incident.js';
import { includeSince } from '../../src/incidents/include-run.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { closeIncident } from '../../src/incidents/move-incident.js';
import { postMortemOf } from '../../src/incidents/post-mortem.js';
import { statusUpdatesOf } from '../../src/incidents/status-updates.js';
import { checkJob } from '../../src/worker/registry.js';
import type { JobDefinition, ProductUse } from '../../src/sdk/contract.js';
import { impactOf } from '../../src/journal/impact.js';
import { impactByProduct } from '../../src/journal/product-impact.js';
import { accountsUsedIn, claimEverything, HERE, seedAccounts } from '../support/accounts.js';
import { database, platform, region, restore, run, sql, VERSION } from '../support/restoring.js';
import { person } from '../support/people.js';

const { owner } = database;
const ann = person('ann', 'operator');

/** The claims, with where it stands which products the accounts are used in. */
function usedIn(use: ProductUse = HERE, plan?: Parameters<typeof claimEverything>[1]): JobDefinition {
  return accountsUsedIn(claimEverything('claims', plan), use);
}

/** Claims for the organisations 0 and 1 alone, so that a second run finds more. */
const some = usedIn(HERE, async function* (_, claims) {
  for await (const change of claims) if (/-org-[01]$/.test(change.unit)) yield change;
});

const byProduct = async (...runs: readonly string[]) => impactByProduct(platform.region, runs);

beforeEach(async () => {
  // Everybody has Jira; the organisations 0 and 1 have Trello too, and one account has Access, at 1.
  await sql(`
    insert into directory.product_use select id, 'Jira' from directory.account where home_region = 'REGION';
    insert into directory.product_use select id, 'Trello' from directory.account
      where home_region = 'REGION' and (id like 'REGION-acc-0-%' or id like 'REGION-acc-1-%');
    insert into directory.product_use values ('REGION-acc-1-3', 'Access')`);
});

describe('an impact by product', () => {
  test('counts the rows used in each and their organisations; without conflicts', async () => {
    const bad = await run(
      usedIn(HERE, async function* (_, claims) {
        yield* claims;
        await sql(
          `update directory.account set email = 'new@x.example' where id in ('REGION-acc-1-1', 'REGION-acc-5-2')`,
        );
      }),
    );
    const { rows, byProduct: found } = await impactOf(platform.region, bad.run.id);
    expect(rows).toBe(198);
    expect(found).toEqual([
      { product: 'Jira', rows: 198, units: 10 },
      { product: 'Trello', rows: 39, units: 2 },
      { product: 'Access', rows: 1, units: 1 },
    ]);
  });

  test('is the same once all is restored, and a restore, which needs no job’s code, has one of its own', async () => {
    const bad = await run(some);
    const before = await byProduct(bad.run.id);
    expect(before).toEqual([
      { product: 'Jira', rows: 40, units: 2 },
      { product: 'Trello', rows: 40, units: 2 },
      { product: 'Access', rows: 1, units: 1 },
    ]);
    const [restored] = await restore(bad.run.id);
    const cure = restored?.report?.run.id ?? '';
    expect(await byProduct(bad.run.id)).toEqual(before);
    expect(await byProduct(cure)).toEqual(before);
    // Of both together: each row once, though each changed it.
    expect(await byProduct(bad.run.id, cure)).toEqual(before);
  });

  test('is not known of a job that does not say, of no run, and where what it names is gone or hidden', async () => {
    const silent = await run();
    expect(await byProduct(silent.run.id)).toBeNull();
    expect(await byProduct(randomUUID())).toBeNull();
    await restore(silent.run.id);
    await sql(
      'create table directory."Who uses" ("The account" text, "what?" varchar(9), unique ("what?", "The account"))',
    );
    await sql(
      `insert into directory."Who uses" values ('REGION-acc-0-0', 'A"b''c'), ('REGION-acc-0-1', null)`,
    );
    await sql('grant select on directory."Who uses" to public');
    const odd = await run(usedIn({ table: 'directory.Who uses', key: 'The account', product: 'what?' }));
    expect(await byProduct(odd.run.id)).toEqual([{ product: `A"b'c`, rows: 1, units: 1 }]);
    // A run that does not say takes nothing from one that does.
    expect(await byProduct(silent.run.id, odd.run.id)).toHaveLength(1);
    await sql('revoke select on directory."Who uses" from public');
    expect(await byProduct(odd.run.id)).toBeNull();
    await sql('drop table directory."Who uses"');
    expect(await byProduct(odd.run.id)).toBeNull();
    expect(await impactOf(platform.region, odd.run.id)).toMatchObject({ rows: 200, byProduct: null });
    expect(await restore(odd.run.id)).toMatchObject([{ report: { status: 'succeeded' } }]);
  });

  test('of a row that two runs changed for two organisations counts the row once, and both of them', async () => {
    const first = await run(some);
    await sql(`update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null
               where id = 'REGION-acc-1-3'`);
    const second = await run(
      usedIn(HERE, async function* (_, claims) {
        for await (const change of claims) {
          if (String(change.key).endsWith('-acc-1-3'))
            yield { ...change, unit: change.unit.replace(/1$/, '9') };
        }
      }),
    );
    expect(await byProduct(second.run.id)).toMatchObject([{ product: 'Access', rows: 1, units: 1 }, {}, {}]);
    expect(await byProduct(first.run.id, second.run.id)).toEqual([
      { product: 'Jira', rows: 40, units: 3 },
      { product: 'Trello', rows: 40, units: 3 },
      { product: 'Access', rows: 1, units: 2 },
    ]);
  });

  test('is for any uses what one would count by hand', async () => {
    const bad = await run(some);
    const ids = [0, 1, 2].flatMap((org) => [0, 1, 2].map((n) => `${region}-acc-${org}-${n}`));
    const uses = fc.uniqueArray(
      fc.record({ id: fc.constantFrom(...ids), product: fc.constantFrom('Jira', 'Trello', 'é;"\\') }),
      { selector: ({ id, product }) => `${id} ${product}` },
    );
    await fc.assert(
      fc.asyncProperty(uses, async (each) => {
        await sql(`delete from directory.product_use where account_id like 'REGION-%'`);
        await owner.query('insert into directory.product_use select * from unnest($1::text[], $2::text[])', [
          each.map(({ id }) => id),
          each.map(({ product }) => product),
        ]);
        // Only the organisations 0 and 1 were claimed for.
        const reached = each.filter(({ id }) => !id.includes('-acc-2-'));
        const products = [...new Set(reached.map(({ product }) => product))];
        const expected = products.map((product) => {
          const rows = reached.filter((use) => use.product === product);
          const units = new Set(rows.map(({ id }) => id.replace(/-\d+$/, '')));
          return { product, rows: rows.length, units: units.size };
        });
        const found = (await byProduct(bad.run.id)) ?? [];
        expect(new Set(found)).toEqual(new Set(expected));
        expect(found.map(({ rows }) => rows)).toEqual(
          found.map(({ rows }) => rows).toSorted((a, b) => b - a),
        );
      }),
      { numRuns: 40 },
    );
  });
});

test('a job that names what is not there does not begin', async () => {
  const check = (definition: JobDefinition) => checkJob(owner, { definition, version: '1.0.0_00000000' });
  const fails = async (use: Partial<ProductUse>, text: string) =>
    expect(check(usedIn({ ...HERE, ...use }))).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(text),
    });
  await fails({ table: 'directory.nowhere' }, 'there is no table directory.nowhere');
  await sql('create table directory.badge (holder text, name text, unique (holder, name) deferrable)');
  await sql('create unique index some_badges on directory.badge (holder, name) where name is not null');
  await sql('create unique index on directory.badge (holder)');
  await expect(
    check(usedIn({ table: 'directory.badge', key: 'holder', product: 'name' })),
  ).resolves.toMatchObject({});
  await sql('alter table directory.badge drop constraint badge_holder_name_key');
  await fails(
    { table: 'directory.badge', key: 'holder', product: 'name' },
    'holder and name have no unique index in directory.badge',
  );
  await sql('drop table directory.badge');
  await fails(
    { key: 'id', product: 'name' },
    'there is no column id in directory.product_use; there is no column name',
  );
  await expect(check(usedIn())).resolves.toMatchObject({});
});

describe('an incident', () => {
  let elsewhere = '';
  let incident = '';
  afterEach(async () => {
    await closeIncident(owner, incident, { conclusion: 'a test', falseAlarm: false, by: 'ann' });
    await sql('delete from portcullis_region.quarantine');
  });

  /** Kills the version in both regions, names all that it did as damage, and looks. */
  async function killed(): Promise<Assessment> {
    const request = { job: 'claims', version: VERSION, regions: [region, elsewhere], reason: 'enough' };
    incident = (await killWithIncident(owner, () => owner, request, ann)).incident ?? '';
    const regions = [region, elsewhere];
    await includeSince(owner, incident, { since: new Date(0), regions }, 'ann');
    return assessIncident(owner, () => platform.region, incident, 'system:test');
  }

  /** Besides the test's own region, another one with 20 accounts, who all use Opsgenie and half of them Jira. */
  async function inTwoRegions(job: JobDefinition): Promise<void> {
    await run(some);
    elsewhere = `${region}-b`;
    await seedAccounts(owner, elsewhere, 2, 10);
    await sql(`
      insert into directory.product_use select id, 'Opsgenie' from directory.account where home_region = 'REGION-b';
      insert into directory.product_use select id, 'Jira' from directory.account
        where home_region = 'REGION-b' and id ~ '[02468]$'`);
    platform.flags.open('claims', elsewhere, { version: VERSION, permille: 1000 });
    await run(job, undefined, elsewhere);
  }

  test('adds its regions up by product, and the post-mortem and the status page say which', async () => {
    await inTwoRegions(usedIn());
    const looked = await killed();
    expect(looked.impact.byProduct).toEqual([
      { product: 'Jira', rows: 50, units: 4 },
      { product: 'Trello', rows: 40, units: 2 },
      { product: 'Opsgenie', rows: 20, units: 2 },
      { product: 'Access', rows: 1, units: 1 },
    ]);
    expect(looked.impact.regions.map((each) => each.byProduct?.map(({ product }) => product))).toEqual([
      ['Jira', 'Trello', 'Access'],
      ['Opsgenie', 'Jira'],
    ]);
    const draft = postMortemOf(looked, []);
    expect(draft).toContain(
      '| product | rows used in it | units |\n| --- | --- | --- |\n| Jira | 50 | 4 |\n| Trello | 40 | 2 |\n| Opsgenie | 20 | 2 |\n| Access | 1 | 1 |\n',
    );
    expect(statusUpdatesOf(looked)[1]?.text).toContain(
      '4 units were affected, with users of Jira, Trello, Opsgenie and Access.',
    );
  });

  test('goes by the regions that know, and says where none does', async () => {
    await inTwoRegions(claimEverything('claims'));
    const { impact } = await killed();
    expect(impact.regions.map((each) => each.byProduct === null)).toEqual([false, true]);
    expect(impact.byProduct).toHaveLength(3);
    const unknown = { ...impact, byProduct: null };
    const looked = {
      ...(await assessIncident(owner, () => platform.region, incident, 'ann')),
      impact: unknown,
    };
    expect(postMortemOf(looked, [])).toContain('Which products these are used in is not known.');
    expect(statusUpdatesOf(looked)[1]?.text).toContain('4 units were affected. We');
  });
});
