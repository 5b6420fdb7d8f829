import { useSignal, useSignalEffect, type ReadonlySignal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import type { CallOptions } from '../../client/client.js';
import { closeDialog } from '../dialogs.js';
import { overview } from '../now/overview.js';
import { Copy } from '../parts/copy.js';
import { Dialog } from '../parts/dialog.js';
import { Problem } from '../parts/problem.js';

type Standing<Result> =
  | { readonly at: 'ready' }
  | { readonly at: 'doing' }
  | { readonly at: 'done'; readonly result: Result }
  | { readonly at: 'failed'; readonly error: unknown };

export interface Act<Input, Result> {
  readonly standing: ReadonlySignal<Standing<Result>>;
  do(input: Input): void;
}

/** Something that is done once: repeated with the same input, as where the answer was lost, it bears the same key. */
export function useAct<Input, Result>(
  carryOut: (input: Input, options: CallOptions) => Promise<Result>,
): Act<Input, Result> {
  const standing = useSignal<Standing<Result>>({ at: 'ready' });
  const tried = useRef({ input: '', key: '' });
  return {
    standing,
    do: (input) => {
      if (standing.value.at === 'doing') return;
      const text = JSON.stringify(input);
      if (tried.current.input !== text) tried.current = { input: text, key: crypto.randomUUID() };
      standing.value = { at: 'doing' };
      carryOut(input, { idempotencyKey: tried.current.key }).then(
        (result) => (standing.value = { at: 'done', result }),
        (error: unknown) => (standing.value = { at: 'failed', error }),
      );
    },
  };
}

/**
 * The job that an act is about: the one given, or else the first there is, also where gates are read only now. It stays
 * what it is once a person sees it, whatever is read later.
 */
export function useJob(given?: string): Signal<string> {
  const job = useSignal(given ?? firstJob());
  useSignalEffect(() => {
    if (job.value === '') job.value = firstJob();
  });
  return job;
}

const firstJob = (): string => overview().data.value?.jobs[0]?.job ?? '';

/** What an act came to, to be read and copied. */
export function Outcome({ title, lines }: { readonly title: string; readonly lines: readonly string[] }) {
  const text = [title, ...lines].join('\n');
  return (
    <section class="outcome" role="status" aria-label="Result">
      <div class="outcome-head">
        <h3>{title}</h3>
        <Copy text={text} what="the result" />
      </div>
      <ul>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </section>
  );
}

interface ActDialogProps<Input, Result> {
  readonly title: string;
  readonly act: Act<Input, Result>;
  /** What is done; undefined: something is missing yet. */
  readonly input: Input | undefined;
  /** Why the caller may not. */
  readonly refused?: string | undefined;
  readonly button: { readonly name: string; readonly doing: string; readonly kind: 'primary' | 'danger' };
  /** Another way, beside the buttons. */
  readonly aside?: ComponentChildren;
  readonly className?: string;
  readonly children: ComponentChildren;
}

/** A dialog that does something once it is submitted, and says why it cannot be or what went wrong. */
export function ActDialog<Input, Result>(props: ActDialogProps<Input, Result>) {
  const { title, act, input, refused, button, aside, className, children } = props;
  const standing = act.standing.value;
  return (
    <Dialog title={title} onClose={closeDialog} {...(className !== undefined && { className })}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (input !== undefined && refused === undefined) act.do(input);
        }}
      >
        <div class="dialog-body">
          {children}
          {refused !== undefined && <p class="refused">{refused}</p>}
          {standing.at === 'failed' && <Problem error={standing.error} />}
        </div>
        <footer class="dialog-foot">
          {aside}
          <span class="spring" />
          <button type="button" onClick={closeDialog}>
            Cancel
          </button>
          <button
            type="submit"
            class={button.kind}
            disabled={input === undefined || refused !== undefined || standing.at === 'doing'}
          >
            {standing.at === 'doing' ? button.doing : button.name}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

/** What an act came to. */
export function DoneDialog(props: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <Dialog title={props.title} onClose={closeDialog}>
      <div class="dialog-body">{props.children}</div>
      <footer class="dialog-foot">
        <button type="button" onClick={closeDialog}>
          Close
        </button>
      </footer>
    </Dialog>
  );
}
