import { describe, expect, test } from '@jest/globals';
import type { RequestFacts } from '../../../src/jobs/domain-claim/facts.js';
import { standingFault, tokenFault } from '../../../src/jobs/domain-claim/request-standing.js';
import { at, DAY_MS, MINUTE_MS, request, TOKEN } from './samples.js';

const owner = { name: 'example.com', organisationId: 'org-a' };
const nothing = Object.fromEntries(Object.keys(request).map((column) => [column, null])) as RequestFacts;

test('a request that is in order stands', () => {
  expect(standingFault(request, owner)).toBeUndefined();
});

describe('a token cannot be looked for', () => {
  test.each<[string, string, Partial<RequestFacts>]>([
    ['where there is no request row', 'no-request', nothing],
    [
      'that was issued to another organisation',
      'request-of-another-organisation',
      { request_organisation_id: 'org-b' },
    ],
    [
      'that was issued for another domain',
      'request-for-another-domain',
      { request_domain_name: 'example.org' },
    ],
    ['that was issued for the parent', 'request-for-another-domain', { request_domain_name: 'com' }],
    ['that was issued for a child', 'request-for-another-domain', { request_domain_name: 'a.example.com' }],
    [
      'that was issued for no domain at all',
      'request-for-another-domain',
      { request_domain_name: '*.example.com' },
    ],
    ['that is too short', 'token-malformed', { token: TOKEN.slice(1) }],
    ['that is empty', 'token-malformed', { token: '' }],
    ['that was issued before its request', 'token-before-request', { requested_at: at(-DAY_MS) }],
    [
      'that was issued at the very time of its request',
      'token-before-request',
      { requested_at: request.token_issued_at },
    ],
    ['whose time nobody knows', 'token-before-request', { token_issued_at: null }],
    ['whose request’s time nobody knows', 'token-before-request', { requested_at: 'long ago' }],
  ])('%s', (_, reason, spoilt) => {
    expect(tokenFault({ ...request, ...spoilt }, owner)).toBe(reason);
    expect(standingFault({ ...request, ...spoilt }, owner)).toBe(reason);
  });
});

describe('nothing new may rest on a request', () => {
  test.each<[string, string, Partial<RequestFacts>]>([
    ['where requested_by is null', 'no-requester', { requested_by: null, admin_since: null }],
    ['by somebody who was never an admin', 'requester-not-admin', { admin_since: null }],
    ['by a removed admin', 'admin-removed', { admin_removed_at: at(-MINUTE_MS) }],
    ['by a removed admin, though after the request', 'admin-removed', { admin_removed_at: at(-DAY_MS) }],
    [
      'by an admin who became one only after it',
      'requester-became-admin-later',
      { admin_since: at(-DAY_MS) },
    ],
    [
      'by an admin whose account is deactivated',
      'requester-gone',
      { requester_deactivated_at: at(-MINUTE_MS) },
    ],
    ['by an admin whose account is deleted', 'requester-gone', { requester_deleted_at: at(-MINUTE_MS) }],
    ['that is withdrawn', 'request-withdrawn', { withdrawn_at: at(-MINUTE_MS) }],
    ['of a suspended organisation', 'organisation-suspended', { organisation_suspended_at: at(-MINUTE_MS) }],
  ])('%s; its token can still be looked for', (_, reason, spoilt) => {
    expect(standingFault({ ...request, ...spoilt }, owner)).toBe(reason);
    expect(tokenFault({ ...request, ...spoilt }, owner)).toBeUndefined();
  });
});

test('a request stands for its domain however it was written', () => {
  expect(standingFault({ ...request, request_domain_name: 'EXAMPLE.com.' }, owner)).toBeUndefined();
  const idn = { ...request, request_domain_name: 'Bücher.de' };
  expect(standingFault(idn, { ...owner, name: 'xn--bcher-kva.de' })).toBeUndefined();
});
