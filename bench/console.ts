import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { median, type BenchContext } from './bench.js';
import { JOB, openInstallation, type Installation } from './console-installation.js';
import { WATCH } from './console-watch.js';
import { atEnd } from './endings.js';

export interface ConsoleFigure {
  readonly what: string;
  readonly unit: 'kB' | 'ms' | 'frames';
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** The median may be so much at most; null: for comparison only. */
  readonly reach: number | null;
  readonly ok: boolean;
}

export interface ConsoleResult {
  readonly name: 'console';
  readonly ok: boolean;
  readonly runs: number;
  /** The machine's load over the last minute, at the end. */
  readonly load: number;
  readonly figures: readonly ConsoleFigure[];
}

/** What a page may send at first, and how long it may take. */
const REACH = { firstViewKb: 60, interactiveMs: 300, changeMs: 500, taskMs: 50 };
/** A frame that is so long after the one before has missed its time, whatever the timer's jitter. */
const LATE_MS = 25;
const FRAMES = 180;

type Measured = Map<string, { unit: ConsoleFigure['unit']; reach: number | null; values: number[] }>;

/** Unlike the others it has limits instead of a reference; scrolling is compared with an empty page of the same height. */
export const consoleBench = {
  name: 'console',
  runs: 5,
  async measure({ server, runs, changes, progress }: BenchContext): Promise<ConsoleResult> {
    const executablePath = await chromiumPath();
    const installation = await openInstallation(server, changes, progress);
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    const close = atEnd(() => browser.close());
    const measured: Measured = new Map();
    try {
      for (let round = 0; round <= runs; round += 1) {
        const figures = round === 0 ? new Map() : measured;
        await measureRound(browser, installation, figures as Measured);
        progress(round === 0 ? 'warm-up' : `round ${round} of ${runs}`);
      }
    } finally {
      await close();
      await installation.close();
    }
    const figures = [...measured].map(([what, { unit, reach, values }]) => {
      const figure = rounded(median(values));
      const ok = reach === null || figure <= reach;
      return {
        ...{ what, unit, reach, ok, median: figure },
        ...{ min: rounded(Math.min(...values)), max: rounded(Math.max(...values)) },
      };
    });
    const ok = figures.every((each) => each.ok);
    return { name: 'console', ok, runs, load: rounded(loadavg()[0] ?? Number.NaN), figures };
  },
} as const;

const rounded = (figure: number): number => Number(figure.toPrecision(3));

/** Debian's, wherever the PATH has it. */
async function chromiumPath(): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'chromium');
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  throw new Error('chromium is missing: as root, run apt-get install chromium');
}

async function measureRound(browser: Browser, installation: Installation, measured: Measured): Promise<void> {
  const note = (what: string, unit: ConsoleFigure['unit'], reach: number | null, value: number): void => {
    const figure = measured.get(what) ?? { unit, reach, values: [] };
    figure.values.push(value);
    measured.set(what, figure);
  };
  // Nothing is in its cache.
  const context = await browser.newContext({
    baseURL: installation.url,
    viewport: { width: 1920, height: 1080 },
    reducedMotion: 'reduce',
  });
  try {
    const { request } = context;
    const signed = await request.post('/session', {
      data: { token: installation.token },
      headers: { origin: installation.url },
    });
    if (!signed.ok()) throw new Error(await signed.text());
    // On a busy machine.
    context.setDefaultTimeout(120_000);
    await context.addInitScript(WATCH);
    const { page, bytes } = await firstView(context);
    note('first view, gzipped', 'kB', REACH.firstViewKb, bytes / 1000);
    const start = await page.evaluate<{ shell: number; gates: number }>('watched.seen');
    note('interactive: the kill and the links answer', 'ms', REACH.interactiveMs, start.shell);
    note('the first of 10,000 gates on the screen', 'ms', null, start.gates);
    await page.locator('main.live').waitFor();
    await page.getByText('reading more gates').waitFor({ state: 'detached' });
    note('all of them known', 'ms', null, await page.evaluate<number>('performance.now()'));
    const task = async (what: string, act: () => Promise<void>, reach: number | null = REACH.taskMs) => {
      note(`longest task: ${what}`, 'ms', reach, await longestTask(browser, page, act));
    };
    let changeMs = 0;
    await task('a change arrives', async () => {
      changeMs = await change(page, installation);
    });
    note('a change in the database on the screen', 'ms', REACH.changeMs, changeMs);
    for (const [what, act] of ACTS) await task(what, () => act(page));
    const scroll = async (what: string, element: string, reach: number | null = REACH.taskMs) => {
      const script = `watched.scroll(${element}, ${FRAMES}, ${LATE_MS})`;
      // Apart: to be traced costs frames.
      note(`late frames of ${FRAMES}: ${what}`, 'frames', null, await page.evaluate<number>(script));
      await task(what, () => page.evaluate(script), reach);
    };
    await page.goto('/');
    await page.locator('[data-gate]').first().waitFor();
    await page.getByText('reading more gates').waitFor({ state: 'detached' });
    await scroll('the wall is scrolled', 'document.scrollingElement');
    await page.goto(`/runs/${installation.run}`);
    await page.locator('#change-0 .change-key').waitFor();
    await page.locator('.change-box').scrollIntoViewIfNeeded();
    await scroll(
      `${installation.changes.toLocaleString('en')} changes are scrolled`,
      `document.querySelector('.change-box')`,
    );
    await task('the band by hour is drawn', async () => {
      await page.getByRole('button', { name: 'Draw the band by hour' }).first().click();
      await page.locator('figure.hours svg').waitFor();
    });
    await page.goto(`data:text/html,${encodeURIComponent(EMPTY)}`);
    await scroll('an empty page is scrolled', 'document.scrollingElement', null);
  } finally {
    await context.close();
  }
}

const EMPTY = '<!doctype html><title>Empty</title><div style="height: 200000px"></div>';

/** Opens the console, and counts what came before the gates that is no answer of the API, as gzip makes it. */
async function firstView(context: BrowserContext): Promise<{ page: Page; bytes: number }> {
  const page = await context.newPage();
  const files: Promise<Buffer>[] = [];
  page.on('response', (response) => {
    if (!response.url().includes('/api/')) files.push(response.body());
  });
  await page.goto('/');
  await page.locator('[data-gate]').first().waitFor();
  const bodies = await Promise.all(files.splice(0));
  return { page, bytes: bodies.reduce((sum, body) => sum + gzipSync(body).length, 0) };
}

/** From the commit of a gate's kill to its picture. */
async function change(page: Page, { owner }: Installation): Promise<number> {
  const region = 'region-000';
  await owner.query(
    `update portcullis_region.gate set state = 'open', killed_by = null, killed_at = null where job = $1 and region = $2`,
    [JOB, region],
  );
  const gate = page.locator(`[data-gate="${JOB} ${region}"]`);
  await gate.locator('.state-open').waitFor();
  const seen = page.evaluate<number>(`watched.whenThere('[data-gate="${JOB} ${region}"] .state-killed')`);
  await owner.query(
    `update portcullis_region.gate set state = 'killed', reason = 'the bench', killed_by = 'bench', killed_at = clock_timestamp()
     where job = $1 and region = $2`,
    [JOB, region],
  );
  const committed = Date.now();
  return (await seen) - committed;
}

const counted = (page: Page, text: RegExp): Promise<void> =>
  page.getByText(text).waitFor({ state: 'attached' });
const EVERY = /^([\d,]+) of \1 gates$/;

const ACTS: readonly (readonly [string, (page: Page) => Promise<void>])[] = [
  [
    'gates are searched',
    async (page) => {
      await page.locator('#find').pressSequentially('wall-0042', { delay: 30 });
      await counted(page, /^100 of /);
    },
  ],
  [
    'the search is emptied',
    async (page) => {
      await page.locator('#find').fill('');
      await counted(page, EVERY);
    },
  ],
  [
    'gates are filtered by their state',
    async (page) => {
      await page.getByRole('button', { name: /held$/ }).click();
      await counted(page, /^2,0\d\d of /);
      await page.getByRole('button', { name: /held$/ }).click();
      await counted(page, EVERY);
    },
  ],
  ...['region', 'state', 'job'].map(
    (by) =>
      [
        `gates are grouped by ${by}`,
        async (page: Page) => {
          await page.getByLabel('Group by').selectOption(by);
          await page.evaluate('watched.twoFrames()');
        },
      ] as const,
  ),
  [
    'the last gate is gone to',
    async (page) => {
      await page.locator('[data-gate][tabindex="0"]').focus();
      await page.keyboard.press('End');
      await page.locator('[data-gate^="wall-0099 "]').last().waitFor();
    },
  ],
  [
    'a gate is opened and closed',
    async (page) => {
      await page.locator('[data-gate][tabindex="0"]').press('Enter');
      await page.locator('.panel').waitFor();
      await page.keyboard.press('Escape');
      await page.locator('.panel').waitFor({ state: 'detached' });
    },
  ],
  [
    'a kill is asked for',
    async (page) => {
      await page.getByRole('button', { name: 'Kill…', exact: true }).click();
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    },
  ],
  [
    'something is found by the palette',
    async (page) => {
      await page.keyboard.press('Control+k');
      await page.locator('dialog input').pressSequentially('region-07', { delay: 30 });
      await page.locator('dialog [role=option]').first().waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    },
  ],
];

const TRACED = ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'];

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor. */
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/** The longest that the page was busy at a time during an act, in ms of the processor: whatever else runs does not count. */
async function longestTask(browser: Browser, page: Page, act: () => Promise<void>): Promise<number> {
  await browser.startTracing(page, { categories: TRACED });
  await act();
  await page.evaluate('watched.twoFrames()');
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: readonly TraceEvent[];
  };
  const threadOf = ({ pid, tid }: TraceEvent): string => `${pid} ${tid}`;
  const main = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map(threadOf),
  );
  const tasks = traceEvents.filter((event) => event.name.endsWith('RunTask') && main.has(threadOf(event)));
  return Math.max(0, ...tasks.map(({ tdur = 0 }) => tdur / 1000));
}
