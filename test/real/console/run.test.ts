import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { writeVerdicts } from '../../../src/guard/verdict-rows.js';
import { until } from '../../support/until.js';
import { runOnce, seedClaims, withWorker } from './claims.js';
import { closeAll, owner, seedRuns, signedIn } from './opened.js';
import { findings, wide } from './looks.js';

/** The screen Run, and what is done there, in a real browser. */

const MARKUP = '<img src=x onerror=alert(1)>';
let run = '';

beforeAll(async () => {
  await seedClaims();
  run = await runOnce();
  // What a rule that counts and one that failed have written, on real figures.
  await writeVerdicts(owner, run, 'plan', [
    {
      ...{
        rule: 'claims-per-run',
        verdict: 'pass',
        reason: 'claims-per-run: 20 planned; runs plan 18 (9–31)',
      },
      figures: { observed: 20, expected: 18.4, low: 9, high: 31, comparable: 'runs at 14:00', samples: 96 },
    },
    {
      ...{ rule: 'nobody-elses', verdict: 'fail', reason: 'nobody-elses: 1 row breaks it' },
      figures: { observed: 1 },
      evidence: [{ key: 'r1-acc-0-0', owner: MARKUP }],
    },
  ]);
  // Somebody else changes one of the rows: a restore leaves it alone.
  await owner.query(`update directory.account set organisation_id = 'r1-org-1' where id = 'r1-acc-0-0'`);
});
afterEach(closeAll);

const grid = (page: Page) => page.getByRole('grid', { name: 'Changes' });
const chosen = (page: Page) => page.getByRole('region', { name: 'The chosen change' });

describe('the list of runs', () => {
  test('counts held runs until they are asked for, and what it looks for stands in the address', async () => {
    await owner.query(
      `insert into portcullis_region.run
         (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, finished_at)
       values (gen_random_uuid(), 'idle', '1.0.0_a', 'r9', clock_timestamp(), 'schedule', 'held', 'flag-off', $1, 'w',
               clock_timestamp(), 1, clock_timestamp())`,
      [`off; see ${MARKUP}`],
    );
    const { page, faults } = await signedIn();
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.locator(`[data-run="${run}"]`).waitFor();
    await page.getByText('1 held run not shown.').waitFor();
    await page.getByLabel('Held runs too').check();
    await page.getByText(`off; see ${MARKUP}`).waitFor();
    expect(new URL(page.url()).search).toBe('?held=1');
    await page.getByLabel('Status').selectOption('held');
    await until('only the held one is left', async () => (await page.locator('[data-run]').count()) === 1);
    await page.reload();
    await page.getByText(`off; see ${MARKUP}`).waitFor();
    expect(faults).toEqual([]);
  });

  test('goes on to older runs page by page, and leads to one', async () => {
    await seedRuns(
      'many',
      'r2',
      Array.from({ length: 60 }, (_, n) => n),
    );
    const { page } = await signedIn();
    await page.goto('/runs?job=many');
    await until('a page is there', async () => (await page.locator('[data-run]').count()) === 50);
    await page.getByRole('link', { name: 'Older runs' }).click();
    await until('the rest is there', async () => (await page.locator('[data-run]').count()) === 10);
    await page.goBack();
    await until('the newest are there', async () => (await page.locator('[data-run]').count()) === 50);
    await page.goto('/runs');
    await page.locator(`[data-run="${run}"]`).getByRole('link').first().click();
    await page.getByRole('heading', { name: `Run ${run.slice(0, 8)}` }).waitFor();
    expect(new URL(page.url()).pathname).toBe(`/runs/${run}`);
  });
});

describe.each(['light', 'dark'] as const)('a run in %s', (colorScheme) => {
  test('shows its plan against caps and expectation, what rules said, and axe finds nothing', async () => {
    const { page, faults } = await signedIn('operator', {
      colorScheme,
      viewport: { width: 360, height: 740 },
    });
    await page.goto(`/runs/${run.slice(0, 8)}`);
    await page.locator('main.live').waitFor();
    const dashboard = await page.getByRole('link', { name: 'Grafana' }).getAttribute('href');
    expect(dashboard).toMatch(/^https:\/\/grafana\.example\/g\/d\/portcullis-runs\?.*&from=\d+&to=\d+$/);
    const plan = page.getByRole('region', { name: 'Plan' });
    await plan.waitFor();
    expect(await plan.innerText()).toMatch(/claim\s+20 planned, 30 at most in a run/);
    expect(await page.locator('[data-expected="claims-per-run"]').innerText()).toMatch(
      /20 within the expected 9 to 31, 18 on average[^]*Compared with runs at 14:00, 96 of them/,
    );
    const failed = page.locator('[data-rule="nobody-elses"]');
    expect(await failed.innerText()).toContain('✕ nobody-elses: fail');
    // What a row holds is text, whatever it looks like.
    expect(await failed.getByRole('cell').allInnerTexts()).toEqual(['r1-acc-0-0', MARKUP]);
    await page.getByText('20 of 20 changes', { exact: true }).waitFor();
    await chosen(page).waitFor();
    expect(await findings(page)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    await page.getByRole('button', { name: 'Draw the band by hour' }).click();
    await page.getByText('Too few runs are known').waitFor();
    expect(faults).toEqual([]);
  });
});

describe('changes', () => {
  test('say before and after, and all that is known of the one that is chosen by keys', async () => {
    const { page, faults } = await signedIn();
    await page.goto(`/runs/${run}`);
    await chosen(page).waitFor();
    const first = await chosen(page).innerText();
    expect(first).toMatch(/claim: account r1-acc[^]*state\s+UNMANAGED\s+MANAGED/);
    await grid(page).focus();
    await page.keyboard.press('ArrowDown');
    await until('the next is chosen', async () => (await chosen(page).innerText()) !== first);
    await page.keyboard.press('Home');
    await until('the first is chosen', async () => (await chosen(page).innerText()) === first);
    await page.getByLabel('State').selectOption('conflict');
    await page.getByText('No change fits.').waitFor();
    expect(faults).toEqual([]);
  });

  test('by the hundred thousand are scrolled to their end in a few readings', async () => {
    const id = '5eed0000-0000-4000-8000-0000000c0de5';
    await owner.query(
      `insert into portcullis_region.run
         (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned, applied,
          created_at, planned_at, finished_at)
       values ($1, 'large', '1.0.0_a', 'r3', clock_timestamp(), 'schedule', 'succeeded', 'done', 'all applied', 'w',
               clock_timestamp(), 2, '{"claim": 300000}', '{"claim": 300000}', clock_timestamp(), clock_timestamp(),
               clock_timestamp())`,
      [id],
    );
    await owner.query(
      `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
       select $1, lane, seq, 'account', lane || '-' || seq, 'claim', 'org', '{"n": 1}', '{"n": 2}', '{}'
       from generate_series(0, 1) lane, generate_series(1, 150000) seq`,
      [id],
    );
    await owner.query(
      `insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq)
       select $1, lane, 1, 150000, 150000 from generate_series(0, 1) lane`,
      [id],
    );
    const { page, faults } = await signedIn();
    const read: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/changes')) read.push(request.url());
    });
    await page.goto(`/runs/${id}`);
    await page.getByText('300,000 of 300,000 changes', { exact: true }).waitFor();
    await grid(page).focus();
    await page.keyboard.press('End');
    await chosen(page).getByText('1-150000').waitFor();
    // By the wheel, too, to where the lanes meet.
    await page.evaluate(
      `(() => { const box = document.querySelector('.change-box'); box.scrollTop = (box.scrollHeight - box.clientHeight) / 2; })()`,
    );
    await grid(page).getByText('account 1-1', { exact: true }).waitFor();
    expect(read.length).toBeLessThan(8);
    expect(faults).toEqual([]);
  });
});

describe('a restore', () => {
  test('is for who may, who is told why the button is off', async () => {
    const { page } = await signedIn('viewer');
    await page.goto(`/runs/${run}`);
    await page.getByText('Restore: You act as').waitFor();
    expect(await page.getByRole('button', { name: 'Restore…' }).isDisabled()).toBe(true);
    expect(await page.getByRole('button', { name: 'Kill its gate…' }).isDisabled()).toBe(true);
  });

  test('shows what it would do, takes a reason, and is followed to its end', async () => {
    const { page, faults } = await signedIn();
    await page.goto(`/runs/${run}`);
    await page.getByRole('button', { name: 'See what a restore would do now' }).click();
    const conflicts = page.getByRole('region', { name: 'Conflicts' });
    await conflicts.waitFor();
    expect(await conflicts.innerText()).toMatch(/account r1-acc-0-0[^]*organisation_id: r1-org-1/);
    await page.getByRole('button', { name: 'Restore…' }).click();
    const dialog = page.getByRole('dialog', { name: `Restore run ${run.slice(0, 8)}` });
    expect(await dialog.getByRole('row', { name: /^As the run left them/ }).innerText()).toMatch(/19/);
    expect(await dialog.getByRole('row', { name: /^Changed by others/ }).innerText()).toMatch(
      /1\s+→ skipped/,
    );
    const button = dialog.getByRole('button', { name: 'Restore', exact: true });
    expect(await button.isDisabled()).toBe(true);
    await dialog.getByLabel('Reason').fill('the wrong domains');
    await dialog.getByText(`portcullis restore ${run.slice(0, 8)} --reason 'the wrong domains'`).waitFor();
    expect(await findings(page)).toEqual([]);
    await button.click();
    await page.getByRole('status', { name: 'Result' }).waitFor();
    const progress = page.getByRole('dialog').locator('.progress');
    await withWorker(() => progress.getByText('succeeded').waitFor({ timeout: 120_000 }));
    expect(await progress.innerText()).toContain(': 19 of 20 rows restored, 1 conflict');
    await page.keyboard.press('Escape');
    await page.getByRole('progressbar', { name: /^Restore/ }).waitFor();
    const { rows } = await owner.query(
      `select evidence ->> 'reason' as reason from portcullis_control.audit where action = 'restore' and subject = $1`,
      [run],
    );
    expect(rows).toEqual([{ reason: 'the wrong domains' }]);
    expect(faults).toEqual([]);
  });
});
