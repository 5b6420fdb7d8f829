import { afterEach, expect, test } from '@jest/globals';
import { recordAudit } from '../../../src/audit/record.js';
import { ACTS } from '../../../src/demo/tour/script.js';
import { tabTo } from './by-keyboard.js';
import { findings, wide } from './looks.js';
import { closeAll, owner, signedIn } from './opened.js';

/** The tour's page: what the terminal has put on record, as it comes. test/real/tour.test.ts plays the tour itself. */

afterEach(closeAll);

const record = (subject: string, evidence: object) =>
  recordAudit(owner, { principal: 'admin', action: 'tour', subject, evidence: { tour: 'a', ...evidence } });

test('says how to start it, follows it act by act, and is readable in both themes and on a phone', async () => {
  const { page, faults } = await signedIn('viewer');
  await page.goto('/tour');
  await page.getByText('npx portcullis tour').waitFor();
  await record('begins', { acts: ACTS.map(({ id, title, text, view }) => ({ id, title, text, view })) });
  await record('policy', { state: 'now', commands: ['portcullis flags apply .portcullis/tour/guarded'] });
  await page.locator('[data-act="policy"][aria-current="step"]').waitFor();
  await record('policy', {
    ...{ state: 'done', commands: ['portcullis flags apply .portcullis/tour/guarded'], view: '/flags' },
    result: ['in force: bakes of 1 run, 1 change and 1s'],
  });
  await record('region', { state: 'now', commands: [`portcullis run domain-claim --region ap-northeast-1`] });
  await page.locator('[data-act="region"][aria-current="step"]').waitFor();
  const act = page.locator('[data-act="policy"]');
  await act.getByText('in force: bakes of 1 run').waitFor();
  expect(await act.getByRole('link', { name: 'See it here' }).getAttribute('href')).toBe('/flags');
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 1100 });
      await page.emulateMedia({ colorScheme });
      expect(await findings(page)).toEqual([]);
      expect(await wide(page)).toEqual([]);
      const pictures = process.env['PICTURES'];
      if (pictures) await page.screenshot({ path: `${pictures}/tour-${width}-${colorScheme}.png` });
    }
  }
  // What their acts bring about stands in the views once they are done.
  const views: Readonly<Record<string, string>> = {
    good: '/rollouts',
    stopped: '/runs',
    logins: '/incidents',
  };
  for (const { id } of ACTS.slice(1)) {
    const view = views[id] ?? '/record';
    await record(id, { state: 'done', commands: [`portcullis ${id}`], view, result: ['done'] });
  }
  await record('ends', { state: 'over' });
  await page.getByText('It is over; policy and flags are as before.').waitFor();

  // By keyboard alone: from each act to what it shows, and back to where one was.
  await page.locator('[data-act]').last().getByRole('link', { name: 'See it here' }).waitFor();
  for (const { id } of ACTS) {
    const at = (): Promise<unknown> =>
      page.evaluate(`document.activeElement.closest('[data-act]')?.dataset.act`);
    do expect((await tabTo(page, 'See it here')).outlined).toBe(true);
    while ((await at()) !== id);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Tour' }).waitFor({ state: 'detached' });
    await page.goBack();
    await page.locator(`[data-act="${id}"]`).waitFor();
  }
  expect(faults).toEqual([]);
});
