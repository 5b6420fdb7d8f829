import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { post } from '../../http/serving.js';
import { runOnce, seedClaims, withWorker } from './claims.js';
import { focus, inReason, tabTo } from './by-keyboard.js';
import { closeAll, served, signedIn } from './opened.js';
import { findings, wide } from './looks.js';
import { until } from '../../support/until.js';

/** The screen Incident, from the kill to the close, in a real browser. */

const PHONE = { width: 390, height: 844 };
const MARKUP = '<img src=x onerror=alert(1)>';
let run = '';
let incident = '';

beforeAll(async () => {
  await seedClaims();
  run = await runOnce();
  const order = { job: 'claims', title: `customers miss ${MARKUP}`, regions: ['r1'] };
  const { body } = await served.json('/api/v1/incidents', post(order));
  incident = String(body['id']);
});
afterEach(closeAll);

const section = (page: Page, name: string | RegExp) => page.getByRole('region', { name });
const result = async (page: Page): Promise<string> => {
  const said = page.getByRole('status', { name: 'Result' });
  await said.waitFor();
  return said.innerText();
};

test('is opened by a person who noticed something, which stops nothing', async () => {
  const { page, faults } = await signedIn('operator');
  await page.getByRole('link', { name: 'Incidents', exact: true }).click();
  await page.locator(`[data-incident="${incident}"]`).waitFor();
  // What a person wrote is text, whatever it looks like.
  await page.getByRole('link', { name: `customers miss ${MARKUP}` }).waitFor();
  await page.getByRole('button', { name: 'Open an incident…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Open an incident' });
  await dialog.getByLabel('What happened').fill('the same again');
  expect(await findings(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Open the incident', exact: true }).click();
  expect(await result(page)).toContain(incident);
  expect(faults).toEqual([]);
});

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  test('what is open, the runbook and the timeline are there, and axe finds nothing', async () => {
    const { page, faults } = await signedIn('viewer', { colorScheme, viewport: { width: 360, height: 740 } });
    await page.goto(`/incidents/${incident}`);
    await page.locator('main.live').waitFor();
    await section(page, 'Runbook').waitFor();
    expect(await page.getByRole('link', { name: 'Grafana' }).getAttribute('href')).toContain(
      'var-job=claims',
    );
    await section(page, /^Still open in r1/).waitFor();
    await section(page, 'Runbook')
      .getByText(`portcullis kill claims --region r1 --reason "incident ${incident}"`)
      .waitFor();
    await page.getByText('Nobody has named damage yet').waitFor();
    expect(await findings(page)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    // A viewer looks, and is told why no button works.
    expect(await section(page, 'Runbook').getByRole('button', { name: 'Kill r1…' }).isDisabled()).toBe(true);
    await section(page, 'Runbook')
      .getByText(/role viewer, which may not kill/)
      .waitFor();
    expect(faults).toEqual([]);
  });
});

/** A refresh leaves alone what a person is doing: what they chose, where they are, what they opened. */
async function untouched(page: Page, refresh: () => Promise<void>): Promise<void> {
  const doing = (): Promise<unknown> =>
    page.evaluate(`({
      selected: String(getSelection()),
      scrolled: scrollY,
      focused: document.activeElement.innerText,
      opened: [...document.querySelectorAll('details')].filter((each) => each.open).length,
    })`);
  await page.setViewportSize({ width: 1024, height: 400 });
  await page.getByRole('button', { name: 'Write a draft' }).focus();
  await page.evaluate(`(() => {
    scrollTo(0, 150);
    const range = document.createRange();
    range.selectNodeContents(document.querySelector('.steps .copyable code'));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  })()`);
  const before = await doing();
  expect(before).toMatchObject({ scrolled: 150, focused: 'Write a draft' });
  expect((before as { selected: string }).selected).toContain('portcullis kill claims');
  await refresh();
  expect(await doing()).toEqual(before);
  await page.setViewportSize(PHONE);
}

test('leads on a phone by its runbook from the kill to the close, and its timeline grows by itself', async () => {
  const { page, context, faults } = await signedIn('operator', { viewport: PHONE, hasTouch: true });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto(`/incidents/${incident}`);
  await page.locator('main.live').waitFor();
  const runbook = section(page, 'Runbook');

  // What the job brings is a page of its own, below the steps.
  await runbook.getByText('About the changes of claims').click();
  expect(await runbook.locator('pre').innerText()).toContain('# ');
  await untouched(page, async () => {
    const moments = section(page, 'Timeline').getByRole('listitem');
    const before = await moments.count();
    const order = { job: 'claims', title: 'another customer calls', regions: ['r1'] };
    expect((await served.json('/api/v1/incidents', post(order))).body['joined']).toBe(true);
    await until('the timeline grows', async () => (await moments.count()) > before);
  });

  await runbook.getByRole('button', { name: 'Kill r1…' }).click();
  await page.getByLabel('Reason').fill('stop it');
  await page.getByRole('button', { name: 'Kill 1 gate' }).click();
  expect(await result(page)).toContain('claims r1: killed');
  await page.keyboard.press('Escape');
  await section(page, 'Nothing of it can commit any more').waitFor();
  await section(page, 'Timeline').locator('[data-kind="kill"]').first().waitFor();

  await runbook.getByRole('button', { name: 'Name a bad run…' }).click();
  const include = page.getByRole('dialog', { name: `Name a bad run of ${incident}` });
  await include.getByLabel('Run').fill(run.slice(0, 8));
  await include.getByLabel('Reason').fill('claims of the wrong domains');
  await include.getByRole('button', { name: 'Include the run' }).click();
  expect(await result(page)).toContain('r1: since');
  await page.keyboard.press('Escape');
  await section(page, 'Impact').getByText('20 rows of 5 units').waitFor();
  await section(page, 'Timeline').getByText('named a bad run: claims of the wrong domains').waitFor();
  await section(page, 'Impact').getByRole('button', { name: 'Show the units' }).click();
  await section(page, 'Impact')
    .getByRole('row', { name: /r1-org-0 r1 4/ })
    .waitFor();
  await page.locator('[data-phase="identified"]').getByText('5 units were affected').waitFor();

  // By keyboard alone: what only looks is open beside it, and nothing waits for it.
  expect(await runbook.locator('[aria-current=step] h3').allInnerTexts()).toEqual([
    'See how bad it is',
    'Make sure that the first bad run is the first',
    'See what a restore would do',
    'Put it back',
  ]);
  await tabTo(page, 'Put it back…');
  await page.keyboard.press('Enter');
  const restore = page.getByRole('dialog', { name: `Put back incident ${incident}` });
  const change = restore.getByRole('row', { name: /^r1/ });
  expect(await change.innerText()).toMatch(/20 rows of 5 units[^]*→ back to/);
  await inReason(page);
  await page.keyboard.type('agreed with support');
  await tabTo(page, 'Put it back');
  await page.keyboard.press('Enter');
  expect(await result(page)).toContain(`of run ${run.slice(0, 8)}: begun`);
  await page.keyboard.press('Escape');
  await restore.waitFor({ state: 'detached' });
  // The step may be done by then, and its button stays: the focus is where it was.
  await until('the focus is in the runbook again', async () => (await focus(page)).name === 'Put it back…');
  await withWorker(() =>
    section(page, 'Its runs').getByText('20 of 20 rows put back').waitFor({ timeout: 120_000 }),
  );
  await section(page, 'Timeline').locator('[data-kind="restore-succeeded"]').waitFor();
  const update = page.locator('[data-phase="identified"]');
  await update.getByRole('button', { name: 'Copy the text: identified' }).click();
  await update.getByText('copied').waitFor();
  expect(await page.evaluate('navigator.clipboard.readText()')).toContain('5 units were affected');

  await runbook.getByRole('button', { name: 'Re-arm r1…' }).click();
  const rearm = page.getByRole('dialog', { name: 'Re-arm claims in r1' });
  await rearm.getByLabel('Reason').fill('the filter is back');
  await rearm.getByRole('button', { name: 'Request the re-arm' }).click();
  expect(await result(page)).toContain('Re-arm of claims r1: a second person must approve it before');
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Write a draft' }).click();
  await page.getByLabel('Draft of the post-mortem').getByText('claims of the wrong domains').waitFor();
  await runbook.getByRole('button', { name: 'Close the incident…' }).click();
  const close = page.getByRole('dialog', { name: `Close incident ${incident}` });
  await close.getByLabel('Reason').fill('a filter was missing');
  await close.getByRole('button', { name: 'Close the incident' }).click();
  expect(await result(page)).toContain('a filter was missing');
  expect(await wide(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.getByText('a filter was missing').first().waitFor();
  expect(faults).toEqual([]);
});
