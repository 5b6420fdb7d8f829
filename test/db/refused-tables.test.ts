import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { tables } from '../../src/doctor/database.js';
import type { Patient } from '../../src/doctor/patient.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import type { RegionDatabase } from '../../src/regions/region-database.js';
import type { Resource } from '../../src/sdk/contract.js';
import { tryJob } from '../../src/testing/try-job.js';
import { testDatabase } from '../support/database.js';
import { oneDatabase } from '../support/one-database.js';
import { temporaryFolder } from '../support/portcullis.js';
import { testShop } from '../support/shop.js';

const database = await testDatabase();
const { owner } = database;
const shop = await testShop(database);
afterAll(() => shop.platform.planner.close());
afterEach(() => owner.query('drop table if exists shop.item, shop.part cascade'));

describe('what cannot be exact is named, with what to do, when a job is loaded, by check and by doctor', () => {
  const deleting = (...cascades: string[]): Resource => ({
    ...{ table: 'shop.item', key: 'id', changes: [], deletes: true },
    cascades,
  });
  test.each<[string, string, Resource, string]>([
    [
      'a table that references itself twice',
      `create table item (id int primary key,
         a int constraint by_a references item on delete cascade, b int constraint by_b references item on delete cascade)`,
      deleting('shop.item'),
      'rows of shop.item go with each other in 2 ways (constraints by_a, by_b); drop the action of all but one',
    ],
    [
      'a circle of tables',
      `create table item (id int primary key, part int);
       create table part (id int primary key, item int constraint of_item references item on delete cascade);
       alter table item add constraint of_part foreign key (part) references part on delete cascade`,
      deleting('shop.part', 'shop.item'),
      'rows of shop.item go with shop.part, which go with them (constraint of_part); drop the action of one',
    ],
    [
      'a column that others follow',
      `create table item (id int primary key, name text unique);
       create table part (id int primary key, item text constraint of_name references item (name) on update cascade)`,
      { table: 'shop.item', key: 'id', changes: ['name'] },
      'changing name would change rows of shop.part (constraint of_name, on update cascade), which the journal does not keep; leave the column out, or drop the action',
    ],
  ])('%s', async (_, sql, resource, said) => {
    await owner.query(`set search_path to shop; ${sql}; reset search_path`);
    await shop.grant();
    const definition = shop.job({ item: resource });
    await expect(shop.load(definition)).rejects.toMatchObject({ message: expect.stringContaining(said) });

    const text = `job: shop\nschedule: '0 3 * * *'\nregions: [here]\n`;
    const policy = parsePolicyFile(text, 'shop.yaml');
    const folder = await temporaryFolder();
    const schema = join(folder, 'schema.sql');
    await writeFile(
      schema,
      `create schema shop; create table shop.tenant (id text primary key, region text); set search_path to shop; ${sql}; reset search_path`,
    );
    const checked = tryJob({
      ...{ definition, policy, regions: ['here'] },
      schema: [schema],
      grants: undefined,
    });
    await expect(checked).rejects.toMatchObject({ message: expect.stringContaining(said) });

    await applyPolicies(owner, [policy], 'test');
    const regionDatabase = {
      name: 'control',
      worker: owner,
      prepare: () => Promise.resolve(),
      job: () => shop.load(definition),
    };
    const found = await tables.examine({
      control: owner,
      regionDatabases: oneDatabase(regionDatabase as unknown as RegionDatabase),
      jobs: [{ definition, version: '1.0.0_test' }],
    } as unknown as Patient);
    expect(found).toEqual([
      {
        mark: 'fail',
        found: expect.stringContaining(said),
        hint: expect.stringContaining('docs/guide/own-job.md'),
      },
    ]);
  });
});
