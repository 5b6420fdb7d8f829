import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { abortRollout, pauseRollout } from '../../../src/rollout/steer.js';
import { person } from '../../support/people.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { act, focus, inReason, tabTo } from './by-keyboard.js';
import { closeAll, installed, owner, signedIn } from './opened.js';
import { findings, isSeen, wide } from './looks.js';
import { until } from '../../support/until.js';
import { advance, NEW, NEXT, seedRollout } from './rollouts.js';

/** The screen Rollout, and what is done there, in a real browser. */

const JOB = 'nightly';
let rollout = '';

beforeAll(async () => {
  await seedAccounts(owner, 'eu', 20, 0);
  await seedAccounts(owner, 'us', 30, 0);
  // Known to the server as jobs that are installed: their steps can be shown on paper.
  for (const job of [JOB, 'weekly']) installed.push({ definition: claimEverything(job), version: NEW });
  rollout = await seedRollout(JOB);
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
  expect(await page.getByRole('link', { name: 'Grafana' }).getAttribute('href')).toMatch(
    new RegExp(`^https://grafana\\.example/g/d/portcullis-rollout\\?.*var-job=${JOB}&.*from=\\d{13}&`),
  );
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

const result = async (page: Page): Promise<string> => {
  const said = page.getByRole('status', { name: 'Result' });
  await said.waitFor();
  return said.innerText();
};

test('bakes are skipped where a second person agrees, and stand as skipped for good', async () => {
  const { page, faults } = await signedIn('operator');
  await page.goto(`/rollouts/${JOB}`);
  await page.getByRole('button', { name: 'Skip bakes…' }).click();
  const skip = page.getByRole('dialog', { name: `Skip bakes: ${JOB}` });
  expect(await skip.getByRole('row', { name: /^eu/ }).innerText()).toMatch(/10 % bakes\s+→ skipped, if/);
  await skip.getByLabel('Reason').fill('the fix cannot wait');
  await skip.getByRole('button', { name: 'Ask to skip' }).click();
  expect(await result(page)).toContain('portcullis approve ');
  await page.keyboard.press('Escape');
  const request = page.getByRole('link', { name: 'see the request' });
  await request.waitFor();

  const approver = await signedIn('approver');
  await approver.page.goto((await request.getAttribute('href')) ?? '');
  await approver.page.getByRole('button', { name: 'Approve…' }).click();
  await approver.page.getByRole('dialog').getByLabel('Reason').fill('I have read it');
  await approver.page.getByRole('dialog').getByRole('button', { name: 'Approve', exact: true }).click();
  expect(await result(approver.page)).toContain(`Decided by ${approver.name}`);

  const skipped = part(page, 'eu').locator('.verdict-skipped');
  const text = new RegExp(`10 % skipped, not checked: the fix cannot wait .*approved by ${approver.name}`);
  await advance(rollout);
  await skipped.getByText(text).waitFor();
  // Also when it bakes at its next step, and when that is over.
  await part(page, 'eu').getByText('step 2 of 2').waitFor();
  await page.reload();
  await skipped.getByText(text).waitFor();
  expect([...faults, ...approver.faults]).toEqual([]);
});

test('a rollout is paused and aborted, and another one started, each on record', async () => {
  const { page, name, faults } = await signedIn('operator');
  await page.goto(`/rollouts/${JOB}`);
  const steer = async (act: 'Pause' | 'Abort', reason: string): Promise<string> => {
    await page.getByRole('button', { name: `${act}…` }).click();
    const dialog = page.getByRole('dialog', { name: `${act}: ${JOB}` });
    await dialog.getByLabel('Reason').fill(reason);
    await dialog.getByText(`portcullis rollout ${act.toLowerCase()} ${JOB} --reason '${reason}'`).waitFor();
    await dialog.getByRole('button', { name: act, exact: true }).click();
    const said = await result(page);
    await page.keyboard.press('Escape');
    return said;
  };
  expect(await steer('Pause', 'the shop is being released')).toContain('The rollout is paused');
  await page.getByText('Pause: it is paused already.').waitFor();
  expect(await steer('Abort', 'too slow')).toContain('The rollout is aborted');
  await page.getByText(`Ended by ${name}: too slow`).waitFor();
  await page.getByText('Abort: the rollout is aborted.').waitFor();

  await page.getByRole('button', { name: 'Start a rollout…' }).click();
  const start = page.getByRole('dialog', { name: 'Start a rollout' });
  await start.getByLabel('Version').selectOption(NEXT);
  // What it will do, wave by wave: the shares, whom they are of, and where a person is waited for.
  await start.getByRole('row', { name: /^rest: us/ }).waitFor();
  const waves = await start.getByRole('table').getByRole('row').allInnerTexts();
  expect(waves.slice(1).map((row) => row.replaceAll(/\s+/g, ' '))).toEqual([
    'first: eu 0 % → 10 % (2 tenants), 100 % (20 tenants)',
    'rest: us 0 % → once approved, 100 % (30 tenants)',
  ]);
  expect(await start.getByRole('button', { name: 'Start the rollout' }).isDisabled()).toBe(true);
  await start.getByLabel('Reason').fill('release 1.2');
  await start.getByText(`portcullis rollout start ${JOB} --version ${NEXT} --reason 'release 1.2'`).waitFor();
  await start.getByRole('button', { name: 'Start the rollout' }).click();
  expect(await result(page)).toMatch(/1\.2\.0[^]*The rollout is running/);
  await page.getByRole('link', { name: 'Follow it' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByText(`started by ${name}`).waitFor();
  // One at a time: the server refuses another, and the page says so.
  await page.getByRole('link', { name: 'All rollouts' }).click();
  await page.getByRole('button', { name: 'Start a rollout…' }).click();
  await start.getByLabel('Job').selectOption(JOB);
  await start.getByLabel('Version').selectOption(NEW);
  await start.getByLabel('Reason').fill('again');
  await start.getByRole('button', { name: 'Start the rollout' }).click();
  await start.getByText(/ROLLOUT_(ACTIVE|REFUSED)/).waitFor();
  const { rows } = await owner.query<{ action: string }>(
    `select action from portcullis_control.audit where principal = $1 order by seq`,
    [name],
  );
  expect(rows.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['rollout-pause', 'rollout-abort', 'rollout-start']),
  );
  expect(faults).toEqual([]);
});

test('a rollout is started, skipped, approved, paused and aborted by keyboard alone, and the focus stays where one is', async () => {
  const job = 'weekly';
  const first = await seedRollout(job);
  await abortRollout(owner, { job, reason: 'another one' }, person('olga', 'operator'));
  const { page, faults } = await signedIn('operator');
  await page.goto('/rollouts');
  await tabTo(page, 'Start a rollout…');
  await page.keyboard.press('Enter');
  const start = page.getByRole('dialog', { name: 'Start a rollout' });
  await inReason(page);
  await page.keyboard.type('release 1.2');
  // Above the reason are version and job, in which letters choose.
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.type('weekly');
  await page.keyboard.press('Tab');
  await start.getByLabel('Version').getByRole('option', { name: NEXT }).waitFor({ state: 'attached' });
  await page.keyboard.type('1.2');
  await start.getByText(`portcullis rollout start ${job} --version ${NEXT} --reason 'release 1.2'`).waitFor();
  await start.getByRole('row', { name: /^first: eu/ }).waitFor();
  await tabTo(page, 'Start the rollout');
  await page.keyboard.press('Enter');
  expect(await result(page)).toContain('The rollout is running');
  await tabTo(page, 'Follow it');
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Why not yet' }).waitFor();
  expect(await page.evaluate('document.activeElement.id')).toBe('main');
  const { rows } = await owner.query<{ id: string }>(
    `select id from portcullis_control.rollout where job = $1 and status = 'running'`,
    [job],
  );
  const id = rows[0]?.id ?? '';
  expect(id).not.toBe(first);
  await advance(id);

  await part(page, 'eu').getByText('baking').waitFor();
  expect(await act(page, 'Skip bakes…', 'the fix cannot wait', 'Ask to skip')).toContain(
    'portcullis approve ',
  );
  expect((await focus(page)).name).toBe('Skip bakes…');
  const request = await page.getByRole('link', { name: 'see the request' }).getAttribute('href');

  const approver = await signedIn('approver');
  await approver.page.goto(request ?? '');
  await approver.page.getByRole('button', { name: 'Approve…' }).waitFor();
  expect(await act(approver.page, 'Approve…', 'I have read it', 'Approve')).toContain('Decided by');
  // Its buttons are gone: the focus is on the screen that they were of, and not before everything.
  await approver.page.getByText(/^approved by/).waitFor();
  await until('the focus is near', () =>
    approver.page.evaluate<boolean>('document.activeElement.matches("article, section, main")'),
  );

  await advance(id);
  await part(page, 'eu').getByText('step 2 of 2').waitFor();
  expect(await act(page, 'Pause…', 'the shop is being released', 'Pause')).toContain('The rollout is paused');
  await page.getByText('Pause: it is paused already.').waitFor();
  // Its button is off now: the focus is on one beside it that is not.
  await until('the focus is on what can be done next', async () => (await focus(page)).name === 'Resume…');
  expect(await act(page, 'Abort…', 'too slow', 'Abort')).toContain('The rollout is aborted');
  await page.getByText('Abort: the rollout is aborted.').waitFor();
  expect([...faults, ...approver.faults]).toEqual([]);
});

test('with forced colours, tracks, choices and the focus are told apart by what is drawn', async () => {
  const { page } = await signedIn('operator', { forcedColors: 'active' });
  const { rows } = await owner.query<{ id: string }>(
    `select id from portcullis_control.rollout where job = $1 and status = 'running'`,
    [JOB],
  );
  await advance(rows[0]?.id ?? '');
  await page.goto(`/rollouts/${JOB}`);
  await part(page, 'eu').getByText('baking').waitFor();
  const bar = part(page, 'eu').locator('svg').first();
  await bar.waitFor();
  expect(await isSeen(bar, '.share-all')).toBe(true);
  expect(await isSeen(bar, '.progress-done')).toBe(true);
  await page.keyboard.press('Control+k');
  const options = page.getByRole('option');
  await options.nth(1).waitFor();
  // The same option, chosen and not.
  const chosen = await options.first().screenshot();
  await page.keyboard.press('ArrowDown');
  await page.locator('[role=option][aria-selected=true]').nth(0).waitFor();
  expect(chosen.equals(await options.first().screenshot())).toBe(false);
  await page.keyboard.press('Escape');
  const at = await tabTo(page, 'Pause…');
  expect(at.outlined).toBe(true);
});
