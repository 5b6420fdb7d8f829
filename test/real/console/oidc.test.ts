import { afterEach, expect, test } from '@jest/globals';
import { EventFeed } from '../../../src/events/follow.js';
import { outboxesOf } from '../../../src/regions/outboxes.js';
import { Provider } from '../../../src/server/oidc.js';
import { databasesAt, serving } from '../../http/serving.js';
import { CLIENT_SECRET, startIdentityProvider } from '../../support/identity-provider.js';
import { freePort } from '../../support/prometheus.js';
import { closeAll, CONSOLE, owner, visit } from './opened.js';
import { findings, wide } from './looks.js';

/** Signing in by a real identity provider, on its own pages, in a real browser. */

const port = await freePort();
const baseURL = `http://localhost:${port}`;
const idp = await startIdentityProvider(baseURL);
await serving(
  owner,
  { feed: new EventFeed(() => outboxesOf(owner, databasesAt(owner))) },
  {
    ...{ console: CONSOLE, port },
    provider: new Provider({
      ...{ issuer: idp.issuer, clientId: 'portcullis', clientSecret: CLIENT_SECRET, clientAuth: 'post' },
      ...{ label: 'Acme', scope: 'openid profile groups', nameClaim: 'preferred_username' },
      ...{ groupsClaim: 'groups', groups: [{ group: 'sre', role: 'approver', regions: null }] },
    }),
  },
);
afterEach(closeAll);

test('a pasted link leads to the provider and back to the view that it names; signing out ends there too', async () => {
  await idp.groups('subject-ann', ['sre']);
  const { page, faults } = await visit({ baseURL });
  await page.goto('/runs?job=domain-claim');
  expect(await page.getByLabel('Token').count()).toBe(0);
  await page.getByRole('link', { name: 'Sign in with Acme' }).click();
  await page.getByPlaceholder('Enter any login').fill('subject-ann');
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByRole('heading', { name: 'Runs', exact: true }).waitFor();
  expect(new URL(page.url()).search).toBe('?job=domain-claim');
  await page.getByLabel('Signed in as ann').click();
  await page.getByText('approver, every region').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('Do you want to sign-out').waitFor();
  await page.goto(baseURL);
  await page.getByRole('link', { name: 'Sign in with Acme' }).waitFor();
  expect(faults.filter((fault) => !fault.includes(idp.issuer))).toEqual([]);
});

test('somebody in no group is told so, and what to do, in both themes and on a phone', async () => {
  await idp.groups('subject-eve', ['sales']);
  const { page } = await visit({ baseURL });
  await page.goto('/');
  await page.getByRole('link', { name: 'Sign in with Acme' }).click();
  await page.getByPlaceholder('Enter any login').fill('subject-eve');
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  await page.getByText(/eve is in none of the groups that may sign in/i).waitFor();
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      expect(await findings(page)).toEqual([]);
      expect(await wide(page)).toEqual([]);
      if (process.env['PICTURES'])
        await page.screenshot({ path: `${process.env['PICTURES']}/signin-${width}-${colorScheme}.png` });
    }
  }
  await page.reload();
  await page.getByRole('link', { name: 'Sign in with Acme' }).waitFor();
  expect(await page.getByText(/none of the groups/).count()).toBe(0);
});
