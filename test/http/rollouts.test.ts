import { describe, expect, test } from '@jest/globals';
import { setAdmittedFlag } from '../support/admissions.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { advanceRollout } from '../../src/rollout/advance.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { rolloutsUnderWay } from '../../src/rollout/rollout-store.js';
import { testDatabase } from '../support/database.js';
import { hearFlags, poster, serving } from './serving.js';

const { owner } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });

const POLICY = `job: nightly
schedule: '*/5 * * * *'
regions: [eu, us]
rollout:
  waves:
    - { name: first, regions: [eu], steps: [10%, 100%], bake: { runs: 1, changes: 0, time: 0s }, approvals: 1 }
    - { name: rest, regions: [us], steps: [100%], bake: { runs: 1, changes: 0, time: 0s } }
`;
await applyPolicies(owner, [parsePolicyFile(POLICY, 'test.yaml')], 'test');
for (const region of ['eu', 'us']) {
  const variants = [{ version: '1.0.0_11111111', permille: 1000 }];
  await setAdmittedFlag(owner, {
    job: 'nightly',
    region,
    enabled: true,
    variants,
    reason: 'test',
    changedBy: 'test',
  });
}
await announceVersions(owner, 'w1', [{ job: 'nightly', version: '1.0.0_11111111', regions: ['eu'] }]);
await announceVersions(owner, 'w2', [{ job: 'nightly', version: '1.1.0_22222222', regions: ['eu', 'us'] }]);

const STATUS = '/api/v1/rollouts/nightly';
const ann = poster(await served.as('ann', 'operator'), STATUS);
const bob = poster(await served.as('bob', 'approver'), STATUS);
const viewer = await served.as('eve', 'viewer');
const eve = poster(viewer, STATUS);

const decide = (call: (path: string, body: object) => ReturnType<typeof ann>, id: string) =>
  call(`${id}/approve`, {});
const approvals = {
  ann: poster(await served.as('ann-approving', 'operator'), '/api/v1/approvals'),
  bob: poster(await served.as('bob-approving', 'approver'), '/api/v1/approvals'),
};

async function look(): Promise<void> {
  const [id = ''] = await rolloutsUnderWay(owner, 'nightly');
  await advanceRollout(
    {
      control: owner,
      regionOf: () => owner,
      verdictsOf: () => Promise.resolve([]),
      trip: () => Promise.resolve(),
    },
    id,
  );
}

describe('a rollout over HTTP', () => {
  test('is started, approved, steered and shown, each by who may', async () => {
    expect(await viewer(STATUS)).toMatchObject({ status: 404, body: { code: 'ROLLOUT_NONE' } });
    expect(await ann('start', { version: '2', reason: 'x' })).toMatchObject({
      status: 404,
      body: { code: 'VERSION_UNKNOWN', hint: expect.stringContaining('1.1.0_22222222') as unknown },
    });
    expect(await ann('start', { version: '1.0.0', reason: 'x' })).toMatchObject({
      body: { code: 'ROLLOUT_REFUSED' },
    });
    expect(await eve('start', { version: '1.1.0', reason: 'x' })).toMatchObject({ status: 403 });
    expect(await ann('start', { version: '1.1.0', reason: 'new rules' })).toMatchObject({
      status: 200,
      body: { version: '1.1.0_22222222', status: 'running', startedBy: 'ann', next: { action: 'hold' } },
    });
    expect(await ann('start', { version: '1.1.0', reason: 'again' })).toMatchObject({
      status: 409,
      body: { code: 'ROLLOUT_ACTIVE' },
    });
    expect(await bob('approve')).toMatchObject({ status: 409, body: { code: 'ROLLOUT_STATE' } });
    await look();
    expect(await ann('approve')).toMatchObject({ status: 403 });
    expect(await bob('approve')).toMatchObject({
      status: 200,
      body: { action: 'begin-wave', decidedBy: 'bob' },
    });
    await look();
    expect((await viewer(STATUS)).body).toMatchObject({
      next: { action: 'wait', reason: expect.stringContaining('eu: 0 of 1 runs, 0 of 0 changes') as unknown },
      policyChanged: false,
      waves: [
        {
          name: 'first',
          approval: { state: 'approved', decidedBy: 'bob' },
          regions: [{ region: 'eu', state: 'baking', permille: 100, step: 1, steps: 2, withoutWorker: [] }],
        },
        {
          name: 'rest',
          approval: null,
          regions: [{ region: 'us', state: 'waiting', permille: 0, withoutWorker: ['1.0.0_11111111'] }],
        },
      ],
    });
    await applyPolicies(owner, [parsePolicyFile(POLICY.replace('10%', '20%'), 'test.yaml')], 'test');
    expect((await viewer(STATUS)).body).toMatchObject({ policyChanged: true });
    expect(await ann('pause', { reason: 'lunch' })).toMatchObject({ body: { status: 'paused' } });
    expect(await ann('pause', { reason: 'lunch' })).toMatchObject({
      status: 409,
      body: { code: 'ROLLOUT_STATE' },
    });
    expect(await ann('resume', { reason: 'back' })).toMatchObject({ body: { status: 'running' } });
    expect(await bob('promote', { reason: 'hurry' })).toMatchObject({ status: 403 });
    const asked = await ann('promote', { reason: 'hurry' });
    expect(asked).toMatchObject({ status: 200, body: { action: 'skip-bake', state: 'pending' } });
    const id = String(asked.body['id']);
    expect(await ann('promote', { reason: 'hurry' })).toMatchObject({
      status: 409,
      body: { code: 'ROLLOUT_STATE', detail: expect.stringContaining(id) as unknown },
    });
    expect(await decide(approvals.ann, id)).toMatchObject({ status: 403 });
    expect(await decide(approvals.bob, id)).toMatchObject({ status: 200, body: { state: 'approved' } });
    expect(await viewer(STATUS)).toMatchObject({
      body: { skip: { request: id, decidedBy: 'bob-approving' } },
    });
    expect(await bob('abort', { reason: 'enough' })).toMatchObject({
      body: { status: 'aborted', endedBy: 'bob', endReason: 'enough', next: null },
    });
    expect(await ann('abort', { reason: 'enough' })).toMatchObject({
      status: 404,
      body: { code: 'ROLLOUT_NONE' },
    });
  });

  test('is asked for in a body that fits', async () => {
    expect(await ann('start', { reason: 'x' })).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
    expect(await ann('pause', {})).toMatchObject({ status: 400 });
  });
});
