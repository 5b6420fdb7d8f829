import { expect, test } from '@jest/globals';
import { countQuery, unitsQuery } from '../../src/worker/units.js';
import { testDatabase } from '../support/database.js';

const { owner } = await testDatabase();

test('units are found in a table whose names need quotes', async () => {
  await owner.query(`
    create schema "Tenant Data";
    create table "Tenant Data"."Order" ("Id" integer, "Home Region" text, id text default 'wrong');
    insert into "Tenant Data"."Order" values (1, 'eu-west-1'), (2, 'eu-west-1'), (3, 'us-east-1')`);
  const unit = { table: 'Tenant Data.Order', key: 'Id', region: 'Home Region' };
  expect((await owner.query(unitsQuery(unit), ['eu-west-1'])).rows).toEqual([{ unit: '1' }, { unit: '2' }]);
  expect((await owner.query(countQuery(unit), ['us-east-1'])).rows).toEqual([{ n: 1 }]);
});
