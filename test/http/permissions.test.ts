import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { requestApproval } from '../../src/access/approvals.js';
import { mayDo, MAY_DO, ROLES, type Role, type Standing } from '../../src/access/roles.js';
import { ROUTES } from '../../src/server/app.js';
import { openIncident } from '../../src/incidents/open-incident.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { person, tokenOf } from '../support/people.js';
import { rolloutFor } from './rolling-out.js';
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
    const ask = {
      action: 'rearm',
      subject: 'x',
      region: 'eu-west-1',
      reason: 'over',
      evidence: { nonce: randomUUID() },
    };
    return (await requestApproval(owner, ask, person('ann', 'operator'))).id;
  }
  if (path.includes('/alerts/')) {
    await owner.query(
      `insert into portcullis_control.alert (fingerprint, starts_at, name, job, regions, labels, annotations)
       values ('abcd1234', now(), 'test', 'domain-claim', '{eu-west-1}', '{}', '{}') on conflict do nothing`,
    );
  }
  return 'abcd1234';
}

/** What they reach stands in each item that is sent, and nowhere else. */
const NAMES_NONE = new Set(['receiveAlerts', 'reportOutcomes']);

/** The same body, whose region is eu-west-1 where it names one. */
const inRegion = (body: unknown): object =>
  'reason' in (body as object) && !('enabled' in (body as object))
    ? { ...(body as object), region: 'eu-west-1' }
    : (body as object);

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
    for (const { method, path, action, operationId } of routes) {
      if (method !== 'post' || action === 'anyone' || operationId === 'reject') continue;
      if (path.includes('/rollouts/')) await rolloutFor(owner, path, ['eu-west-1']);
      const asked = await addressOf(path);
      const allowed = mayDo(principal, action, 'eu-west-1').allowed;
      const inEurope = inRegion(bodyFor(asked));
      const malformed = { ...inEurope, surely: 'not', reason: 7 };
      for (const body of NAMES_NONE.has(operationId)
        ? [inEurope, malformed]
        : [inEurope, malformed, '{"surely": "not"}', {}, [], { region: 7, regions: 'all' }]) {
        expect([operationId, body, await bound(asked, post(body))]).toEqual([operationId, body, !allowed]);
      }
    }
  });
});
