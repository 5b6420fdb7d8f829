import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { reportPage } from '../../src/demo/incident/report-page.js';
import type { WorldResult } from '../../src/demo/incident/result.js';
import { requireProgram } from '../support/debian-package.js';
import { RESULT } from '../unit/demo/replay-result.js';

/** The report of a large replay, as a browser shows and prints it: with the longest figures that there are. */

const [ungated, untouched] = RESULT.worlds;
if (ungated === undefined || untouched === undefined) throw new Error('there are no worlds to show');
const worlds: WorldResult[] = [
  {
    ...ungated,
    wronglyClaimed: 1_511_403,
    organisationsTouched: 100_002,
    rowsRestored: 1_762_470,
    editsLost: 23_168,
    rowsNotAsBefore: 23_168,
    readings: [0, 15, 60, 118].map((minute) => ({ minute, wronglyClaimed: Math.min(minute, 15) * 100_000 })),
  },
  { ...ungated, name: 'a flag', restore: { ms: 4_000_000, clock: 'real' } },
  untouched,
  { ...untouched, name: 'Portcullis, without invariants' },
  { ...untouched, name: 'Portcullis, login failures only', noticedBy: `logins: ${'x'.repeat(300)}` },
];

const folder = await mkdtemp(join(tmpdir(), 'portcullis-report-'));
const file = join(folder, 'incident.html');
let browser: Browser | undefined;
beforeAll(async () => {
  await writeFile(file, reportPage({ ...RESULT, accounts: 2_000_000, worlds }));
  const executablePath = await requireProgram('chromium', 'chromium');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}, 240_000);
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

const VIEWS = [
  { view: 'a desktop', width: 1280, media: 'screen', colorScheme: 'light' },
  { view: 'a tablet', width: 834, media: 'screen', colorScheme: 'light' },
  { view: 'a phone', width: 400, media: 'screen', colorScheme: 'light' },
  { view: 'a phone at night', width: 360, media: 'screen', colorScheme: 'dark' },
  { view: 'a desktop at night', width: 1280, media: 'screen', colorScheme: 'dark' },
  // A4 with Chromium's margins.
  { view: 'paper', width: 718, media: 'print', colorScheme: 'dark' },
] as const;

describe.each(VIEWS)('the report on $view', ({ width, media, colorScheme }) => {
  const asked: string[] = [];
  let page: Page | undefined;
  const ask = async <T>(script: string): Promise<T> => {
    if (page === undefined) throw new Error('the page is not open');
    return page.evaluate<T>(script);
  };
  beforeAll(async () => {
    page = await browser?.newPage({ viewport: { width, height: 900 } });
    page?.on('request', (request) => asked.push(request.url()));
    await page?.emulateMedia({ media, colorScheme });
    await page?.goto(pathToFileURL(file).href);
  });
  afterAll(() => page?.close());

  test('asks for nothing but itself', () => {
    expect(asked).toEqual([pathToFileURL(file).href]);
  });

  test('is no wider than what it is shown on, and cuts nothing off', async () => {
    expect(await ask<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    expect(await ask<string[]>(`${TEXTS}; textsOutside(${width})`)).toEqual([]);
  });

  test('sets no text over another', async () => {
    expect(await ask<string[]>(`${TEXTS}; overlaps()`)).toEqual([]);
  });

  test('has text that stands out from the paper, 4.5 to 1 at least, and lines and bars 3 to 1', async () => {
    expect(await ask<string[]>(`${CONTRAST}; faint()`)).toEqual([]);
  });
});

/** Every piece of text that is seen, with its box. */
const TEXTS = `
const texts = () => {
  const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const hidden = walker.currentNode.parentElement.closest('thead') && getComputedStyle(document.querySelector('thead')).clipPath !== 'none';
    if (text === '' || hidden) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    for (const box of range.getClientRects()) found.push({ text, box });
  }
  return found;
};
const textsOutside = (width) => texts().filter(({ box }) => box.left < 0 || box.right > width).map(({ text }) => text);
const overlaps = () => {
  const all = texts();
  // A line's box is higher than its letters.
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return all.flatMap((one, at) => all.slice(at + 1).filter((other) => over(one.box, other.box)).map((other) => one.text + ' / ' + other.text));
}`;

/** WCAG 2's contrast of every text, line and bar with the page behind it. */
const CONTRAST = `
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const faint = () => {
  const paper = getComputedStyle(document.body).backgroundColor;
  const drawn = [
    ...[...document.querySelectorAll('main *')].filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''))
      .map((each) => ({ what: each.textContent.trim(), colour: getComputedStyle(each).color, least: 4.5 })),
    ...[...document.querySelectorAll('path')].map((each) => ({ what: 'line', colour: getComputedStyle(each).stroke, least: 3 })),
    ...[...document.querySelectorAll('.bars i')].map((each) => ({ what: 'bar', colour: getComputedStyle(each).backgroundColor, least: 3 })),
  ];
  return drawn.filter(({ colour, least }) => contrast(colour, paper) < least).map(({ what, colour }) => what + ' ' + colour + ' on ' + paper);
}`;
