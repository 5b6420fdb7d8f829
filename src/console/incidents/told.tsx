import type { Output } from '../api.js';
import { Moment } from '../parts/moment.js';
import { Link } from '../router.js';

type Notification = Output<'listNotifications'>['items'][number];
type Delivery = Notification['deliveries'][number];

const SIGNS: Readonly<Record<Delivery['state'], string>> = { delivered: '✓', pending: '…', dead: '✕' };

/** Who was told, and whether it reached them. */
export function Told({ told }: { readonly told: readonly Notification[] }) {
  return (
    <section aria-labelledby="told">
      <h2 id="told">Who was told</h2>
      {told.length === 0 && <p class="quiet">No notification was sent.</p>}
      <ul class="lines">
        {told.map(({ id, at, title, deliveries }) => (
          <li key={id}>
            <p>
              <Moment at={at} /> {title}
              <br />
              {deliveries.length === 0 ? (
                <span class="warn">
                  No receiver is configured. <Link to="/record">See the record and health</Link>
                </span>
              ) : (
                deliveries.map((each) => <DeliveryLine key={each.receiver} delivery={each} />)
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function DeliveryLine({
  delivery: { receiver, state, attempts, lastProblem },
}: {
  readonly delivery: Delivery;
}) {
  const tone = state === 'delivered' ? 'pass' : state === 'dead' ? 'fail' : 'open';
  return (
    <span class="delivery">
      <span class={`verdict verdict-${tone}`}>
        {SIGNS[state]} {state === 'dead' ? 'given up' : state}
      </span>{' '}
      <code>{receiver}</code>
      {state !== 'delivered' && (
        <span class="quiet">
          , {attempts} attempts{lastProblem === null ? '' : `: ${lastProblem}`}
        </span>
      )}
    </span>
  );
}
