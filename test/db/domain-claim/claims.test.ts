import { describe, expect, test } from '@jest/globals';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import { challengeName, challengeUrl } from '../../../src/jobs/domain-claim/proof.js';
import { loadJob } from '../../../src/worker/registry.js';
import {
  world,
  database,
  at,
  tokenOf,
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

test('the declaration fits the database', async () => {
  const loaded = await loadJob(database.owner, {
    definition: domainClaim,
    folder: new URL('../../../src/jobs/domain-claim/', import.meta.url),
  });
  expect([...loaded.kinds.keys()]).toContain('claim');
});

describe('from a request to managed accounts', () => {
  test('a proof verifies, the next plan claims, and a rerun proposes nothing', async () => {
    await organisation('acme');
    await domain('d1', 'acme');
    await account('ada');
    await account('bob', { email: 'Bob@ACME.com' });
    publish('acme.com', 'd1');

    const first = await plan(['acme']);
    expect(gist(first)).toEqual(['verify d1']);
    expect(first[0]?.evidence).toMatchObject({
      reason: 'proof-seen',
      requestId: 'request-d1',
      dns: { '192.0.2.1:53': 'PRESENT', '192.0.2.2:53': 'PRESENT', '192.0.2.3:53': 'PRESENT' },
      checkStartedAt: '2026-03-10T12:00:00.000Z',
    });
    expect(await apply(first)).toEqual([]);

    world.nowMs += 300_000;
    const second = await plan(['acme']);
    expect(gist(second)).toEqual(['claim ada', 'claim bob']);
    expect(second[0]).toMatchObject({
      resource: 'account',
      unit: 'acme',
      evidence: {
        domainId: 'd1',
        requestId: 'request-d1',
        requestedBy: 'admin-of-acme',
        proof: 'dns',
        consent: 'all',
      },
    });
    expect(JSON.stringify([first, second])).not.toContain(tokenOf('d1'));
    expect(await apply(second)).toEqual([]);
    const { rows } = await database.owner.query(`select * from directory.account where id = 'ada'`);
    expect(rows[0]).toMatchObject({
      state: 'MANAGED',
      organisation_id: 'acme',
      claimed_domain_id: 'd1',
      claimed_at: new Date(world.nowMs),
    });

    expect(await plan(['acme'])).toEqual([]);
  });

  test('the same plan twice is the same plan: planning writes nothing', async () => {
    await organisation('acme');
    await domain('d1', 'acme', verified());
    await account('ada');
    const first = await plan(['acme']);
    expect(await plan(['acme'])).toEqual(first);
    expect(gist(first)).toEqual(['claim ada']);
  });

  test('a proof over HTTPS verifies too', async () => {
    await organisation('acme');
    await domain('d1', 'acme');
    world.pages.set(challengeUrl('acme.com'), {
      kind: 'body',
      status: 200,
      text: `token=${tokenOf('d1')}\n`,
    });
    const changes = await plan(['acme']);
    expect(gist(changes)).toEqual(['verify d1']);
    expect(changes[0]).toMatchObject({
      after: { proof: 'https' },
      evidence: { https: 'PRESENT', dns: { '192.0.2.1:53': 'NXDOMAIN' } },
    });
  });

  test('two plans of the same moment overlap: what the first applied is a conflict for the second', async () => {
    await organisation('acme');
    await domain('d1', 'acme', verified());
    await domain('d2', 'acme', { name: 'acme.org' });
    await account('ada');
    publish('acme.org', 'd2');
    const [one, two] = [await plan(['acme']), await plan(['acme'])];
    expect(await apply(one)).toEqual([]);
    expect((await apply(two)).toSorted()).toEqual(['ada', 'd2']);
  });

  test('an e-mail changed between read and claim is a conflict, and the account stays as it is', async () => {
    await organisation('acme');
    await domain('d1', 'acme', verified());
    await account('ada');
    const changes = await plan(['acme']);
    await database.owner.query(`update directory.account set email = 'ada@elsewhere.com' where id = 'ada'`);
    expect(await apply(changes)).toEqual(['ada']);
    expect(await states('account')).toMatchObject({ ada: 'UNMANAGED' });
  });

  test('a new request between check and verification is a conflict', async () => {
    await organisation('acme');
    await domain('d1', 'acme');
    publish('acme.com', 'd1');
    const changes = await plan(['acme']);
    await insert('request', {
      id: 'request-new',
      organisation_id: 'acme',
      domain_name: 'acme.com',
      requested_by: 'admin-of-acme',
      requested_at: at(-1_000),
      token: tokenOf('new'),
      token_issued_at: at(-500),
    });
    await database.owner.query(`update directory.domain set request_id = 'request-new'`);
    expect(await apply(changes)).toEqual(['d1']);
  });
});

describe('who and what is left alone', () => {
  test('organisations that the flag does not admit: no look-up, no change', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme', { name: 'acme.com' });
    await domain('d2', 'beta', { name: 'beta.com' });
    await domain('d3', 'beta', { ...verified(), name: 'beta.org' });
    await account('eve', { email: 'eve@beta.org' });
    publish('acme.com', 'd1');
    publish('beta.com', 'd2');
    expect(gist(await plan(['acme']))).toEqual(['verify d1']);
    expect(world.asked).toEqual([challengeName('acme.com')]);
    expect(await plan([])).toEqual([]);
  });

  test('another region’s accounts and domains', async () => {
    await organisation('acme');
    await domain('d1', 'acme', verified());
    await domain('d2', 'acme', { name: 'acme.org', home_region: 'us-east-1' });
    await account('ada', { home_region: 'us-east-1' });
    publish('acme.org', 'd2');
    expect(await plan(['acme'])).toEqual([]);
    expect(gist(await plan(['acme'], { region: 'us-east-1' }))).toEqual(['claim ada', 'verify d2']);
  });

  test('accounts that must never be claimed', async () => {
    await organisation('acme');
    await organisation('beta');
    await domain('d1', 'acme', verified());
    await account('fine');
    await account('released', { state: 'RELEASED' });
    await account('excluded', { state: 'EXCLUDED' });
    await account('conflict', { state: 'CONFLICT' });
    await account('theirs', { state: 'MANAGED', organisation_id: 'beta' });
    await account('half-theirs', { organisation_id: 'beta' });
    await account('bot', { kind: 'bot' });
    await account('service', { kind: 'service' });
    await account('unverified', { email_verified: false });
    await account('deactivated', { deactivated_at: at(-1) });
    await account('deleted', { deleted_at: at(-1) });
    await account('evil', { email: 'a@evil-acme.com' });
    await account('two-ats', { email: 'a@acme.com@evil.com' });
    await account('newline', { email: 'a@acme.com\n' });
    await account('display', { email: 'Ada <a@acme.com>' });
    await account('subdomain', { email: 'a@mail.acme.com' });
    expect(gist(await plan(['acme', 'beta']))).toEqual(['claim fine']);
  });

  test('accounts that were not selected, where consent is for selected ones', async () => {
    await organisation('acme', { consent: 'selected' });
    await organisation('beta');
    await domain('d1', 'acme', verified());
    await account('chosen', { selected_by: 'acme' });
    await account('not-chosen');
    await account('chosen-by-another', { selected_by: 'beta' });
    expect(gist(await plan(['acme']))).toEqual(['claim chosen']);
  });

  test.each([
    ['the organisation has not consented', `update directory.organisation set consent = 'none'`],
    ['the organisation is suspended', `update directory.organisation set suspended_at = now()`],
    ['there is no request', `update directory.domain set request_id = null`],
    ['nobody made the request', `update directory.request set requested_by = null`],
    ['the admin was removed', `update directory.admin set removed_at = now()`],
    [
      'the admin’s account is deactivated',
      `update directory.account set deactivated_at = now() where id like 'admin%'`,
    ],
    ['the request was withdrawn', `update directory.request set withdrawn_at = now()`],
    ['the request was for another domain', `update directory.request set domain_name = 'acme.org'`],
    [
      'the token came after the check',
      `update directory.request set token_issued_at = '2026-03-10T11:59:00Z'`,
    ],
    [
      'the evidence is over seven days old',
      `update directory.domain set check_started_at = '2026-03-03T11:59:59Z'`,
    ],
  ])('everybody, where %s', async (_, spoil) => {
    await organisation('acme');
    await domain('d1', 'acme', verified());
    await account('ada');
    expect(gist(await plan(['acme']))).toEqual(['claim ada']);
    await database.owner.query(spoil);
    expect(await plan(['acme'])).toEqual([]);
  });

  test('names that DNS must not be asked for', async () => {
    await organisation('acme');
    const names = [
      'localhost',
      'co.uk',
      'gmail.com',
      '127.0.0.1',
      '*.acme.com',
      '%65xample.com',
      'ab/c.com',
      'a..b',
      'ACME.com',
    ];
    for (const [index, name] of names.entries()) await domain(`d${index}`, 'acme', { name });
    const changes = await plan(['acme']);
    expect(world.asked).toEqual([]);
    expect(changes.map(({ kind, after }) => [kind, after?.['state']])).toEqual(
      names.map(() => ['note', 'PENDING']),
    );
    expect(await apply(changes)).toEqual([]);
    expect(await plan(['acme'])).toEqual([]);
  });
});
