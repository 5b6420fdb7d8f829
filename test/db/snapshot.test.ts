import { expect, test } from '@jest/globals';
import { openPool } from '../../src/postgres/pool.js';
import { inSnapshot } from '../../src/postgres/snapshot.js';
import { testDatabase } from '../support/database.js';

const database = await testDatabase();

test('a snapshot’s connection is used again, without what others’ SQL left on it', async () => {
  const pool = openPool(database.url, { name: 'test', max: 1, lockTimeoutS: 7 });
  const named = { name: 'twice', text: 'select 1 as one' };
  const state = async () => {
    const { rows } = await pool.query<{ pid: number }>(
      `select pg_backend_pid() as pid, current_setting('extra_float_digits') as digits,
         current_setting('lock_timeout') as lock, current_setting('work_mem') as memory,
         current_setting('application_name') as name, current_user::text as "user",
         to_regclass('pg_temp.left_over')::text as left_over, array(select pg_listening_channels()) as channels,
         (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
         (select count(*) from pg_prepared_statements where name <> '') as prepared`,
    );
    return rows[0];
  };
  try {
    const before = await state();
    await inSnapshot(pool, 'a run', async (client) => {
      await client.query(named);
      await client.query(`
        set extra_float_digits = 0; set lock_timeout = 0; set work_mem = '64kB'; set application_name = 'other';
        select pg_advisory_lock(7); prepare own as select 2; create temporary table left_over (a int);
        listen others; set role pg_monitor`);
    });
    expect(await state()).toEqual(before);
    expect((await pool.query(named)).rows).toEqual([{ one: 1 }]);

    const failed = inSnapshot(pool, 'a run', async (client) => {
      await client.query('select pg_advisory_lock(7)');
      throw new Error('a rule cannot be asked');
    });
    await expect(failed).rejects.toThrow('a rule cannot be asked');
    expect(await state()).toEqual({ ...before, pid: expect.any(Number) });
  } finally {
    await pool.end();
  }
});
