import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { requestApproval } from '../../../src/access/approvals.js';
import { setAdmittedFlag } from '../../support/admissions.js';
import { person } from '../../support/people.js';
import { post } from '../../http/serving.js';
import { runOnce, seedClaims } from './claims.js';
import { closeAll, owner, seedGate, seedJob, served, signedIn } from './opened.js';
import { findings, wide } from './looks.js';
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
  { path: () => '/rollouts', shows: 'Rollouts', acts: [] },
  { path: () => '/runs', shows: run.slice(0, 8), acts: [] },
  {
    path: () => `/runs/${run}`,
    shows: 'The chosen change',
    acts: ['Restore…', 'Kill its gate…', 'Restore this row…'],
  },
  { path: () => '/flags', shows: 'nightly', acts: [] },
  { path: () => '/flags/nightly/eu', shows: 'History', acts: ['Turn off…'] },
  { path: () => '/units?q=r1-org-2', shows: run.slice(0, 8), acts: ['Restore r1-org-2 as before run'] },
  { path: () => '/units?q=account:r1-acc-2-1', shows: 'MANAGED', acts: ['Restore this row…'] },
  { path: () => '/incidents', shows: 'customers call', acts: ['Open an incident…'] },
  { path: () => `/incidents/${incident}`, shows: 'Runbook', acts: ['Kill r1…'] },
  { path: () => '/record', shows: 'worker-of-nightly', acts: ['Send a test'] },
];

const open = async (page: Page, { path, shows }: Screen): Promise<void> => {
  await page.goto(path());
  await page.locator('main.live').waitFor();
  const shown = page.getByText(shows).or(page.getByRole('region', { name: shows }));
  await shown.first().waitFor({ state: 'attached' });
};

interface Focus {
  readonly name: string;
  readonly outlined: boolean;
}

/** What has the focus, as a person hears it, and whether they see that. */
const focus = (page: Page): Promise<Focus> =>
  page.evaluate<Focus>(`(() => {
    const { activeElement: at } = document;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    return {
      name: (at.getAttribute('aria-label') ?? at.innerText ?? '').trim(),
      outlined: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
    };
  })()`);

const MOST_TABS = 200;

async function tabTo(page: Page, name: string): Promise<Focus> {
  const passed: string[] = [];
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    await page.keyboard.press('Tab');
    const at = await focus(page);
    if (at.name.startsWith(name)) return at;
    passed.push(at.name);
  }
  throw new Error(`Tab does not reach "${name}": it passed ${[...new Set(passed)].join(', ')}`);
}

test('every act of every screen is reached by Tab, opened by Enter and left by Escape, and the focus is seen and comes back', async () => {
  const { page, faults } = await signedIn('admin');
  for (const screen of SCREENS) {
    for (const act of screen.acts) {
      await open(page, screen);
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

test.each(['light', 'dark'] as const)(
  'no screen is wider than a small phone, and axe finds nothing in %s',
  async (colorScheme) => {
    const { page, faults } = await signedIn('admin', { colorScheme, viewport: { width: 360, height: 740 } });
    for (const screen of SCREENS) {
      await open(page, screen);
      expect([screen.path(), await wide(page)]).toEqual([screen.path(), []]);
      expect([screen.path(), await findings(page)]).toEqual([screen.path(), []]);
      await page.setViewportSize({ width: 1440, height: 900 });
      expect([screen.path(), await findings(page)]).toEqual([screen.path(), []]);
      await page.setViewportSize({ width: 360, height: 740 });
    }
    expect(request).not.toBe('');
    expect(faults).toEqual([]);
  },
  240_000,
);
