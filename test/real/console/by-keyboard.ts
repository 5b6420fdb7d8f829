import type { Page } from 'playwright-core';

/** What a person does who has no mouse, and what they notice. */

interface Focus {
  readonly name: string;
  readonly outlined: boolean;
}

/** What has the focus, as a person hears it, and whether they see that. */
export const focus = (page: Page): Promise<Focus> =>
  page.evaluate<Focus>(`(() => {
    const { activeElement: at } = document;
    const { outlineStyle, outlineWidth } = getComputedStyle(at);
    return {
      name: (at.getAttribute('aria-label') ?? at.innerText ?? '').trim(),
      outlined: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
    };
  })()`);

const MOST_TABS = 200;

/** Presses Tab until something of that name has the focus. */
export async function tabTo(page: Page, name: string): Promise<Focus> {
  const passed: string[] = [];
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    await page.keyboard.press('Tab');
    const at = await focus(page);
    if (at.name.startsWith(name)) return at;
    passed.push(at.name);
  }
  throw new Error(`Tab does not reach "${name}": it passed ${[...new Set(passed)].join(', ')}`);
}

/** A dialog that is open has the focus where the reason is written: some are loaded when they are first opened. */
export const inReason = (page: Page): Promise<void> => page.locator('dialog textarea:focus').waitFor();

/** Opens a dialog by its button, writes the reason where the focus is, and does what it is for: the result. */
export async function act(page: Page, opens: string, reason: string, does: string): Promise<string> {
  await tabTo(page, opens);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await inReason(page);
  await page.keyboard.type(reason);
  await tabTo(page, does);
  await page.keyboard.press('Enter');
  const result = page.getByRole('status', { name: 'Result' });
  await result.waitFor();
  const text = await result.innerText();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  return text;
}
