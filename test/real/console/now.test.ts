import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { writeVerdicts } from '../../../src/guard/verdict-rows.js';
import { until } from '../../support/until.js';
import { closeAll, owner, seedGate, seedJob, seedRuns, signedIn, visit } from './opened.js';
import { findings, wide } from './looks.js';

/** The screen Now, and what is done from it, in a real browser. */

const JOB = 'dormant-cleanup';
const REGIONS = ['eu-central-1', 'eu-west-1', 'us-east-1', 'us-west-2'];
const MARKUP = '<img src=x onerror=alert(1)>';

beforeAll(async () => {
  await owner.query('delete from portcullis_control.policy; delete from portcullis_control.flag');
  await seedJob(JOB, [...REGIONS, 'ap-east-1']);
  await seedGate({ job: JOB, region: 'eu-central-1' });
  await seedGate({ job: JOB, region: 'eu-west-1' });
  await seedGate({ job: JOB, region: 'us-east-1', state: 'held', reason: `no share; see ${MARKUP}` });
  await seedGate({ job: JOB, region: 'us-west-2', permitMs: 0 });
  const ids = await seedRuns(JOB, 'eu-west-1', [12, 90, -7, 30]);
  // The first had too few runs before it.
  for (const [at, observed] of [90, 7, 30].entries()) {
    const figures = { observed, expected: 22, low: 8, high: 41, p: 0.1, limit: 2.5e-4 };
    const reason = `claims-per-run: ${observed} planned`;
    await writeVerdicts(owner, ids[at + 1] ?? '', 'plan', [
      { rule: 'claims-per-run', verdict: 'pass', reason, figures },
    ]);
  }
});
afterEach(closeAll);

const gate = (page: Page, region: string) => page.locator(`[data-gate="${JOB} ${region}"]`);
const stateOf = (page: Page, region: string) => gate(page, region).locator('.state').innerText();
const isLive = (page: Page) => page.locator('main.live').waitFor();

/** What of the bars stands where, by the boxes that the browser has drawn: that of 12, 90, 7 and 30 changes. */
const seenBars = (page: Page): Promise<object> =>
  page.evaluate<object>(`((svg) => {
    const parts = (name) => (svg.querySelector(name)?.getAttribute('d') ?? '').split(/(?=M)/).filter(Boolean);
    const boxOf = (d) => {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      path.setAttribute('d', d);
      svg.append(path);
      const { y, height } = path.getBBox();
      path.remove();
      return { top: y, bottom: y + height };
    };
    const band = boxOf(parts('.bars-band')[0]);
    const shown = ['.bar-good:not(.bar-hollow)', '.bar-bad:not(.bar-hollow)'].map((name) => parts(name));
    const [above, newest] = shown[0].map(boxOf);
    const marks = shown[1].map(boxOf).filter(({ top }) => top > band.bottom + 6);
    const failed = shown[1].map(boxOf).find(({ top }) => top < band.bottom + 6);
    return {
      bands: parts('.bars-band').length,
      within: newest.top >= band.top && newest.top <= band.bottom,
      pointed: above.top < band.top && shown[0][0].includes('l'),
      below: failed.top > band.bottom,
      hollow: parts('.bar-hollow').length,
      marks: marks.length,
    };
  })(document.querySelector('.panel svg.bars'))`);

describe('Now', () => {
  test('says of every gate in which state it is, and why', async () => {
    const { page, faults } = await signedIn();
    await gate(page, 'eu-west-1').waitFor();
    expect(await stateOf(page, 'eu-west-1')).toBe('Open');
    expect(await stateOf(page, 'us-east-1')).toBe('Held');
    expect(await stateOf(page, 'us-west-2')).toBe('Silent');
    // No worker has ever looked at it.
    expect(await stateOf(page, 'ap-east-1')).toBe('Silent');
    expect(await gate(page, 'us-west-2').innerText()).toContain('permit expired');
    expect(await gate(page, 'eu-west-1').getByRole('img').getAttribute('aria-label')).toBe(
      'Last run succeeded, 30 changes applied; 1 of the last 4 went wrong; 1 within the expected band; 1 above the expected band; 1 below the expected band; 1 not judged by counts',
    );
    // What others wrote is text, whatever it looks like.
    expect(await gate(page, 'us-east-1').innerText()).toContain(MARKUP);
    expect(faults).toEqual([]);
  });

  test('finds gates by words and states, and the address that says so can be pasted', async () => {
    const { page } = await signedIn();
    await page.getByRole('button', { name: /silent$/ }).click();
    await page.getByPlaceholder('Find a job').fill('us-');
    await until('only one gate is left', async () => (await page.locator('[data-gate]').count()) === 1);
    expect(new URL(page.url()).search).toBe('?in=silent&find=us-');
    await page.reload();
    await gate(page, 'us-west-2').waitFor();
    expect(await page.locator('[data-gate]').count()).toBe(1);
    await page.getByLabel('Group by').selectOption('state');
    await page.locator('.group-name', { hasText: 'Silent' }).waitFor();
  });

  test('shows a change in the database without being asked, and keeps what a person types', async () => {
    const { page } = await signedIn();
    await isLive(page);
    await page.getByPlaceholder('Find a job').fill('us-');
    await owner.query(
      `update portcullis_region.gate set state = 'killed', reason = 'test', killed_by = 'bob', killed_at = clock_timestamp()
       where region = 'us-west-2'`,
    );
    await gate(page, 'us-west-2').locator('.state-killed').waitFor();
    expect(await page.getByPlaceholder('Find a job').inputValue()).toBe('us-');
    expect(await page.evaluate('document.activeElement.id')).toBe('find');
  });

  test('opens a gate at an address of its own, and gives the focus back', async () => {
    const { page } = await signedIn();
    await gate(page, 'eu-west-1').focus();
    await page.keyboard.press('Enter');
    const panel = page.getByRole('complementary', { name: 'eu-west-1' });
    await panel.waitFor();
    expect(new URL(page.url()).pathname).toBe(`/now/${JOB}/eu-west-1`);
    const [newest, failed, above, first] = await panel
      .locator('tbody tr', { hasText: 'UTC' })
      .allInnerTexts();
    expect(newest).toMatch(/succeeded\s+✓ 30 within 8–41\s+claims-per-run\s+30/);
    expect(failed).toMatch(/failed\s+▼ 7 below 8–41/);
    expect(above).toMatch(/succeeded\s+▲ 90 above 8–41/);
    expect(first).toMatch(/succeeded\s+not judged\s+12/);
    // What the bars mean is told beside them.
    await panel.getByText('what the guard expected of each run').waitFor();
    await panel.getByText('A hollow bar was not judged').waitFor();
    expect(await seenBars(page)).toEqual({
      ...{ bands: 3, within: true, pointed: true, below: true, hollow: 1, marks: 1 },
    });
    expect(await panel.getByRole('link', { name: 'Grafana' }).getAttribute('href')).toBe(
      `https://grafana.example/g/d/portcullis-kill-switch?var-job=${JOB}&var-region=eu-west-1&from=now-6h&to=now`,
    );
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.dataset.gate')).toBe(`${JOB} eu-west-1`);
    await page.goto(`/now/${JOB}/nowhere`);
    await page.getByText('There is no such gate').waitFor();
  });
});

describe('a kill', () => {
  test('takes a reason and no more, shows before and after, and ends in a result that can be copied', async () => {
    const { page, name, faults } = await signedIn();
    await gate(page, 'eu-west-1').waitFor();
    await page.getByRole('button', { name: 'Kill…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Kill' });
    await dialog.getByLabel('Where').selectOption('eu-west-1');
    expect(await dialog.getByRole('row', { name: /eu-west-1 Open/ }).innerText()).toContain('Killed');
    const kill = dialog.getByRole('button', { name: 'Kill 1 gate' });
    expect(await kill.isDisabled()).toBe(true);
    await dialog.getByLabel('Reason').fill('deletes rows that are in use');
    // Opening and filling in a dialog is no act.
    expect(await stateOf(page, 'eu-west-1')).toBe('Open');
    await kill.click();
    const result = page.getByRole('status', { name: 'Result' });
    await result.waitFor();
    expect(await result.innerText()).toMatch(
      /1 gate killed[^]*dormant-cleanup eu-west-1: killed in \d+ ms[^]*Incident \w+/,
    );
    await gate(page, 'eu-west-1').locator('.state-killed').waitFor();
    const { rows } = await owner.query(
      `select killed_by as by, reason from portcullis_region.gate where region = 'eu-west-1'`,
    );
    expect(rows).toEqual([{ by: name, reason: 'deletes rows that are in use' }]);
    // From there, and from Now and the gate, one is at its incident.
    await page.getByRole('link', { name: /^Go on with incident/ }).click();
    await page.getByRole('heading', { name: /^Incident / }).waitFor();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Portcullis: now' }).click();
    const listed = page.getByRole('list', { name: 'Open incidents' }).first();
    await listed.getByText('Contained').waitFor();
    await gate(page, 'eu-west-1').click();
    const panel = page.getByRole('complementary', { name: 'eu-west-1' });
    await panel.getByRole('list', { name: 'Open incidents' }).getByRole('link').click();
    await page.getByRole('heading', { name: /^Incident / }).waitFor();
    // A gate elsewhere has none.
    await page.goto(`/now/${JOB}/us-east-1`);
    await page.getByRole('complementary', { name: 'us-east-1' }).getByText('Last runs').waitFor();
    await listed.waitFor();
    expect(await page.getByRole('list', { name: 'Open incidents' }).count()).toBe(1);
    expect(faults).toEqual([]);
  });

  test('is at hand on a screen that was just opened and has read no gate yet', async () => {
    const { page } = await signedIn();
    await page.goto('/record');
    await page.getByRole('button', { name: 'Kill…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Kill' });
    await dialog.getByLabel('Reason').fill('stop it');
    await dialog.getByRole('row', { name: /^us-east-1/ }).waitFor();
    await until('it can be killed', () => dialog.getByRole('button', { name: 'Kill 5 gates' }).isEnabled());
    await dialog.getByText(`portcullis kill ${JOB} --reason 'stop it'`).waitFor();
  });

  test('is asked back from its gate, and a second person is told how to approve it', async () => {
    const { page } = await signedIn();
    await page.goto(`/now/${JOB}/eu-west-1`);
    await page.getByRole('button', { name: 'Request re-arm…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('fixed in 1.5.1');
    await dialog.getByRole('button', { name: 'Request the re-arm' }).click();
    const { rows } = await until('it is asked for', async () => {
      const found = await owner.query<{ id: string }>(
        `select id from portcullis_control.approval where action = 'rearm'`,
      );
      return found.rows.length > 0 && found;
    });
    await page.getByText(`portcullis approve ${rows[0]?.id ?? ''}`, { exact: true }).waitFor();
  });

  test('is not asked back by who has not seen it: somebody killed again under the open dialog', async () => {
    const { page } = await signedIn();
    await page.goto(`/now/${JOB}/eu-west-1`);
    await page.getByRole('button', { name: 'Request re-arm…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('fixed in 1.5.1');
    const button = dialog.getByRole('button', { name: 'Request the re-arm' });
    await until('the kill is seen', () => button.isEnabled());
    await owner.query(
      `update portcullis_region.gate set epoch = epoch + 1 where job = $1 and region = 'eu-west-1'`,
      [JOB],
    );
    await button.click();
    await dialog.getByText('REVISION_STALE').waitFor();
  });

  test('of everything takes one more confirmation', async () => {
    const { page } = await signedIn();
    await gate(page, 'eu-central-1').waitFor();
    await page.keyboard.press('k');
    await page.getByRole('button', { name: 'Stop everything…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Stop everything' });
    await dialog.getByLabel('Reason').fill('the database is being moved');
    const stop = dialog.getByRole('button', { name: /^Stop all/ });
    expect(await stop.isDisabled()).toBe(true);
    await dialog.getByLabel(/^Yes, stop every job/).check();
    await stop.click();
    await page.getByRole('dialog', { name: 'Everything is stopped' }).waitFor();
    await gate(page, 'eu-central-1').locator('.state-killed').waitFor();
  });

  test('is off for a viewer, who is told why', async () => {
    const { page } = await signedIn('viewer');
    await page.getByRole('button', { name: 'Kill…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Kill' });
    await dialog.getByLabel('Reason').fill('try');
    expect(await dialog.getByRole('button', { name: /^Kill \d/ }).isDisabled()).toBe(true);
    await dialog.getByText('role viewer, which may not kill').waitFor();
    await page.goto(`/now/${JOB}/us-east-1`);
    const panel = page.getByRole('complementary', { name: 'us-east-1' });
    await panel.getByText('role viewer, which may not').waitFor();
    expect(await panel.getByRole('button', { name: /re-arm|Kill/ }).isDisabled()).toBe(true);
  });
});

test('everything can be done by keyboard alone', async () => {
  const { page } = await signedIn();
  await gate(page, 'eu-central-1').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).getByText('Kill: choose what').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  expect(await page.evaluate('document.activeElement.id')).toBe('find');
  for (let tries = 0; tries < 12; tries += 1) {
    await page.keyboard.press('Tab');
    if ((await page.evaluate('document.activeElement.dataset.gate')) !== undefined) break;
  }
  await page.keyboard.press('End');
  const last = await until('the last gate has the focus', () =>
    page.evaluate<string | undefined>('document.activeElement.dataset.gate'),
  );
  await page.keyboard.press('ArrowLeft');
  await until(
    'the focus moves on',
    async () => (await page.evaluate('document.activeElement.dataset.gate')) !== last,
  );
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /^Find a gate/ }).fill('stop every');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Stop everything' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /^Find a gate/ }).fill('us-west-2');
  await page.keyboard.press('Enter');
  await page.getByRole('complementary', { name: 'us-west-2' }).waitFor();
});

test('ten thousand gates are searched and scrolled, and few of them are drawn', async () => {
  await owner.query(
    `insert into portcullis_region.gate (job, region, state, permit_until, reason_code, reason)
     select 'many-' || n % 100, 'region-' || n / 100, 'open', clock_timestamp() + interval '1 hour', 'test', ''
     from generate_series(0, 9999) as n`,
  );
  try {
    const { page, faults } = await signedIn();
    await page.getByText('10,005 of 10,005 gates').waitFor({ state: 'attached' });
    const drawn = () => page.locator('[data-gate]').count();
    expect(await drawn()).toBeLessThan(200);
    await page.locator('[data-gate][tabindex="0"]').focus();
    await page.keyboard.press('End');
    await until('the last gate has the focus', async () => {
      const focused = await page.evaluate<string | undefined>('document.activeElement.dataset.gate');
      return focused?.startsWith('many-99 ');
    });
    expect(await drawn()).toBeLessThan(200);
    await page.getByPlaceholder('Find a job').fill('many-42 region-77');
    await until('one gate is left', async () => (await drawn()) === 1);
    expect(faults).toEqual([]);
  } finally {
    await owner.query(`delete from portcullis_region.gate where job like 'many-%'`);
  }
});

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  // Both themes differ in their colours alone.
  const rule = colorScheme === 'dark' ? 'color-contrast' : undefined;
  test('axe finds nothing on any screen, and no screen is wider than a small phone', async () => {
    const viewport = { width: 360, height: 740 };
    const { page, faults } = await signedIn('operator', { colorScheme, viewport });
    await isLive(page);
    const look = async (what: string): Promise<void> => {
      expect([what, await findings(page, rule)]).toEqual([what, []]);
      if (rule === undefined) expect([what, await wide(page)]).toEqual([what, []]);
    };
    await look('now');
    await page.goto(`/now/${JOB}/eu-west-1`);
    await page.getByText('Last runs').waitFor();
    await isLive(page);
    await look('a gate');
    await page.goto('/no-such-screen');
    await page.getByText('Not found').waitFor();
    await isLive(page);
    await look('not found');
    await page.goto('/');
    await gate(page, 'eu-west-1').waitFor();
    await isLive(page);
    for (const [key, name] of [
      ['k', 'Kill'],
      ['?', 'Keys'],
      ['Control+k', 'Find'],
    ] as const) {
      await page.keyboard.press(key);
      await page.getByRole('dialog', { name }).waitFor();
      await look(name);
      await page.keyboard.press('Escape');
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    await look('now on a desk');
    const stranger = await visit({ colorScheme, viewport });
    await stranger.page.goto('/');
    await stranger.page.getByLabel('Token').waitFor();
    expect(await findings(stranger.page, rule)).toEqual([]);
    expect([...faults, ...stranger.faults]).toEqual([]);
  });
});
