import { describe, expect, test } from '@jest/globals';
import { requestApproval } from '../../src/access/approvals.js';
import { mayDo, MAY_DO, ROLES, type Role, type Standing } from '../../src/access/roles.js';
import { ROUTES } from '../../src/server/app.js';
import { openIncident } from '../../src/incidents/open-incident.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { person, tokenOf } from '../support/people.js';
import { bodyFor, breakGlassIn, hearFlags, INCLUDED, post, seedRun, serving } from './serving.js';

const { owner } = await testDatabase();
const flags = await hearFlags(owner);
const served = await serving(owner, { flags: flags.desk });
const routes = ROUTES.filter(({ action }) => action !== 'anyone');

/** What a token of that role is answered: whether it is FORBIDDEN. */
async function callerOf(name: string, role: Role, regions?: readonly string[]) {
  const { token } = await tokenOf(owner, { name, role, regions });
  return async (path: string, init: RequestInit): Promise<boolean> => {
    const headers = new Headers(init.headers);
    headers.set('authorization', `Bearer ${token}`);
    const response = await fetch(served.url + path, { ...init, headers });
    const text = await response.text();
    return response.status === 403 && text.includes('"FORBIDDEN"');
  };
}

/** Ids of things that are in eu-west-1. */
async function idFor(path: string): Promise<string> {
  if (path.includes('/runs/')) return seedRun(owner);
  if (path.includes('/incidents/')) {
    const { id } = await inTransaction(owner, (client) =>
      openIncident(client, {
        ...{ job: 'domain-claim', cause: 'manual', title: 'test', evidence: {}, by: 'ann' },
        regions: [
          { region: 'eu-west-1', firstRun: INCLUDED, since: '2020-01-01T00:00:00Z', containedAt: null },
        ],
      }),
    );
    return id;
  }
  if (path.includes('/break-glass/')) return breakGlassIn(owner);
  if (path.includes('/approvals/')) {
    const ask = { action: 'rearm', subject: 'x', region: 'eu-west-1', reason: 'over', evidence: {} };
    return (await requestApproval(owner, ask, person('ann', 'operator'))).id;
  }
  return 'abcd1234';
}

const addressOf = async (path: string): Promise<string> =>
  path
    .replace(':job', 'domain-claim')
    .replace(':region', 'eu-west-1')
    .replace(':name', 'nobody')
    .replace(':subject', 'account:a-1')
    .replace(':id', path.includes(':id') ? await idFor(path) : '');

describe.each(ROLES)('a token of the role %s', (role) => {
  const may = (action: (typeof routes)[number]['action']): boolean =>
    action !== 'anyone' && (MAY_DO[action] as readonly Standing[]).includes(role);

  test('is answered as the table says, also where the call is malformed', async () => {
    const call = await callerOf(`one-${role}`, role);
    for (const { method, path, action, operationId } of routes) {
      const asked = await addressOf(path);
      for (const init of method === 'post'
        ? [post(bodyFor(asked)), post('{"surely": "not"}'), post({})]
        : [{}]) {
        const forbidden = await call(asked, init);
        // To reject takes more than to cancel: of a request that does not approve itself.
        if (operationId === 'reject') continue;
        expect([operationId, forbidden]).toEqual([operationId, !may(action)]);
      }
    }
  });

  test('that is bound to another region reaches nothing there, and is told so before anything else', async () => {
    const bound = await callerOf(`bound-${role}`, role, ['us-east-1']);
    const principal = { ...person('x', role), regions: ['us-east-1'] };
    // Whether these reach another region stands in what is sent, or in what each alert names.
    const sent = new Set([
      'killJob',
      'requestRearm',
      'promoteRollout',
      'admitInitially',
      'openIncident',
      'receiveAlerts',
      'reportOutcomes',
      'clearAlert',
      'approveWave',
    ]);
    for (const { method, path, action, operationId } of routes) {
      if (method !== 'post' || action === 'anyone' || sent.has(operationId) || operationId === 'reject')
        continue;
      const asked = await addressOf(path);
      const allowed = mayDo(principal, action, 'eu-west-1').allowed;
      for (const init of [post(bodyFor(asked)), post('{"surely": "not"}'), post({})]) {
        expect([operationId, await bound(asked, init)]).toEqual([operationId, !allowed]);
      }
    }
  });
});
