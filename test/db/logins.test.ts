import { describe, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';

const database = await testDatabase();

describe('the planner login', () => {
  test('reads the directory', async () => {
    const planner = database.pool(database.plannerUrl);
    await expect(planner.query('select count(*) from directory.account')).resolves.toBeDefined();
  });

  test.each([
    ['inserts', `insert into directory.organisation (id, name, home_region) values ('a', 'a', 'r')`],
    ['updates', `update directory.account set state = 'MANAGED'`],
    ['deletes', 'delete from directory.account'],
    ['truncates', 'truncate directory.account cascade'],
    ['makes tables', 'create table directory.mine (a int)'],
    ['makes temporary tables', 'create temporary table mine (a int)'],
    ['drops tables', 'drop table directory.account'],
    ['moves a gate', `update portcullis_region.gate set state = 'open'`],
    ['reads tokens', 'select * from portcullis_control.api_token'],
    ['reads the passwords of the other logins', 'select * from portcullis_store.login'],
  ])('never %s, even after it has made its session writable', async (_what, sql) => {
    const client = await database.pool(database.plannerUrl).connect();
    try {
      await client.query('set default_transaction_read_only = off');
      await client.query('reset role');
      await expect(client.query(sql)).rejects.toMatchObject({
        code: expect.stringMatching(/^(42501|25006)$/),
      });
    } finally {
      client.release();
    }
  });
});

describe('the worker login', () => {
  test.each([
    ['changes a planned change', `update portcullis_region.change set after = null`],
    ['deletes from the journal', 'delete from portcullis_region.change'],
    ['changes a flag', 'update portcullis_control.flag set enabled = true'],
    ['changes a policy', `update portcullis_control.policy set policy = '{}'`],
    ['reads tokens', 'select * from portcullis_control.api_token'],
    ['drops tables', 'drop table directory.account cascade'],
    [
      'issues a token',
      `insert into portcullis_control.api_token (id, name, sha256, role) values (gen_random_uuid(), 'w', '', 'admin')`,
    ],
    ['reads approvals', 'select * from portcullis_control.approval'],
    ['approves', `update portcullis_control.approval set decision = 'approve'`],
  ])('never %s', async (_what, sql) => {
    await expect(database.pool(database.workerUrl).query(sql)).rejects.toMatchObject({ code: '42501' });
  });
});

describe.each([
  ['planner', database.plannerUrl],
  ['worker', database.workerUrl],
])('the audit log', (login, url) => {
  test.each([
    ['read', 'select * from portcullis_control.audit'],
    [
      'written to',
      `insert into portcullis_control.audit (seq, at, principal, action, subject, evidence, prev, hash)
       values (1, now(), 'a', 'a', 'a', '{}', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))`,
    ],
    ['updated', `update portcullis_control.audit set principal = 'another'`],
    ['deleted from', 'delete from portcullis_control.audit'],
    ['truncated', 'truncate portcullis_control.audit'],
    ['freed of its trigger', 'alter table portcullis_control.audit disable trigger all'],
    ['dropped', 'drop table portcullis_control.audit'],
  ])(`is never %s by the ${login}`, async (_what, sql) => {
    const client = await database.pool(url).connect();
    try {
      await client.query('set default_transaction_read_only = off');
      await expect(client.query(sql)).rejects.toMatchObject({ code: '42501' });
    } finally {
      client.release();
    }
  });
});
