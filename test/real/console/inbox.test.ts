import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { requestApproval } from '../../../src/access/approvals.js';
import { person, personId } from '../../support/people.js';
import { closeAll, owner, seedGate, seedJob, served, signedIn } from './opened.js';
import { findings, wide } from './looks.js';

/** The screen Inbox, and what is decided there, in a real browser. */

const JOB = 'dormant-cleanup';
const REGION = 'eu-west-1';
const MARKUP = '<img src=x onerror=alert(1)>';
const olga = person('olga', 'operator');

beforeAll(async () => {
  await owner.query('delete from portcullis_control.policy; delete from portcullis_control.flag');
  await seedJob(JOB, [REGION]);
  await seedGate({ job: JOB, region: REGION, state: 'killed', reason: 'deletes rows that are in use' });
});
afterEach(closeAll);

/** Olga asks for the killed gate to be re-armed. */
async function askRearm(by = olga): Promise<string> {
  const { rows } = await owner.query<{ epoch: number }>(
    'select epoch::int from portcullis_region.gate where job = $1 and region = $2',
    [JOB, REGION],
  );
  const gate = { region: REGION, epoch: rows[0]?.epoch ?? -1, killedFor: 'deletes rows that are in use' };
  const { id } = await requestApproval(
    owner,
    {
      ...{ action: 'rearm', subject: `${JOB}.${REGION}`, region: REGION, reason: 'fixed in 1.5.1' },
      evidence: { job: JOB, gates: [gate], onRearm: 'skip' },
    },
    by,
  );
  return id;
}

/** A rollout's next wave waits, after a bake that was skipped. */
async function askWave(wave: string): Promise<string> {
  const evidence = {
    rollout: 'r1',
    version: '1.5.0_0c0ffee1',
    wave,
    regions: [
      {
        ...{ region: REGION, permille: 1000, runs: 12, changes: 340 },
        verdicts: { 'conflict-share': 'pass', 'login-failures': 'too-few' },
        skipped: [{ step: 0, by: 'olga', approvedBy: 'bob', reason: MARKUP }],
      },
    ],
    reach: { permille: { 'us-east-1': 20 }, units: 130 },
  };
  const { id } = await requestApproval(
    owner,
    {
      ...{ action: 'begin-wave', subject: `${JOB} 1.5.0_0c0ffee1 in wave ${wave}`, reason: 'the fix' },
      evidence: {
        ...{ rollout: 'r1', wave, evidenceHash: 'ab'.repeat(32), evidence },
        unitLabel: { one: 'tenant', many: 'tenants' },
      },
      expiresInMs: 86_400_000,
    },
    olga,
  );
  return id;
}

const card = (page: Page, id: string) => page.locator(`[data-request="${id}"]`);
const decisionOf = async (id: string) =>
  (
    await owner.query<{ decision: string | null }>(
      'select decision from portcullis_control.approval where id = $1',
      [id],
    )
  ).rows[0]?.decision;

describe('a request', () => {
  test('appears while one looks, says who asks for what, and is approved in two steps', async () => {
    const { page, name, faults } = await signedIn('approver');
    await page.goto('/inbox');
    await page.locator('main.live').waitFor();
    await page.getByRole('heading', { name: 'Inbox' }).waitFor();
    const id = await askRearm();
    await card(page, id).waitFor();
    const text = await card(page, id).innerText();
    expect(text).toMatch(/Re-arm[^]*dormant-cleanup\.eu-west-1[^]*fixed in 1\.5\.1[^]*Asked for by olga/);
    expect(text).toMatch(/killed: deletes rows that are in use[^]*held until its flag opens it/);
    await card(page, id).getByRole('button', { name: 'Approve…' }).click();
    const dialog = page.getByRole('dialog', { name: `Approve ${id}` });
    await dialog.getByText(`portcullis approve ${id}`).waitFor();
    // Opening a dialog is no act.
    expect(await decisionOf(id)).toBeNull();
    await dialog.getByLabel('Reason').fill('I read 1.5.1');
    await dialog.getByText(`portcullis approve ${id} --reason 'I read 1.5.1'`).waitFor();
    await dialog.getByRole('button', { name: 'Approve', exact: true }).click();
    const result = page.getByRole('status', { name: 'Result' });
    await result.waitFor();
    expect(await result.innerText()).toContain(`Decided by ${name}`);
    const { rows } = await owner.query('select state from portcullis_region.gate where region = $1', [
      REGION,
    ]);
    expect(rows).toEqual([{ state: 'held' }]);
    const { rows: kept } = await owner.query(
      `select evidence ->> 'decisionReason' as why from portcullis_control.audit where action = 'approve' and subject = $1`,
      [id],
    );
    expect(kept).toEqual([{ why: 'I read 1.5.1' }]);
    await page.getByRole('button', { name: 'Close', exact: true }).last().click();
    await card(page, id).getByText(`approved by ${name}`).waitFor();
    expect(faults).toEqual([]);
  });

  test('that somebody decided under an open dialog is refused, and the page says so', async () => {
    const id = await askWave('europe');
    const { page, token } = await signedIn('approver');
    await page.goto(`/inbox/${id}`);
    await card(page, id).getByRole('button', { name: 'Reject…' }).click();
    const other = await fetch(`${served.url}/api/v1/approvals/${id}/reject`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(other.status).toBe(200);
    await page.getByRole('dialog').getByRole('button', { name: 'Reject', exact: true }).click();
    await page.getByRole('dialog').getByText('APPROVAL_DECIDED').waitFor();
  });

  test('is rejected with a reason, and nothing of it is done', async () => {
    const id = await askWave('asia');
    const { page, name, faults } = await signedIn('approver');
    await page.goto(`/inbox/${id}`);
    await card(page, id).getByRole('button', { name: 'Reject…' }).click();
    const dialog = page.getByRole('dialog', { name: `Reject ${id}` });
    await dialog.getByText('Nothing changes: what was asked for is not done.').waitFor();
    await dialog.getByLabel('Reason').fill('not before Monday');
    await dialog.getByText(`portcullis reject ${id} --reason 'not before Monday'`).waitFor();
    await dialog.getByRole('button', { name: 'Reject', exact: true }).click();
    const said = page.getByRole('status', { name: 'Result' });
    await said.getByText(`Decided by ${name}`).waitFor();
    expect(await decisionOf(id)).toBe('reject');
    await page.keyboard.press('Escape');
    await card(page, id).getByText(`rejected by ${name}`).waitFor();
    expect(faults).toEqual([]);
  });

  test('is not for whoever asked, nor for who may not approve, and they are told why', async () => {
    const viewer = await signedIn('viewer');
    const approver = await signedIn('approver');
    const id = await askRearm(person(approver.name, 'approver'));
    for (const [{ page }, why] of [
      [viewer, 'role viewer, which may not approve'],
      [approver, 'You asked for it: another person decides.'],
    ] as const) {
      await page.goto(`/inbox/${id}`);
      await card(page, id).getByText(why).waitFor();
      expect(await card(page, id).getByRole('button', { name: 'Approve…' }).isDisabled()).toBe(true);
      expect(await card(page, id).getByRole('button', { name: 'Reject…' }).isDisabled()).toBe(true);
    }
  });
});

test('one’s own request approves itself in an hour where nobody else may approve it, and not otherwise', async () => {
  const { page, name, faults } = await signedIn('admin');
  // Killed once more: what others asked for above is of the kill before.
  await owner.query('update portcullis_region.gate set epoch = epoch + 1 where job = $1', [JOB]);
  const id = await askRearm(person(name, 'admin'));
  await page.goto(`/inbox/${id}`);
  const ask = async (): Promise<void> => {
    await card(page, id).getByRole('button', { name: 'Approve alone…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Approve it in an hour' }).click();
  };
  await signedIn('approver');
  await ask();
  await page.getByRole('dialog').getByText('ALONE_REFUSED').waitFor();
  await page.keyboard.press('Escape');
  await owner.query(
    'update portcullis_control.api_token set revoked_at = clock_timestamp() where person <> $1',
    [personId(name)],
  );
  await ask();
  await page.getByRole('status', { name: 'Result' }).getByText(`${id} approves itself at`).waitFor();
  await page.keyboard.press('Escape');
  await card(page, id).getByText('It approves itself at').waitFor();
  expect(faults).toEqual([]);
});

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  const rule = colorScheme === 'dark' ? 'color-contrast' : undefined;
  test('a wave shows its evidence, whom it reaches and what was skipped, and axe finds nothing', async () => {
    const id = await askWave(colorScheme);
    const { page, faults } = await signedIn('approver', {
      colorScheme,
      viewport: { width: 360, height: 740 },
    });
    await page.goto('/inbox');
    await page.locator('main.live').waitFor();
    await card(page, id).waitFor();
    const text = await card(page, id).innerText();
    expect(text).toMatch(/us-east-1\s+not begun\s+→ 2 %[^]*about 130 tenants/);
    expect(text).toContain(`bake skipped, not checked: step 1 by olga: ${MARKUP}`);
    expect(text).toMatch(/✓ conflict-share: pass[^]*\? login-failures: too few/);
    expect(await findings(page, rule)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    await card(page, id).getByText('All of the evidence').click();
    await card(page, id).getByRole('button', { name: 'Approve…' }).click();
    await page.getByRole('dialog').getByText('You approve the evidence abababababab').waitFor();
    expect(await findings(page, rule)).toEqual([]);
    expect(await wide(page)).toEqual([]);
    await page.keyboard.press('Escape');
    expect(faults).toEqual([]);
  });
});
