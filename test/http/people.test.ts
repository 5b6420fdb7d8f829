import { describe, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { post, serving, answerOf } from './serving.js';

const { owner } = await testDatabase();
const served = await serving(owner);
const admin = await served.as('ada', 'admin');
const login = async (body: unknown) => answerOf(await fetch(`${served.url}/login`, post(body)));

describe('people over HTTP', () => {
  test('are added, redeem their code at /login without a token, and are removed with their tokens', async () => {
    const added = await admin('/api/v1/people', post({ name: 'bob', role: 'approver' }));
    expect(added).toMatchObject({ status: 200, body: { name: 'bob', code: expect.any(String) } });
    const again = await admin('/api/v1/people', post({ name: 'bob', role: 'approver' }));
    expect(again).toMatchObject({ status: 409, body: { code: 'PERSON_KNOWN' } });
    expect(await login({ code: 'aaaaa-bbbbb' })).toMatchObject({
      status: 403,
      body: { code: 'CODE_REFUSED' },
    });
    const redeemed = await login({ code: added.body['code'], name: 'bob-laptop' });
    expect(redeemed).toMatchObject({ status: 200, body: { name: 'bob-laptop', person: 'bob' } });
    expect(redeemed.headers.get('cache-control')).toBe('no-store');
    const bearing = { headers: { authorization: `Bearer ${String(redeemed.body['token'])}` } };
    expect((await served.json('/api/v1/people', bearing)).body['items']).toContainEqual(
      expect.objectContaining({ name: 'bob', state: 'known', introducedBy: ['ada'], tokens: ['bob-laptop'] }),
    );
    const removed = await admin('/api/v1/people/bob/remove', post({}));
    expect(removed.body).toEqual({ name: 'bob', tokens: ['bob-laptop'] });
    expect((await served.json('/api/v1/people', bearing)).status).toBe(401);
    expect((await admin('/api/v1/people/nobody/remove', post({}))).body['code']).toBe('PERSON_UNKNOWN');
  });

  test('have tokens that say whose they are, and who knows them', async () => {
    const issue = (body: object) => admin('/api/v1/tokens', post(body));
    expect((await issue({ name: 'ci', role: 'operator', owner: 'machine' })).status).toBe(200);
    expect((await issue({ name: 'x', role: 'operator' })).body['code']).toBe('REQUEST_INVALID');
    expect((await issue({ name: 'x', role: 'approver', owner: 'machine' })).body['code']).toBe(
      'REQUEST_INVALID',
    );
    expect((await issue({ name: 'x', role: 'viewer', owner: { person: 'nobody' } })).body['code']).toBe(
      'PERSON_UNKNOWN',
    );
    await served.as('dora', 'viewer');
    expect((await issue({ name: 'dora-2', role: 'viewer', owner: { person: 'dora' } })).status).toBe(200);
    const { body } = await admin('/api/v1/tokens');
    expect(body['items']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'ci', person: null, knownTo: ['ada'] }),
        expect.objectContaining({ name: 'dora', person: 'dora', knownTo: ['dora'] }),
        expect.objectContaining({ name: 'dora-2', person: 'dora', knownTo: ['ada', 'dora'] }),
      ]),
    );
    expect((await admin('/api/v1/tokens/ci/revoke', post({}))).body).toEqual({ name: 'ci' });
    expect((await admin('/api/v1/tokens/ci/revoke', post({}))).body['code']).toBe('NOTHING_REACHED');
  });

  test('are counted where a request is approved, and a machine is told that it does not approve', async () => {
    const bob = await served.as('bert', 'approver');
    await admin('/api/v1/tokens', post({ name: 'robot', role: 'admin', owner: 'machine' }));
    const { rows } = await owner.query<{ id: string }>(
      `insert into portcullis_control.approval (id, action, subject, reason, request, requested_by, requested_hands, expires_at)
       select 'abcdefgh', 'rearm', 'sweep', 'over', '{}', 'robot', hands, now() + interval '1 hour'
       from portcullis_control.api_token where name = 'robot' returning id`,
    );
    const path = `/api/v1/approvals/${rows[0]?.id ?? ''}/approve`;
    expect(await admin(path, post({}))).toMatchObject({ status: 403, body: { code: 'APPROVAL_SELF' } });
    // Another person is let through to what the request asks for, which is not there.
    expect((await bob(path, post({}))).status).not.toBe(403);
  });
});
