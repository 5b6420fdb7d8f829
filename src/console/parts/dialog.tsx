import type { ComponentChildren } from 'preact';
import { number } from '../../kernel/words.js';
import { focusNear, pathTo } from '../focus.js';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  readonly className?: string;
}

/** A dialog over the page. The browser keeps the focus in it, closes it on Escape, and gives the focus back. */
export function Dialog({ title, onClose, children, className = '' }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const before = pathTo(document.activeElement);
    const element = dialog.current;
    element?.showModal();
    return () => {
      // While it is open, nothing behind it takes the focus.
      element?.close();
      focusNear(before);
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${className}`}
      aria-labelledby={id}
      // Whoever follows a link in it has left it, also where that leads to the screen under it.
      onClick={(event) => {
        if (event.defaultPrevented && event.target instanceof Element && event.target.closest('a') !== null)
          onClose();
      }}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      // A second Escape closes it whatever the page says; the page's own closing comes here once it is gone.
      onClose={(event) => {
        if (event.currentTarget.isConnected) onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id={id}>{title}</h2>
        <button type="button" class="quiet-button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface BeforeAfterProps {
  readonly caption?: string;
  /** Of the three columns. */
  readonly heads?: readonly [string, string, string];
  readonly changes: readonly {
    readonly place: string;
    /** A text wraps; a number is written as one. */
    readonly now: ComponentChildren;
    readonly then: ComponentChildren;
  }[];
  /** What is not among them, in words. */
  readonly more?: string | undefined;
}

/** What an act would change, as it is now and as it would be. */
export function BeforeAfterTable({
  caption = 'What it changes',
  heads = ['Where', 'Now', 'Then'],
  changes,
  more,
}: BeforeAfterProps) {
  const classOf = (cell: ComponentChildren): string | undefined =>
    ({ string: 'wraps', number: 'number' })[typeof cell as string];
  return (
    <table class="before">
      <caption>{caption}</caption>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {changes.map(({ place, now, then }) => (
          <tr key={place}>
            <th scope="row">{place}</th>
            <td class={classOf(now)}>{typeof now === 'number' ? number(now) : now}</td>
            <td class={classOf(then)}>
              <span aria-hidden="true">→ </span>
              {then}
            </td>
          </tr>
        ))}
        {more !== undefined && (
          <tr>
            <td colSpan={3}>{more}</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}
