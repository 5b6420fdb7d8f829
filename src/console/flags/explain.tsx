import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { call, type Output } from '../api.js';
import { shortVersion } from '../now/gate-cell.js';
import { Copyable } from '../parts/copy.js';
import { Problem } from '../parts/problem.js';
import { quoted } from '../../kernel/words.js';

export type Explanation = Output<'explainFlag'>;

/** Asks for one unit: what the flag gives to it, and why. */
export function Explain({ job, region }: { readonly job: string; readonly region: string }) {
  const id = useId();
  const unit = useSignal('');
  const answer = useSignal<Explanation | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const ask = async (): Promise<void> => {
    error.value = undefined;
    try {
      answer.value = await call('explainFlag', { job, region, unit: unit.value.trim() });
    } catch (thrown) {
      answer.value = undefined;
      error.value = thrown;
    }
  };
  return (
    <section aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Who is in</h2>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault();
          if (unit.value.trim() !== '') void ask();
        }}
      >
        <label for={id} class="tool-name">
          Unit
        </label>
        <input
          id={id}
          spellcheck={false}
          placeholder="Such as org-1"
          value={unit.value}
          onInput={(event) => (unit.value = event.currentTarget.value)}
        />
        <button type="submit" disabled={unit.value.trim() === ''}>
          Ask
        </button>
      </form>
      {error.value !== undefined && <Problem error={error.value} />}
      {answer.value !== undefined && (
        <div role="status" aria-label="Answer">
          <Explained answer={answer.value} />
          <Copyable
            text={`portcullis flags explain ${job} --region ${region} --unit ${quoted(answer.value.unit)}`}
            what="the command that asks the same"
          />
        </div>
      )}
    </section>
  );
}

/** What a unit gets, and where its bucket lies among those of the versions. */
export function Explained({ answer: { version, reason, bucket, spans } }: { readonly answer: Explanation }) {
  return (
    <>
      <p class={`verdict ${version === null ? 'verdict-open' : 'verdict-pass'}`}>
        {version === null ? '‖ no version may act for it' : `✓ ${version}`}
      </p>
      <p class="why">{reason}</p>
      {bucket !== null && (
        <svg class="spans" viewBox="0 0 1000 30" preserveAspectRatio="none" aria-hidden="true">
          <rect class="bullet-all" y="6" width="1000" height="18" />
          {spans.map((span, at) => (
            <rect
              key={span.version}
              class={at === 0 ? 'bullet-have' : 'span-other'}
              x={span.from - 1}
              y="6"
              width={span.to - span.from + 1}
              height="18"
            />
          ))}
          <rect class="bullet-point" x={bucket - 4} width="8" height="30" rx="2" />
        </svg>
      )}
      {bucket !== null && (
        <p class="hint">
          {spans.map((span) => `${shortVersion(span.version)} has ${span.from} to ${span.to}`).join(', ')}
          {spans.length > 0 ? '; ' : ''}the mark is its bucket, {bucket} of 1000.
        </p>
      )}
    </>
  );
}
