import { expect, test } from '@jest/globals';
import { recordAudit } from '../../src/audit/record.js';
import { ControlHistory } from '../../src/gate/control-history.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';

const { owner } = await testDatabase();
const history = new ControlHistory(owner);

/** A line of the audit log. */
const write = (subject: string): Promise<unknown> =>
  inTransaction(owner, (client) =>
    recordAudit(client, { principal: 'test', action: 'test', subject, evidence: {} }),
  );

/** Takes the newest line away, as a backup of before does not have it. */
async function forget(): Promise<void> {
  await owner.query('alter table portcullis_control.audit disable trigger user');
  await owner.query(
    'delete from portcullis_control.audit where seq = (select max(seq) from portcullis_control.audit)',
  );
  await owner.query('alter table portcullis_control.audit enable trigger user');
}

test('a control database is another at the first look, and then the same, whatever it goes on to write', async () => {
  expect(await history.isOther()).toBe(true);
  expect(await history.isOther()).toBe(false);
  await write('one');
  await owner.query(`select nextval('portcullis_control.flag_revision')`);
  await owner.query(`select nextval('portcullis_control.admission_revision')`);
  expect(await history.isOther()).toBe(false);
  await write('two');
  expect(await history.isOther()).toBe(false);
});

test.each(['flag_revision', 'admission_revision'])('it is another once %s went back', async (sequence) => {
  for (let n = 0; n < 3; n += 1) await owner.query(`select nextval('portcullis_control.${sequence}')`);
  await history.isOther();
  await owner.query(
    `select setval('portcullis_control.${sequence}', last_value - 1) from portcullis_control.${sequence}`,
  );
  expect(await history.isOther()).toBe(true);
  expect(await history.isOther()).toBe(false);
});

test('it is another without a line that it had, also where it has as many, or more, of its own', async () => {
  await write('kept');
  await write('lost');
  await history.isOther();
  await forget();
  expect(await history.isOther()).toBe(true);
  expect(await history.isOther()).toBe(false);
  await write('lost too');
  await history.isOther();
  await forget();
  await write('instead');
  expect(await history.isOther()).toBe(true);
  await forget();
  await write('again');
  await write('and more');
  expect(await history.isOther()).toBe(true);
  expect(await history.isOther()).toBe(false);
});
