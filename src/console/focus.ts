/** Where the focus is, and where it goes when what has it is taken away. */

/** An element and all that it is in. */
export function pathTo(element: Element | null): Element[] {
  return element === null ? [] : [element, ...pathTo(element.parentElement)];
}

/** Gives the focus to the first of a path that can have it, or to what can be done beside it. */
export function focusNear(path: readonly Element[]): void {
  for (const at of path) {
    if (!(at instanceof HTMLElement) || !at.isConnected || at === document.body) continue;
    // What an act has done turns its own button off: the buttons beside it are what can be done next.
    const to = at.matches(':disabled') ? at.parentElement?.querySelector<HTMLElement>('button:enabled') : at;
    if (to == null) continue;
    if (to.matches('article, section, main')) to.tabIndex = -1;
    to.focus({ preventScroll: to !== at || at !== path[0] });
    if (document.activeElement === to) return;
  }
}

/**
 * Until the answer is called: where a refresh takes away, or turns off, what has the focus within an element, it goes near
 * that. The browser would give it to nothing, so that a keyboard or a screen reader began again at the top.
 */
export function keepFocus(within: Element): () => void {
  let path: Element[] = [];
  const entered = (): void => {
    path = pathTo(document.activeElement);
  };
  const observer = new MutationObserver(() => {
    const [had] = path;
    if (had === undefined || (had.isConnected && !had.matches(':disabled'))) return;
    if (document.activeElement === document.body || document.activeElement === had) focusNear(path);
  });
  within.addEventListener('focusin', entered);
  observer.observe(within, { childList: true, subtree: true, attributeFilter: ['disabled'] });
  return () => {
    within.removeEventListener('focusin', entered);
    observer.disconnect();
  };
}
