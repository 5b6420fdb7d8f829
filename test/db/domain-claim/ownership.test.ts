import { beforeEach, describe, expect, test } from '@jest/globals';
import {
  REGION,
  DAY_MS,
  world,
  database,
  at,
  verified,
  gist,
  insert,
  organisation,
  account,
  domain,
  publish,
  plan,
  apply,
  states,
} from './world.js';

describe('nobody’s last working admin login', () => {
  beforeEach(async () => {
    await organisation('acme');
    await insert('organisation', { id: 'club', name: 'club', home_region: REGION });
    await domain('d1', 'acme', verified());
    await account('ada');
    await insert('admin', { organisation_id: 'club', account_id: 'ada', since: at(-9 * DAY_MS) });
  });

  test('is claimed away from another organisation', async () => {
    expect(await plan(['acme'])).toEqual([]);
  });

  test('counts no longer when the admin was removed', async () => {
    await database.owner.query(`update directory.admin set removed_at = now() where account_id = 'ada'`);
    expect(gist(await plan(['acme']))).toEqual(['claim ada']);
  });

  test.each([
    ['an admin whose login works elsewhere', { email: 'eve@elsewhere.com' }, true],
    ['an admin whom the organisation itself manages', { state: 'MANAGED', organisation_id: 'club' }, true],
    ['an admin who is excluded from claims', { state: 'EXCLUDED' }, true],
    ['an admin whom the same run could take', {}, false],
    ['an admin who is deactivated', { email: 'eve@elsewhere.com', deactivated_at: new Date(0) }, false],
    ['an admin who is deleted', { email: 'eve@elsewhere.com', deleted_at: new Date(0) }, false],
    [
      'an admin whose e-mail was never verified',
      { email: 'eve@elsewhere.com', email_verified: false },
      false,
    ],
    ['an admin who is a bot', { email: 'eve@elsewhere.com', kind: 'bot' }, false],
    ['an admin whom a third organisation manages', { state: 'MANAGED', organisation_id: 'acme' }, false],
  ])('with %s beside it', async (_, eve, leaves) => {
    await account('eve', eve);
    await insert('admin', { organisation_id: 'club', account_id: 'eve', since: at(-9 * DAY_MS) });
    expect(gist(await plan(['acme']))).toEqual(leaves ? ['claim ada'] : []);
  });

  test('does not protect an admin from the admin’s own organisation', async () => {
    await database.owner.query(
      `update directory.admin set organisation_id = 'acme' where account_id = 'ada'`,
    );
    expect(gist(await plan(['acme']))).toEqual(['claim ada']);
  });
});

describe('a name that two organisations want', () => {
  test('and both prove at once is contested for both, and verified for neither', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme');
    await domain('d2', 'beta');
    publish('acme.com', 'd1', 'd2');
    const changes = await plan(['acme', 'beta']);
    expect(gist(changes)).toEqual(['contest d1', 'contest d2']);
    expect(world.asked).toHaveLength(1);
    expect(await apply(changes)).toEqual([]);
    expect(await plan(['acme', 'beta'])).toEqual([]);
  });

  test('is contested even where the other is in another region or not admitted', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme');
    await domain('d2', 'beta', { home_region: 'us-east-1' });
    publish('acme.com', 'd1', 'd2');
    expect(gist(await plan(['acme']))).toEqual(['contest d1']);
  });

  test('goes to the one that proves it, where the other does not', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme');
    await domain('d2', 'beta');
    publish('acme.com', 'd2');
    expect(gist(await plan(['acme', 'beta']))).toEqual(['note d1', 'verify d2']);
  });

  test('is taken from its owner’s claims at once, and from its owner by the next plan', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme', verified());
    await domain('d2', 'beta');
    await account('ada');
    publish('acme.com', 'd1', 'd2');
    const first = await plan(['acme', 'beta']);
    expect(gist(first)).toEqual(['contest d2']);
    expect(await apply(first)).toEqual([]);
    const second = await plan(['acme', 'beta']);
    expect(gist(second)).toEqual(['contest d1']);
    expect(await apply(second)).toEqual([]);
    expect(await states('domain')).toEqual({ d1: 'CONTESTED', d2: 'CONTESTED' });
    expect(await plan(['acme', 'beta'])).toEqual([]);
  });

  test('carries no claims for an owner that the flag does not admit to the check', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme', { ...verified(), home_region: 'us-east-1' });
    await domain('d2', 'beta', { state: 'CONTESTED' });
    await account('ada');
    expect(await plan(['acme'])).toEqual([]);
  });
});
