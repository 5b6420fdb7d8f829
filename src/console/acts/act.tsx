import { useSignal, type ReadonlySignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { CallOptions } from '../../client/client.js';
import { Copy } from '../parts/copy.js';
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

export function Failure<Result>({ standing }: { readonly standing: Standing<Result> }) {
  return standing.at === 'failed' ? <Problem error={standing.error} /> : null;
}
