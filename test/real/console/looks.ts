import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Locator, Page } from 'playwright-core';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe finds on a page against WCAG 2.2 AA and its own good practice, or by one of its rules. */
export async function findings(page: Page, rule?: string): Promise<string[]> {
  // By the debugger, which no content security policy keeps out.
  await page.evaluate(`globalThis.axe === undefined && (() => {${axe}})()`);
  const only = rule === undefined ? {} : { runOnly: [rule] };
  const { violations } = await page.evaluate<{ violations: Finding[] }>(
    `axe.run(document, ${JSON.stringify({ resultTypes: ['violations'], ...only })})`,
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary = '' }) => `${id}: ${html} ${failureSummary}`),
  );
}

/** Texts that stand outside the window, and whether the page can be scrolled sideways at all. */
export function wide(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`
    [...(document.documentElement.scrollWidth > innerWidth ? [document.documentElement.scrollWidth + ' px'] : []),
    ...[...document.querySelectorAll('body *')]
      .filter((each) => !each.closest('.sr, .skip, thead, svg') && each.checkVisibility({ visibilityProperty: true }))
      .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''))
      .filter((each) => { const box = each.getBoundingClientRect(); return box.left < -1 || box.right > innerWidth + 1; })
      .filter((each) => !each.closest('.grid, .change-box, .scrolls') || document.documentElement.scrollWidth > innerWidth)
      .map((each) => each.textContent)]`);
}

/** An element, of which tests know no types. */
interface Drawn {
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
}

/** Whether what the selector names within an element makes a difference to the eye: without it, the picture is another. */
export async function isSeen(within: Locator, selector: string): Promise<boolean> {
  const part = within.locator(selector).first();
  const seen = await within.screenshot();
  await part.evaluate((each: Drawn) => each.setAttribute('visibility', 'hidden'));
  const without = await within.screenshot();
  await part.evaluate((each: Drawn) => each.removeAttribute('visibility'));
  return !seen.equals(without);
}
