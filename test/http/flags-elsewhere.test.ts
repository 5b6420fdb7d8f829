import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { findApproval, requestApproval } from '../../src/access/approvals.js';
import { foreignDesk } from '../../src/flags/flag-desk.js';
import { featureOf } from '../../src/flags/flag-row.js';
import { listFlags } from '../../src/flags/flag-store.js';
import { setAdmittedFlag } from '../support/admissions.js';
import { openWishes } from '../../src/containment/pending-kill.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { notificationsOf } from '../../src/notify/browse.js';
import { BEGIN_WAVE } from '../../src/rollout/wave-approval.js';
import { openPool } from '../../src/postgres/pool.js';
import { testDatabase } from '../support/database.js';
import { ToldSource } from '../support/flag-sources.js';
import { OWN, trip } from '../support/trip.js';
import { hearFlags, poster, serving } from './serving.js';
import { person } from '../support/people.js';

/** With flags of an Unleash server, whose truth is shown, and what cannot work is refused. */

const { owner } = await testDatabase();
// The embedded table has the policy's flags, on, and nobody acts on them.
await hearFlags(owner);
const JOB = 'domain-claim';
const REGION = 'eu-west-1';
const AT = 'http://unleash.internal/api';
const variants = [{ version: '1.0.0', permille: 1000 }];
for (const { region } of await listFlags(owner))
  await setAdmittedFlag(owner, {
    job: JOB,
    region,
    enabled: true,
    variants,
    reason: 'old',
    changedBy: 'test',
  });
const source = new ToldSource();
source.sayFeatures([featureOf(`${JOB}.${REGION}`, false, variants)]);
const served = await serving(owner, {
  flagsAt: AT,
  flags: {
    ...foreignDesk(source, AT, () => Promise.resolve([{ job: JOB, regions: [REGION, 'us-east-1'] }])),
    look: () => ({ open: false, code: 'flag-off', reason: 'off' }),
    evaluate: () => Promise.resolve({ value: 'hold' }),
  },
});
const ann = poster(await served.as('ann', 'operator'));
const bob = poster(await served.as('bob', 'approver'));
const embedded = async () => (await listFlags(owner)).map(({ enabled, revision }) => [enabled, revision]);

test('the list is the server’s, with its age and what is wrong with it', async () => {
  const { body } = await served.json('/api/v1/flags');
  expect(body).toMatchObject({
    items: [{ name: `${JOB}.${REGION}`, enabled: false, changedBy: null, changedAt: null }],
    source: { url: AT, ageMs: 0, problem: null },
  });
  source.fail({ code: 'flag-unauthorised', reason: 'responded 401' });
  expect((await served.json('/api/v1/flags')).body['source']).toMatchObject({
    problem: { code: 'flag-unauthorised', reason: 'responded 401', since: expect.stringMatching(/Z$/) },
  });
  source.sayUnchanged();
});

test('setting a flag and steering a rollout are refused, and change nothing', async () => {
  const before = await embedded();
  const reason = 'x';
  for (const [path, body, by] of [
    [`flags/${JOB}/${REGION}`, { enabled: false, reason }, ann],
    [`rollouts/${JOB}/start`, { version: '1.1.0', reason }, ann],
    [`rollouts/${JOB}/resume`, { reason }, ann],
    [`rollouts/${JOB}/abort`, { reason }, ann],
    [`rollouts/${JOB}/promote`, { reason }, ann],
    [`rollouts/${JOB}/approve`, {}, bob],
  ] as const) {
    const { status, body: problem } = await by(path, body);
    expect([path, status, problem['code']]).toEqual([path, 409, 'FLAGS_ELSEWHERE']);
    expect(problem['detail']).toContain(AT);
  }
  expect(await embedded()).toEqual(before);
});

test('a wave is not approved by its id either: it would begin nothing; it may be rejected', async () => {
  const ada = person('ada', 'operator');
  const asked = () =>
    requestApproval(
      owner,
      {
        ...{ action: BEGIN_WAVE, subject: `${JOB} 1.1.0 in wave first`, reason: 'x' },
        evidence: { rollout: randomUUID(), wave: 'first', evidenceHash: '' },
      },
      ada,
    );
  const { id } = await asked();
  expect(await bob(`approvals/${id}/approve`)).toMatchObject({
    status: 409,
    body: { code: 'FLAGS_ELSEWHERE' },
  });
  expect(await findApproval(owner, id)).toMatchObject({ state: 'pending' });
  expect(await bob(`approvals/${id}/reject`)).toMatchObject({ status: 200, body: { state: 'rejected' } });
});

test('a kill works, and says that the flag was not changed and what to do', async () => {
  const before = await embedded();
  const { body } = await ann(`jobs/${JOB}/kill`, { region: REGION, reason: 'wrong claims' });
  expect(body).toMatchObject({ killed: [{ region: REGION }], flagsAt: AT });
  const [notice] = await notificationsOf(owner, String(body['incident']));
  expect(notice?.lines).toContainEqual(
    expect.stringContaining(`(${AT}) and were not changed: switch ${JOB}.${REGION} off there`),
  );
  expect(await embedded()).toEqual(before);
});

test('a kill that cannot reach its gate touches no flag that is not in force, and knows no expiry', async () => {
  const before = await embedded();
  const nowhere = openPool('postgresql://nobody@127.0.0.1:1/nothing', { name: 'nowhere' });
  const order = { job: JOB, regions: ['us-east-1'], reason: 'x' };
  const by = person('ann', 'operator');
  const { failed } = await killWithIncident(owner, () => nowhere, order, by, { flagsAt: AT });
  await nowhere.end();
  expect(failed).toMatchObject([{ lapsesBy: null }]);
  expect(await openWishes(owner)).toHaveLength(1);
  expect(await embedded()).toEqual(before);
});

test('a trip kills and quarantines, and its notice says that the flag is still as it was there', async () => {
  const before = await embedded();
  const regionDatabases = { control: owner, ownerOf: () => owner, flagsAt: AT };
  const rule = { rule: 'asked-for', reason: 'asked-for: 3 rows', figures: {}, evidence: [] };
  const { incident = '' } = await trip(regionDatabases, {
    ...{ job: JOB, region: 'ap-south-1', version: null, run: null, stage: 'bake' },
    ...{ failed: [rule], restore: 'propose', closing: OWN },
  });
  const notices = await notificationsOf(owner, incident);
  const lines = notices.at(-1)?.lines ?? [];
  expect(lines).toContain('The gate of ap-south-1 is killed (no version is named).');
  expect(lines).toContainEqual(expect.stringContaining(`switch ${JOB}.ap-south-1 off there`));
  expect(await embedded()).toEqual(before);
});
