import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { recordPersonalReadOnce } from '../../../src/access/personal-data.js';
import { testDatabase } from '../../support/database.js';

const { owner, url } = await testDatabase();

/** A process of its own, which reads the same page five times. */
const READS = `
import { openPool } from '#dist/postgres/pool.js';
import { recordPersonalReadOnce } from '#dist/access/personal-data.js';
const pool = openPool(process.env.CONTROL, { name: 'test' });
for (let page = 0; page < 5; page += 1)
  await recordPersonalReadOnce(pool, { name: 'ann' }, 'run 1', { kind: 'claim' });
await pool.end();
`;

async function readInProcesses(): Promise<number> {
  const reading = (): Promise<unknown> =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', READS], {
      env: { ...process.env, CONTROL: url },
    });
  await Promise.all([reading(), reading()]);
  return entries();
}

async function entries(): Promise<number> {
  const { rows } = await owner.query(
    `select from portcullis_control.audit where action = 'read-personal-data' and principal = 'ann'`,
  );
  return rows.length;
}

test('page after page is one entry an hour, over all processes, by the control database’s clock', async () => {
  expect(await readInProcesses()).toBe(1);
  expect(await readInProcesses()).toBe(1);
  await owner.query(`update portcullis_control.personal_read set at = at - interval '1 hour'`);
  expect(await readInProcesses()).toBe(2);
});

test('another reader, other rows and other pages are another entry; what was not recorded is asked for again', async () => {
  const before = await entries();
  const read = (name: string, what: string, kind: string): Promise<void> =>
    recordPersonalReadOnce(owner, { name }, what, { kind });
  await read('ann', 'run 2', 'claim');
  await read('ann', 'run 2', 'release');
  await read('bob', 'run 2', 'claim');
  await read('ann', 'run 2', 'claim');
  expect(await entries()).toBe(before + 2);
  // The entry and the note of it commit together.
  const blocker = await owner.connect();
  await blocker.query('begin');
  await blocker.query('lock table portcullis_control.audit in exclusive mode');
  await expect(read('ann', 'run 3', 'claim')).rejects.toMatchObject({ code: '55P03' });
  await blocker.query('rollback');
  blocker.release();
  await read('ann', 'run 3', 'claim');
  expect(await entries()).toBe(before + 3);
});
