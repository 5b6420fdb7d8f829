import type { Output } from '../api.js';
import { Moment } from '../parts/moment.js';

type Moments = Output<'getIncidentTimeline'>['moments'];

/** What happened, the newest first, so that what comes stands where one looks. */
export function Timeline({ moments }: { readonly moments: Moments }) {
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      <ol class="timeline" reversed tabIndex={0} aria-labelledby="timeline">
        {[...moments].reverse().map(({ at, what, who, kind }, index) => (
          <li key={`${at} ${kind} ${moments.length - index}`} data-kind={kind}>
            <Moment at={at} /> {who !== null && <strong>{who}</strong>} {what}
          </li>
        ))}
      </ol>
    </section>
  );
}
