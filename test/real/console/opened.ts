import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from '@jest/globals';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Role } from '../../../src/access/roles.js';
import { EventFeed } from '../../../src/events/follow.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { outboxesOf } from '../../../src/regions/outboxes.js';
import { announceVersions } from '../../../src/rollout/announce.js';
import type { KnownJob } from '../../../src/worker/registry.js';
import { testDatabase } from '../../support/database.js';
import { requireProgram } from '../../support/debian-package.js';
import { tokenOf } from '../../support/people.js';
import { hearFlags, databasesAt, serving } from '../../http/serving.js';

/** A real server with the console, on a database of this file's own, and one browser for all its tests. */

export const CONSOLE = fileURLToPath(new URL('../../../dist/console', import.meta.url));

export const database = await testDatabase();
export const { owner } = database;
const flags = await hearFlags(owner);
/** The jobs that the server has: a test that runs one adds it. */
export const installed: KnownJob[] = [];
export const served = await serving(
  owner,
  {
    flags: flags.desk,
    feed: new EventFeed(() => outboxesOf(owner, databasesAt(owner))),
    installed: () => installed,
    grafanaUrl: 'https://grafana.example/g',
  },
  { console: CONSOLE },
);

let browser: Browser | undefined;
beforeAll(async () => {
  const executablePath = await requireProgram('chromium', 'chromium');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}, 240_000);
afterAll(() => browser?.close());

const opened: BrowserContext[] = [];

/** Closes what the tests so far have opened: a page that stays open goes on reading. */
export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map((each) => each.close()));
}

/** What a page did that no page may. */
export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors, warnings of the content security policy among them. */
  readonly faults: string[];
}

type Options = NonNullable<Parameters<Browser['newContext']>[0]>;

/** A new browser window that shares nothing with others, on a page that nobody is signed in to. */
export async function visit(options: Options = {}): Promise<Visit> {
  if (browser === undefined) throw new Error('the browser is not open');
  const context = await browser.newContext({ baseURL: served.url, reducedMotion: 'reduce', ...options });
  opened.push(context);
  const faults: string[] = [];
  const page = await context.newPage();
  watchFaults(page, faults);
  return { context, page, faults };
}

/** Failures to load are the network's, and meant by the tests that cut it. */
export function watchFaults(page: Page, faults: string[]): void {
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) faults.push(text);
  });
}

let people = 0;

/** Somebody new, signed in by their token, with every gate on the screen. */
export async function signedIn(
  role: Role = 'operator',
  options: Options = {},
): Promise<Visit & { readonly name: string; readonly token: string }> {
  people += 1;
  const name = `${role}-${people}`;
  const { token } = await tokenOf(owner, { name, role });
  const window = await visit(options);
  // The page's own form is tried in sessions.test.ts.
  const response = await window.context.request.post('/session', {
    data: { token },
    headers: { origin: options.baseURL ?? served.url },
  });
  if (!response.ok()) throw new Error(await response.text());
  await window.page.goto('/');
  await window.page.getByRole('heading', { name: 'Now', exact: true }).waitFor();
  return { ...window, name, token };
}

export interface GateSeed {
  readonly job: string;
  readonly region: string;
  readonly state?: 'open' | 'held' | 'killed';
  readonly reason?: string;
  /** How long its permit lasts; 0: it has expired. */
  readonly permitMs?: number;
}

const VERSION = '1.4.0_9f3c2a1b';
const CANDIDATE = '1.5.0_0c0ffee1';

/** A gate's row as workers and kills leave it. */
export async function seedGate({
  job,
  region,
  state = 'open',
  reason = 'the flag is on',
  permitMs,
}: GateSeed) {
  await owner.query(
    `insert into portcullis_region.gate
       (job, region, state, permit_until, variants, reason_code, reason, killed_by, killed_at, changed_at)
     values ($1, $2, $3, clock_timestamp() + $5 * interval '1 millisecond', $6, 'test', $4,
             case when $3 = 'killed' then 'bob' end, case when $3 = 'killed' then clock_timestamp() end,
             clock_timestamp() - interval '3 hours')`,
    [
      ...[job, region, state, reason, permitMs ?? 3_600_000],
      JSON.stringify([
        { version: CANDIDATE, permille: 100 },
        { version: VERSION, permille: 900 },
      ]),
    ],
  );
}

/** Runs of the last hours, each with so many changes; a negative one failed. Answers their ids, oldest first. */
export async function seedRuns(job: string, region: string, changes: readonly number[]): Promise<string[]> {
  const ids: string[] = [];
  for (const [at, n] of changes.entries()) {
    const { rows } = await owner.query<{ id: string }>(
      `insert into portcullis_region.run
         (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned, applied,
          conflicts, created_at, planned_at, finished_at)
       values (gen_random_uuid(), $1, $2, $3, clock_timestamp() - $4 * interval '15 minutes', 'schedule', $5, 'done', 'all applied',
               'worker-1', clock_timestamp(), 1, jsonb_build_object('claim', $6::int), jsonb_build_object('claim', $6::int),
               0, clock_timestamp() - $4 * interval '15 minutes', clock_timestamp(), clock_timestamp())
       returning id`,
      [job, VERSION, region, changes.length - at, n < 0 ? 'failed' : 'succeeded', Math.abs(n)],
    );
    ids.push(...rows.map(({ id }) => id));
  }
  return ids;
}

/** Puts a job's policy in force, and says that a worker serves it. */
export async function seedJob(job: string, regions: readonly string[]): Promise<void> {
  const text = `job: ${job}\nschedule: '*/15 * * * *'\nregions: [${regions.join(', ')}]\n`;
  await applyPolicies(owner, [parsePolicyFile(text, 'test.yaml')], 'test');
  await announceVersions(
    owner,
    `worker-of-${job}`,
    [VERSION, CANDIDATE].map((version) => ({ job, version, regions })),
  );
}
