import { expect, test } from '@jest/globals';
import { checkNow } from '../../../../src/jobs/domain-claim/check-now.js';
import { inTransaction } from '../../../../src/postgres/pool.js';
import { ownerSql } from '../../../../src/worker/job-sample.js';
import { database, domain, organisation, verified, at, DAY_MS } from '../world.js';

const { owner } = database;

const check = (name: string, ...regions: string[]) =>
  inTransaction(owner, (client) => checkNow.run({ sql: ownerSql(client), regions }, { domain: name }));

async function dueIn(): Promise<Record<string, boolean>> {
  const { rows } = await owner.query<{ id: string; due: boolean }>(
    'select id, next_check_at <= clock_timestamp() as due from directory.domain order by id',
  );
  return Object.fromEntries(rows.map(({ id, due }) => [id, due]));
}

test('a domain that the job checks is due at once, and no other is', async () => {
  await organisation('acme');
  await organisation('other');
  const later = new Date(Date.now() + DAY_MS).toISOString();
  await domain('verified', 'acme', { ...verified(), next_check_at: later });
  await domain('pending', 'other', { next_check_at: later });
  await domain('lapsed', 'acme', {
    name: 'lapsed.com',
    state: 'LAPSED',
    next_check_at: later,
    at_risk_since: at(0),
  });
  await domain('apart', 'acme', { name: 'apart.com', next_check_at: later });
  const due = await check('acme.com', 'eu-west-1', 'us-east-1');
  expect(due.toSorted((one, other) => ((one['id'] ?? '') < (other['id'] ?? '') ? -1 : 1))).toEqual([
    { id: 'pending', domain: 'acme.com', organisation: 'other', state: 'PENDING', region: 'eu-west-1' },
    { id: 'verified', domain: 'acme.com', organisation: 'acme', state: 'VERIFIED', region: 'eu-west-1' },
  ]);
  expect(await dueIn()).toEqual({ apart: false, lapsed: false, pending: true, verified: true });
  expect(await check('lapsed.com', 'eu-west-1')).toEqual([]);
  expect(await check('acme.com', 'us-east-1')).toEqual([]);
});

test('a customer of a help desk is an account of its own kind', async () => {
  const { account } = await import('../world.js');
  await account('customer', { kind: 'portal-customer' });
  await expect(account('other', { kind: 'visitor' })).rejects.toThrow('account_kind_check');
});
