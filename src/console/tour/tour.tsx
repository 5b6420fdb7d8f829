import { call, whyNot, type Output } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link } from '../router.js';
import { actsOf, type ActShown } from './acts.js';

/** A tour takes a minute or two, and nothing tells of its entries. */
const EVERY_MS = 1_000;
const ENTRIES = 60;

/** The tour beside the terminal that plays it: the same acts from the same script, as they stand on record. */
export function Tour() {
  const off = whyNot('verify-audit');
  return off === undefined ? (
    <Acts />
  ) : (
    <>
      <ViewHead title="Tour" readMs={0} />
      <p class="refused">{off}</p>
    </>
  );
}

function Acts() {
  const watched = useWatched('tour', {
    read: () => call('listAudit', { action: 'tour', limit: ENTRIES }),
    affects: () => false,
    everyMs: EVERY_MS,
  });
  return (
    <>
      <ViewHead title="Tour" readMs={watched.readMs.value} />
      <Read watched={watched} what="the tour">
        {({ items }) => <Shown items={items} />}
      </Read>
    </>
  );
}

function Shown({ items }: { readonly items: Output<'listAudit'>['items'] }) {
  const tour = actsOf(items);
  if (tour === undefined) {
    return (
      <section class="empty">
        <h2>Three minutes, in the sample world</h2>
        <p>
          A region is turned on, a good version goes through all waves, a faulty one is stopped before it
          writes, another by logins that fail; then impact, restore, re-arm and the record. Start it in a
          terminal, and watch it here:
        </p>
        <Copyable text="npx portcullis tour" what="the command" />
      </section>
    );
  }
  return (
    <>
      <p role="status">
        {tour.state === 'now' && 'It is being played.'}
        {tour.state === 'over' && 'It is over; policy and flags are as before.'}
        {tour.state === 'stopped' && `It was stopped: ${tour.why}`} Begun <Moment at={tour.beganAt} /> by{' '}
        {tour.by}.
      </p>
      <ol class="steps tour">
        {tour.acts.map((act) => (
          <Act key={act.id} act={act} />
        ))}
      </ol>
      {tour.state !== 'now' && <Copyable text="npx portcullis tour" what="the command" />}
    </>
  );
}

const SAID: Readonly<Record<ActShown['state'], string>> = { done: '✓ done', now: '▶ now', next: 'to come' };

function Act({ act }: { readonly act: ActShown }) {
  return (
    <li
      class={act.state === 'done' ? 'step-done' : act.state === 'now' ? 'step-now' : ''}
      aria-current={act.state === 'now' ? 'step' : undefined}
      data-act={act.id}
    >
      <h2>
        {act.title} <span class="quiet">{SAID[act.state]}</span>
      </h2>
      <p>{act.text}</p>
      {act.commands.map((command) => (
        <Copyable key={command} text={command} what="the command" />
      ))}
      {act.result.length > 0 && (
        <ul class="results">
          {act.result.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
      {act.state === 'done' && !act.view.includes('{') && (
        <p>
          <Link to={act.view}>See it here</Link>
        </p>
      )}
    </li>
  );
}
