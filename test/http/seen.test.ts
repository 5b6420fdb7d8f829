import { describe, expect, test } from '@jest/globals';
import { killGate } from '../../src/containment/kill-gate.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { OPERATIONS } from '../../src/operations/list.js';
import { testDatabase } from '../support/database.js';
import { rolloutFor } from './rolling-out.js';
import { bodyFor, hearFlags, poster, serving } from './serving.js';

/** An act that names the revision that its caller saw is refused where another one is in force. */

const { owner } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });
const admin = poster(served.json);
const { json } = served;

async function rollout(): Promise<{ revision: number; status: string }> {
  const { body } = await json('/api/v1/rollouts/domain-claim');
  return { revision: Number(body['revision']), status: String(body['status']) };
}

describe('a rollout', () => {
  test.each(['pause', 'resume', 'abort', 'promote', 'approve'])(
    'is left alone by %s where it has changed since it was seen',
    async (verb) => {
      const path = `rollouts/domain-claim/${verb}`;
      await rolloutFor(owner, path);
      const seen = await rollout();
      for (const ifRevision of [seen.revision - 1, seen.revision + 1]) {
        const refused = await admin(path, { ...(bodyFor(`/${path}`) as object), ifRevision });
        expect([refused.status, refused.body['code'], refused.body['details']]).toEqual([
          409,
          'REVISION_STALE',
          { revision: seen.revision, given: ifRevision },
        ]);
      }
      expect(await rollout()).toEqual(seen);
      const done = await admin(path, { ...(bodyFor(`/${path}`) as object), ifRevision: seen.revision });
      expect([done.body['code'], done.status]).toEqual([undefined, 200]);
    },
  );

  test('has another revision after each change, also once another one has begun', async () => {
    const revisions = [];
    for (let time = 0; time < 2; time += 1) {
      await rolloutFor(owner, 'rollouts/domain-claim/pause');
      revisions.push((await rollout()).revision);
      await admin('rollouts/domain-claim/pause', { reason: 'wait' });
      revisions.push((await rollout()).revision);
    }
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  });

  test('takes an approval without a body, and none that it cannot read', async () => {
    const path = '/api/v1/rollouts/domain-claim/approve';
    await rolloutFor(owner, path);
    const unread = await served.call(path, { method: 'POST', body: 'ifRevision=1' });
    expect(unread.status).toBe(400);
    expect((await served.call(path, { method: 'POST' })).status).toBe(200);
  });
});

test('a re-arm is not asked for where the gate was killed again since it was seen', async () => {
  const gate = { job: 'domain-claim', region: 'eu-west-1' };
  const { epoch } = await killGate(owner, { ...gate, reason: 'wrong', by: 'ann' });
  const again = await killGate(owner, { ...gate, reason: 'worse', by: 'ann' });
  const ask = (ifRevision: number) =>
    admin('jobs/domain-claim/rearm', { region: gate.region, reason: 'mended', ifRevision });
  expect((await ask(epoch)).body).toMatchObject({
    code: 'REVISION_STALE',
    details: { revision: again.epoch, given: epoch },
  });
  expect((await json('/api/v1/approvals?state=pending')).body).not.toMatchObject({
    items: expect.arrayContaining([expect.objectContaining({ action: 'rearm' })]) as unknown,
  });
  expect((await ask(again.epoch)).status).toBe(200);
  const all = await admin('jobs/domain-claim/rearm', { all: true, reason: 'x', ifRevision: 1 });
  expect(all.body['code']).toBe('REQUEST_INVALID');
});

test('policies are not applied over others than those that were compared with', async () => {
  const files = (minute: string) => ({
    files: [
      { file: 'sweep.yaml', text: `job: sweep\nschedule: '${minute} * * * *'\nregions: [eu-west-1]\n` },
    ],
  });
  const diff = await admin('policies/diff', files('5'));
  const ifRevision = diff.body['revision'];
  const other = `job: sweep\nschedule: '7 * * * *'\nregions: [eu-west-1]\n`;
  await applyPolicies(owner, [parsePolicyFile(other, 'other.yaml')], 'somebody');
  const refused = await admin('policies', { ...files('5'), ifRevision });
  expect([refused.status, refused.body['code']]).toEqual([409, 'REVISION_STALE']);
  expect((await json('/api/v1/policies/sweep')).body['schedule']).toBe('7 * * * *');
  const seen = (await admin('policies/diff', files('5'))).body['revision'];
  expect((await admin('policies', { ...files('5'), ifRevision: seen })).body).toMatchObject({
    changed: true,
  });
});

test('a kill asks nobody what they saw', () => {
  for (const name of ['killJob', 'stopEverything', 'receiveAlerts'] as const) {
    expect([name, Object.keys(OPERATIONS[name].body?.shape ?? {})]).not.toEqual([
      name,
      expect.arrayContaining(['ifRevision']),
    ]);
  }
});
