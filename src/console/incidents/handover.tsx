import { useSignal } from '@preact/signals';
import { call, type Output } from '../api.js';
import { Copy, Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import type { Incident } from './incident-state.js';

interface HandoverProps {
  readonly incident: Incident;
  readonly updates: Output<'getIncidentStatusUpdates'>['updates'];
}

/** Texts to hand over: for the status page, and the draft of a post-mortem. */
export function Handover({ incident: { id }, updates }: HandoverProps) {
  const draft = useSignal<string | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const read = async (): Promise<void> => {
    error.value = undefined;
    try {
      draft.value = await call('getIncidentPostMortem', { id });
    } catch (thrown) {
      error.value = thrown;
    }
  };
  return (
    <section aria-labelledby="handover">
      <h2 id="handover">For the status page</h2>
      {updates.length === 0 && (
        <p class="quiet">Nobody has named damage yet: there is nothing to tell customers.</p>
      )}
      <ul class="lines">
        {[...updates].reverse().map(({ phase, at, text }) => (
          <li key={phase} data-phase={phase}>
            <p>
              <strong>{phase}</strong>{' '}
              <span class="quiet">
                <Moment at={at} />
              </span>
              <br />
              {text}
            </p>
            <p class="line-side">
              <Copy text={text} what={`the text: ${phase}`} />
            </p>
          </li>
        ))}
      </ul>
      <h3>Post-mortem</h3>
      {draft.value === undefined ? (
        <p class="buttons">
          <button type="button" onClick={() => void read()}>
            Write a draft
          </button>
        </p>
      ) : (
        <div class="whole">
          <Copy text={draft.value} what="the draft" />
          <pre tabIndex={0} aria-label="Draft of the post-mortem, in Markdown">
            {draft.value}
          </pre>
        </div>
      )}
      {error.value !== undefined && <Problem error={error.value} />}
      <Copyable
        text={`portcullis incident export ${id} --format md > post-mortem-${id}.md`}
        what="the command that writes the draft"
      />
    </section>
  );
}
