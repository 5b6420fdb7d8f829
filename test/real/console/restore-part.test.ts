import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { runOnce, seedClaims, withWorker } from './claims.js';
import { closeAll, owner, signedIn } from './opened.js';

/** The way back of one unit, and of one row, in a real browser and by a real worker. */

let run = '';
beforeAll(async () => {
  await seedClaims();
  run = await runOnce();
});
afterEach(closeAll);

async function claimed(unit: string): Promise<string[]> {
  const { rows } = await owner.query<{ id: string }>(
    `select id from directory.account where organisation_id = $1 and state = 'MANAGED' order by id`,
    [unit],
  );
  return rows.map(({ id }) => id);
}

/** Restores what the open dialog names, once it has shown what it would do. */
async function restoreIn(page: Page, rows: RegExp, because: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: /^Restore a part of run/ });
  expect(await dialog.getByRole('row', { name: /^As the run left them/ }).innerText()).toMatch(rows);
  const restore = dialog.getByRole('button', { name: 'Restore', exact: true });
  expect(await restore.isDisabled()).toBe(true);
  await dialog.getByLabel('Reason').fill(because);
  await restore.click();
  const done = page.getByRole('dialog', { name: 'Restore begun' });
  await done.waitFor();
  await withWorker(() => done.locator('.run-status', { hasText: 'succeeded' }).waitFor());
  await page.keyboard.press('Escape');
}

test('a run’s changes put back one row, and lead to its unit', async () => {
  const { page, faults } = await signedIn();
  await page.goto(`/runs/${run}`);
  const chosen = page.getByRole('region', { name: 'The chosen change' });
  await chosen.waitFor();
  const [key = '', unit = ''] = await chosen
    .getByRole('heading', { level: 3 })
    .locator('code')
    .allInnerTexts();
  const [other = '', ...rest] = (await claimed(unit)).filter((id) => id !== key);
  await chosen.getByRole('button', { name: 'Restore this row…' }).click();
  await restoreIn(page, /\b1\b/, 'a call by its owner');
  expect(await claimed(unit)).toEqual([other, ...rest]);
  await chosen.getByRole('link', { name: unit }).click();
  await page.getByRole('heading', { name: 'Runs that changed it' }).waitFor();
  await page.goto(`/units?q=account:${other}`);
  await page.getByRole('button', { name: 'Restore this row…' }).click();
  await restoreIn(page, /\b1\b/, 'another call');
  expect(await claimed(unit)).toEqual(rest);
  // All that is left of the unit, from the same place.
  await page.goto(`/runs/${run}`);
  await chosen.getByRole('button', { name: `Restore all of ${unit}…` }).click();
  await restoreIn(page, /\b2\b/, 'a third call');
  expect(await claimed(unit)).toEqual([]);
  expect(faults).toEqual([]);
});

test('a unit’s screen lists its runs, and puts back just it', async () => {
  const { rows } = await owner.query<{ unit: string }>(
    `select organisation_id as unit from directory.account where state = 'MANAGED'
     group by organisation_id having count(*) = 4 order by organisation_id`,
  );
  const [unit = '', other = ''] = rows.map((row) => row.unit);
  const { page, faults } = await signedIn();
  await page.goto(`/units?q=${unit}`);
  const line = page.locator(`[data-run="${run}"]`);
  await line.waitFor();
  expect(await line.innerText()).toContain('4 of 4 changes applied');
  await line.getByRole('button', { name: `Restore ${unit} as before` }).click();
  await restoreIn(page, /\b4\b/, `a call by ${unit}`);
  expect(await claimed(unit)).toEqual([]);
  expect(await claimed(other)).toHaveLength(4);
  // The restore is a run that touched the unit too.
  await page.getByText('4 rows restored of').waitFor();
  // What is restored is not restored twice, and the dialog says so before anything is asked for.
  await line.getByRole('button', { name: `Restore ${unit} as before` }).click();
  await page.getByText('Nothing is left to put back.').waitFor();
  await page.keyboard.press('Escape');
  await page.goto('/units?q=nobody');
  await page.getByText('No run has planned a change for it.').waitFor();
  expect(faults).toEqual([]);
});

test('who may not restore is told so in the dialog', async () => {
  const { page } = await signedIn('viewer');
  await page.goto('/units?q=r1-org-3');
  await page.getByRole('button', { name: 'Restore r1-org-3 as before' }).click();
  const dialog = page.getByRole('dialog', { name: /^Restore a part of run/ });
  await dialog.getByText('role viewer, which may not restore').waitFor();
  await dialog.getByLabel('Reason').fill('try');
  expect(await dialog.getByRole('button', { name: 'Restore', exact: true }).isDisabled()).toBe(true);
});
