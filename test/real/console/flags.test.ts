import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { setAdmittedFlag } from '../../support/admissions.js';
import { closeAll, owner, seedJob, signedIn } from './opened.js';
import { findings, wide } from './looks.js';

/** The screens Flags, Unit, and Record and health, in a real browser. */

const JOB = 'nightly';
const MARKUP = '<img src=x onerror=alert(1)>';
const VERSION = '1.4.0_9f3c2a1b';

beforeAll(async () => {
  await seedJob(JOB, ['eu']);
  const by = { changedBy: 'test', job: JOB, region: 'eu', enabled: true };
  await setAdmittedFlag(owner, { ...by, variants: [{ version: VERSION, permille: 400 }], reason: MARKUP });
  await setAdmittedFlag(owner, {
    ...by,
    variants: [{ version: VERSION, permille: 1000 }],
    reason: 'all of it',
  });
});
afterEach(closeAll);

const result = async (page: Awaited<ReturnType<typeof signedIn>>['page']): Promise<string> => {
  const said = page.getByRole('status', { name: 'Result' });
  await said.waitFor();
  return said.innerText();
};

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  test('a flag, a unit and the record are read by who may do nothing, on a phone, and axe finds nothing', async () => {
    const { page, faults } = await signedIn('viewer', { colorScheme, viewport: { width: 360, height: 740 } });
    await page.goto(`/flags/${JOB}/eu`);
    await page.locator('main.live').waitFor();
    await page.getByRole('region', { name: 'History' }).getByText(MARKUP).waitFor();
    await page.getByText(/role viewer, which may not set flag/).waitFor();
    expect(await page.getByRole('button', { name: 'Turn off…' }).isDisabled()).toBe(true);
    expect(await findings(page)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    // Between a phone and a wide screen, the links at the top fit too.
    for (const width of [800, 1160, 1200, 1380]) {
      await page.setViewportSize({ width, height: 740 });
      expect([width, await wide(page)]).toEqual([width, []]);
    }
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto('/units?q=org-1');
    await page.locator(`[data-flag="${JOB}.eu"]`).getByText('org-1 has the bucket').waitFor();
    expect(await findings(page)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    await page.goto('/record');
    await page.locator('[data-seq]').first().waitFor();
    await page.locator(`[data-worker="worker-of-${JOB}"]`).waitFor();
    expect(await findings(page)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    expect(faults).toEqual([]);
  });
});

test('a flag says what it gives to one unit, is turned off, and reverted from what was seen alone', async () => {
  const { page, faults } = await signedIn('operator');
  await page.getByRole('link', { name: 'Flags', exact: true }).click();
  await page.locator(`[data-flag="${JOB}.eu"]`).getByRole('link').click();
  await page.getByLabel('Unit', { exact: true }).fill('org-1');
  await page.keyboard.press('Enter');
  const answer = page.getByRole('status', { name: 'Answer' });
  await answer.waitFor();
  expect(await answer.innerText()).toMatch(/✓ 1\.4\.0_9f3c2a1b[^]*org-1 has the bucket \d+ of 1000/);

  await page.getByRole('button', { name: 'Turn off…' }).click();
  const off = page.getByRole('dialog', { name: `Turn off: ${JOB}.eu` });
  expect(await off.getByRole('row', { name: /^eu/ }).innerText()).toMatch(
    /on: 1\.4\.0 100 %\s+→ off: 1\.4\.0 100 %/,
  );
  await off.getByLabel('Reason').fill('support asked for a pause');
  await off.getByRole('button', { name: 'Turn off', exact: true }).click();
  expect(await result(page)).toContain(`${JOB}.eu is off`);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Turn on…' }).waitFor();

  const revert = page.getByRole('button', { name: /^Revert to revision/ }).last();
  await revert.click();
  const dialog = page.getByRole('dialog', { name: /^Revert to revision/ });
  await dialog.getByLabel('Reason').fill('as it was');
  // Somebody else is faster.
  const variants = [{ version: VERSION, permille: 10 }];
  await setAdmittedFlag(owner, {
    ...{ job: JOB, region: 'eu', enabled: true, variants, reason: 'mine', changedBy: 'bob' },
  });
  await dialog.getByRole('button', { name: /^Revert/ }).click();
  await dialog.getByText('FLAG_REVISION_STALE').waitFor();
  await page.keyboard.press('Escape');
  // As it stands now, it is reverted, and turned on.
  await page.getByRole('region', { name: 'History' }).getByText('by bob').waitFor();
  await revert.click();
  await dialog.getByLabel('Reason').fill('as it was');
  await dialog.getByRole('button', { name: /^Revert/ }).click();
  expect(await result(page)).toMatch(
    /^nightly\.eu is off: no version has a share[^]*before: on: 1\.4\.0 1 %/,
  );
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Turn on…' }).click();
  const on = page.getByRole('dialog', { name: `Turn on: ${JOB}.eu` });
  await on.getByLabel('Reason').fill('support is done');
  await on.getByRole('button', { name: 'Turn on', exact: true }).click();
  expect(await result(page)).toContain(`${JOB}.eu is on`);
  expect(faults).toEqual([]);
});

test('the audit log is searched, and its chain verified', async () => {
  const { page, faults } = await signedIn('viewer');
  await page.goto('/record');
  await page.getByLabel('Action').fill('set-flag');
  await page.keyboard.press('Enter');
  await page
    .locator('[data-seq]', { hasText: `${JOB}.eu` })
    .first()
    .waitFor();
  expect(new URL(page.url()).search).toBe('?action=set-flag');
  await page.getByRole('button', { name: 'Verify the chain' }).click();
  const chain = page.getByRole('status', { name: 'The chain' });
  await chain.getByText('The log is whole').waitFor();
  await chain.getByText('portcullis audit verify --expect-head').waitFor();
  expect(faults).toEqual([]);
});

test('receivers stand with what they take; one is tried, and a delivery that was given up is tried again', async () => {
  await owner.query(
    `insert into portcullis_control.receiver (name, kind, target, severities, seen_at)
     values ('oncall', 'pagerduty', 'events.example', '{critical}', clock_timestamp() + interval '1 hour'),
            ('away', 'webhook', $1, null, clock_timestamp() - interval '5 minutes')`,
    [MARKUP],
  );
  const { page, faults } = await signedIn('operator');
  await page.goto('/record');
  const oncall = page.locator('[data-receiver="oncall"]');
  await oncall.waitFor();
  expect(await oncall.innerText()).toMatch(
    /untried[^]*oncall pagerduty, events\.example[^]*critical; every kind/,
  );
  const away = page.locator('[data-receiver="away"]');
  expect(await away.innerText()).toContain(MARKUP);
  await away.getByText('not served').waitFor();
  expect(await away.getByRole('button', { name: 'Test…' }).isDisabled()).toBe(true);

  await oncall.getByRole('button', { name: 'Test…' }).click();
  const one = page.getByRole('dialog', { name: 'Send a test notification' });
  await one.getByText('oncall gets one message').waitFor();
  await one.getByText('portcullis notifications test oncall').waitFor();
  await one.getByRole('button', { name: 'Send the test' }).click();
  const id = /Notification (\S+)/.exec(await result(page))?.[1] ?? '';
  await page.keyboard.press('Escape');
  const { rows } = await owner.query('select details from portcullis_control.notice where id = $1', [id]);
  expect(rows).toEqual([{ details: { receiver: 'oncall' } }]);

  // Given up: the row says so, and has the way to try again.
  await owner.query(
    `insert into portcullis_control.delivery (notice, receiver, state, attempts, last_problem, ended_at)
     values ($1, 'oncall', 'dead', 12, 'HTTP 500', clock_timestamp())`,
    [id],
  );
  await page.reload();
  await oncall.getByText('1 given up').waitFor();
  await page.locator(`[data-notification="${id}"]`).getByRole('button', { name: 'Try again…' }).click();
  await page
    .getByRole('dialog', { name: 'Try deliveries again' })
    .getByRole('button', { name: 'Try again' })
    .click();
  expect(await result(page)).toContain('oncall: pending');
  await page.keyboard.press('Escape');
  // Its second try is refused: nothing of it is given up any more.
  await page.getByRole('button', { name: 'Send a test…' }).click();
  await page.getByRole('dialog').getByText('Every receiver that is configured gets one message').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Send the test' }).click();
  expect(await result(page)).toContain('Notification ');
  expect(faults).toEqual([]);

  const viewer = await signedIn('viewer');
  await viewer.page.goto('/record');
  await viewer.page.getByText('role viewer, which may not notify').waitFor();
  expect(await viewer.page.getByRole('button', { name: 'Send a test…' }).isDisabled()).toBe(true);
});
