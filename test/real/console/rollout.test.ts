import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { advanceRollout } from '../../../src/rollout/advance.js';
import { announceVersions } from '../../../src/rollout/announce.js';
import { startRollout } from '../../../src/rollout/start-rollout.js';
import { pauseRollout } from '../../../src/rollout/steer.js';
import { setAdmittedFlag } from '../../support/admissions.js';
import { person } from '../../support/people.js';
import { closeAll, owner, signedIn } from './opened.js';
import { findings, wide } from './looks.js';

/** The screen Rollout, and what is done there, in a real browser. */

const JOB = 'nightly';
const OLD = '1.0.0_11111111';
const NEW = '1.1.0_22222222';
let rollout = '';

beforeAll(async () => {
  const text = `job: ${JOB}
schedule: '*/5 * * * *'
regions: [eu, us]
rollout:
  waves:
    - { name: first, regions: [eu], steps: [10%, 100%], bake: { runs: 3, changes: 20, time: 1h } }
    - { name: rest, regions: [us], steps: [100%], bake: { runs: 1, changes: 0, time: 0s }, approvals: 1 }
`;
  await applyPolicies(owner, [parsePolicyFile(text, 'test.yaml')], 'test');
  for (const region of ['eu', 'us']) {
    const variants = [{ version: OLD, permille: 1000 }];
    const by = { reason: 'test', changedBy: 'test' };
    await setAdmittedFlag(owner, { job: JOB, region, enabled: true, variants, ...by });
  }
  const versions = [OLD, NEW].map((version) => ({ job: JOB, version, regions: ['eu', 'us'] }));
  await announceVersions(owner, 'w1', versions);
  const order = { job: JOB, version: NEW, reason: 'new rules' };
  rollout = (await startRollout(owner, order, person('olga', 'operator'))).id;
  const ports = {
    control: owner,
    regionOf: () => owner,
    verdictsOf: () => Promise.resolve([]),
    trip: () => Promise.resolve(),
  };
  await advanceRollout(ports, rollout);
});
afterEach(closeAll);

const part = (page: Page, region: string) => page.locator(`[data-part="${region}"]`);

test('a rollout shows its waves, what a bake has and needs, and why it does not move yet', async () => {
  const { page, faults } = await signedIn('operator', { viewport: { width: 360, height: 740 } });
  await page.goto('/rollouts');
  await page.getByRole('link', { name: JOB, exact: true }).click();
  await part(page, 'eu').waitFor();
  expect(new URL(page.url()).pathname).toBe(`/rollouts/${JOB}`);
  const text = await part(page, 'eu').innerText();
  expect(text).toMatch(/baking[^]*10 %[^]*step 1 of 2[^]*Runs\s+0 of 3\s+Changes\s+0 of 20\s+Time/);
  expect(await part(page, 'us').innerText()).toMatch(/waiting[^]*0 %[^]*step 0 of 1/);
  expect(await page.getByRole('region', { name: 'Why not yet' }).innerText()).toContain(
    'eu: 0 of 3 runs, 0 of 20 changes',
  );
  await page.getByText('Resume: it is running.').waitFor();
  await page.locator('main.live').waitFor();
  expect(await findings(page)).toEqual([]);
  expect(await wide(page)).toEqual([]);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await findings(page, 'color-contrast')).toEqual([]);
  expect(faults).toEqual([]);
});

test('an act shows what it changes, takes a reason, and is refused where the rollout has changed since', async () => {
  const { page, faults } = await signedIn('operator');
  await page.goto(`/rollouts/${JOB}`);
  await page.getByRole('button', { name: 'Abort…' }).click();
  const abort = page.getByRole('dialog', { name: `Abort: ${JOB}` });
  expect(await abort.getByRole('row', { name: /^eu/ }).innerText()).toMatch(/10 %[^]*→ 0 %/);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Pause…' }).click();
  const pause = page.getByRole('dialog', { name: `Pause: ${JOB}` });
  const button = pause.getByRole('button', { name: 'Pause', exact: true });
  expect(await button.isDisabled()).toBe(true);
  await pause.getByLabel('Reason').fill('the shop is being released');
  // Somebody else is faster.
  await pauseRollout(owner, { job: JOB, reason: 'mine' }, person('bob', 'operator'));
  await button.click();
  await pause.getByText('REVISION_STALE').waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('Pause: it is paused already.').waitFor();
  // Read anew, and so with the revision that is after the pause.
  await page.reload();
  await page.getByRole('button', { name: 'Resume…' }).click();
  const resume = page.getByRole('dialog', { name: `Resume: ${JOB}` });
  await resume.getByLabel('Reason').fill('the shop is released');
  await resume.getByRole('button', { name: 'Resume', exact: true }).click();
  const result = page.getByRole('status', { name: 'Result' });
  await result.waitFor();
  expect(await result.innerText()).toContain('The rollout is running');
  await page.keyboard.press('Escape');
  await page.getByText('Resume: it is running.').waitFor();
  const { rows } = await owner.query('select status from portcullis_control.rollout where id = $1', [
    rollout,
  ]);
  expect(rows).toEqual([{ status: 'running' }]);
  expect(faults).toEqual([]);
});

test('who may not steer is told so', async () => {
  const { page } = await signedIn('viewer');
  await page.goto(`/rollouts/${JOB}`);
  await page.getByText('Abort: You act as').waitFor();
  expect(await page.getByRole('button', { name: 'Abort…' }).isDisabled()).toBe(true);
});
