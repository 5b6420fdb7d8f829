import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { requestApproval } from '../../../src/access/approvals.js';
import { setAdmittedFlag } from '../../support/admissions.js';
import { person } from '../../support/people.js';
import { post } from '../../http/serving.js';
import { runOnce, seedClaims } from './claims.js';
import { focus, tabTo } from './by-keyboard.js';
import { closeAll, owner, seedGate, seedJob, served, signedIn } from './opened.js';
import { findings, wide } from './looks.js';
import { seedRollout } from './rollouts.js';
import { until } from '../../support/until.js';

/** Every screen's acts by keyboard alone, and every screen's looks: on a phone and a desk, in both themes. */

let run = '';
let incident = '';
let request = '';

beforeAll(async () => {
  await seedClaims();
  run = await runOnce();
  const order = { job: 'claims', title: 'customers call', regions: ['r1'] };
  incident = String((await served.json('/api/v1/incidents', post(order))).body['id']);
  await seedRollout('waves');
  await seedJob('nightly', ['eu']);
  await seedGate({ job: 'nightly', region: 'eu', state: 'killed', reason: 'deletes rows that are in use' });
  await setAdmittedFlag(owner, {
    ...{ job: 'nightly', region: 'eu', enabled: true, changedBy: 'test', reason: 'all of it' },
    variants: [{ version: '1.4.0_9f3c2a1b', permille: 1000 }],
  });
  const gates = [{ region: 'eu', epoch: 0, killedFor: 'deletes rows that are in use' }];
  ({ id: request } = await requestApproval(
    owner,
    {
      ...{ action: 'rearm', subject: 'nightly.eu', region: 'eu', reason: 'fixed in 1.5.1' },
      evidence: { job: 'nightly', gates, onRearm: 'skip' },
    },
    person('olga', 'operator'),
  ));
});
afterEach(closeAll);

/** A screen, and buttons of it that open a dialog. */
interface Screen {
  readonly path: () => string;
  /** What stands there once it is read. */
  readonly shows: string;
  readonly acts: readonly string[];
}

const SCREENS: readonly Screen[] = [
  { path: () => '/', shows: 'nightly', acts: ['Kill…'] },
  { path: () => '/now/nightly/eu', shows: 'Request re-arm…', acts: ['Request re-arm…'] },
  { path: () => '/inbox', shows: 'fixed in 1.5.1', acts: ['Approve…', 'Reject…'] },
  { path: () => `/inbox/${request}`, shows: 'fixed in 1.5.1', acts: [] },
  { path: () => '/rollouts', shows: 'waves', acts: ['Start a rollout…'] },
  { path: () => '/rollouts/waves', shows: 'Why not yet', acts: ['Pause…', 'Skip bakes…', 'Abort…'] },
  { path: () => '/runs', shows: run.slice(0, 8), acts: [] },
  {
    path: () => `/runs/${run}`,
    shows: 'The chosen change',
    acts: ['Restore…', 'Kill its gate…', 'Restore this row…', 'Restore all of'],
  },
  { path: () => '/flags', shows: 'nightly', acts: [] },
  { path: () => '/flags/nightly/eu', shows: 'History', acts: ['Turn off…'] },
  { path: () => '/units?q=r1-org-2', shows: run.slice(0, 8), acts: ['Restore r1-org-2 as before run'] },
  { path: () => '/units?q=account:r1-acc-2-1', shows: 'MANAGED', acts: ['Restore this row…'] },
  { path: () => '/incidents', shows: 'customers call', acts: ['Open an incident…'] },
  {
    path: () => `/incidents/${incident}`,
    shows: 'Runbook',
    acts: ['Kill r1…', 'Name a bad run…', 'Close the incident…'],
  },
  { path: () => '/record', shows: 'worker-of-nightly', acts: ['Send a test'] },
  { path: () => '/tour', shows: 'npx portcullis tour', acts: [] },
  { path: () => '/no-such-screen', shows: 'Not found', acts: [] },
];

const open = async (page: Page, { path, shows }: Screen): Promise<void> => {
  await page.goto(path());
  await page.locator('main.live').waitFor();
  const shown = page.getByText(shows).or(page.getByRole('region', { name: shows }));
  await shown.first().waitFor({ state: 'attached' });
};

const palette = (page: Page) => page.getByRole('combobox', { name: /^Find a gate/ });
test('every act of every screen is reached by Tab, opened by Enter and left by Escape, and the focus is seen and comes back', async () => {
  const { page, faults } = await signedIn('admin');
  for (const screen of SCREENS.filter(({ acts }) => acts.length > 0)) {
    await open(page, screen);
    // In the order of the page: from where the focus came back to, Tab leads on.
    for (const act of screen.acts) {
      const at = await tabTo(page, act);
      expect([screen.path(), act, at.outlined]).toEqual([screen.path(), act, true]);
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog');
      await dialog.waitFor();
      // The focus is in the dialog, and stays there.
      for (let tabs = 0; tabs < 3; tabs += 1) {
        await page.keyboard.press('Tab');
        const inside = await page.evaluate<boolean>(
          `document.activeElement === document.body || document.activeElement.closest('dialog') !== null`,
        );
        expect([screen.path(), act, inside]).toEqual([screen.path(), act, true]);
      }
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      // The dialog is gone a moment before the focus is back.
      await until(`the focus is on ${at.name} of ${screen.path()} again`, async () => {
        return (await focus(page)).name === at.name;
      });
    }
  }
  expect(faults).toEqual([]);
}, 240_000);

test('a rollout is paused, a row restored and the theme chosen without a mouse', async () => {
  const { page, faults } = await signedIn('admin');
  const result = page.getByRole('status', { name: 'Result' });
  await page.keyboard.press('Control+k');
  await palette(page).waitFor();
  await page.keyboard.type('rollouts');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Rollouts' }).waitFor();
  await tabTo(page, 'waves');
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Why not yet' }).waitFor();
  for (const [act, comes, then] of [
    ['Pause', 'The rollout is paused', 'Pause: it is paused already.'],
    ['Resume', 'The rollout is running', 'Resume: it is running.'],
  ] as const) {
    await tabTo(page, `${act}…`);
    await page.keyboard.press('Enter');
    // The focus is where the reason is written.
    await page.getByRole('dialog').waitFor();
    await page.keyboard.type('the shop is being released');
    await tabTo(page, act);
    await page.keyboard.press('Enter');
    await result.getByText(comes).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText(then).waitFor();
  }

  await page.keyboard.press('g');
  await page.keyboard.press('w');
  await page.getByRole('heading', { name: 'Unit', exact: true }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('account:r1-acc-2-1');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Restore this row…' }).waitFor();
  await tabTo(page, 'Restore this row…');
  await page.keyboard.press('Enter');
  await page.getByRole('row', { name: /^As the run left them/ }).waitFor();
  await page.keyboard.type('its owner calls');
  await tabTo(page, 'Restore');
  await page.keyboard.press('Enter');
  await result.getByText('a worker of the region carries it out').waitFor();
  await page.keyboard.press('Escape');

  await page.keyboard.press('Control+k');
  await palette(page).waitFor();
  await page.keyboard.type('theme');
  await page.keyboard.press('Enter');
  await until('the theme is another', async () => {
    return (await page.evaluate('document.documentElement.dataset.theme')) === 'light';
  });
  expect(faults).toEqual([]);
});

test('the palette has every act that needs no place, and every screen', async () => {
  const { page, faults } = await signedIn('admin');
  for (const [words, opens] of [
    ['kill', 'Kill'],
    ['stop every', 'Stop everything'],
    ['start a roll', 'Start a rollout'],
    ['open an inc', 'Open an incident'],
    ['keys', 'Keys'],
  ] as const) {
    await page.keyboard.press('Control+k');
    await palette(page).waitFor();
    await page.keyboard.type(words);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: opens }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }
  for (const screen of ['Inbox', 'Rollouts', 'Runs', 'Incidents', 'Flags', 'Unit', 'Record', 'Tour', 'Now']) {
    await page.keyboard.press('Control+k');
    await palette(page).waitFor();
    await page.keyboard.type(`${screen} screen`);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: screen, exact: screen !== 'Record' }).waitFor();
  }
  await page.keyboard.press('Control+k');
  await palette(page).waitFor();
  await page.keyboard.type('nothing is named so');
  await page.getByText('Nothing is named so.').waitFor();
  expect(faults).toEqual([]);
});

/** At twice the size, by the browser's zoom (half the window) and of texts alone, nothing stands outside the window. */
async function zoomed(page: Page, screen: Screen): Promise<void> {
  await page.setViewportSize({ width: 720, height: 450 });
  expect([screen.path(), 'zoomed', await wide(page)]).toEqual([screen.path(), 'zoomed', []]);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.evaluate(`document.documentElement.style.fontSize = '200%'`);
  expect([screen.path(), 'large texts', await wide(page)]).toEqual([screen.path(), 'large texts', []]);
  await page.evaluate(`document.documentElement.style.fontSize = ''`);
}

test.each(['light', 'dark'] as const)(
  'no screen is wider than a small phone, and axe finds nothing in %s',
  async (colorScheme) => {
    // Both themes differ in their colours alone.
    const rule = colorScheme === 'dark' ? 'color-contrast' : undefined;
    const { page, faults } = await signedIn('admin', { colorScheme, viewport: { width: 360, height: 740 } });
    for (const screen of SCREENS) {
      await open(page, screen);
      expect([screen.path(), await wide(page)]).toEqual([screen.path(), []]);
      expect([screen.path(), await findings(page, rule)]).toEqual([screen.path(), []]);
      await page.setViewportSize({ width: 1440, height: 900 });
      expect([screen.path(), await findings(page, rule)]).toEqual([screen.path(), []]);
      if (rule === undefined) await zoomed(page, screen);
      await page.setViewportSize({ width: 360, height: 740 });
      for (const act of screen.acts) {
        await page.getByRole('button', { name: act }).first().click();
        await page.getByRole('dialog').waitFor();
        expect([act, await wide(page)]).toEqual([act, []]);
        expect([act, await findings(page, rule)]).toEqual([act, []]);
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
      }
    }
    // Who asked for less motion gets none.
    const moving = await page.evaluate<number>(
      `[...document.querySelectorAll('*')].filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0
        || getComputedStyle(each).animationName !== 'none').length`,
    );
    expect(moving).toBe(0);
    expect(request).not.toBe('');
    expect(faults).toEqual([]);
  },
  240_000,
);
