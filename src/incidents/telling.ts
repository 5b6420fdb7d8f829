import { countOf } from '../kernel/words.js';
import type { Delivery, Notification } from '../notify/browse.js';
import type { Moment } from './timeline.js';

/** Who tells people, on the timeline. */
const TELLER = 'system:notify';

/**
 * Who was told of something and when, or that nobody was: one moment for each receiver. What has not come to an
 * end stands where it was to be told. A receiver is a host and a fingerprint, never an address.
 */
export function tellingOf({ title, at, deliveries }: Notification): Moment[] {
  if (deliveries.length === 0) {
    const what = `no notification sent, no receiver is configured: ${title}`;
    return [{ at, who: TELLER, kind: 'notification-unaddressed', what }];
  }
  return deliveries.map((delivery) => ({
    at: delivery.endedAt ?? at,
    who: TELLER,
    ...outcomeOf(delivery, title),
  }));
}

function outcomeOf(
  { receiver, state, attempts, lastProblem }: Delivery,
  title: string,
): Pick<Moment, 'kind' | 'what'> {
  const tries = countOf(attempts, 'attempt');
  const problem = lastProblem === null ? '' : `, ${lastProblem}`;
  switch (state) {
    case 'delivered':
      return { kind: 'notified', what: `notified ${receiver}: ${title}` };
    case 'dead':
      return {
        kind: 'notification-dead',
        what: `never reached ${receiver}, a dead letter after ${tries}${problem}: ${title}`,
      };
    case 'pending':
      return {
        kind: 'notification-pending',
        what: `has not reached ${receiver} yet, ${tries} so far${problem}: ${title}`,
      };
  }
}
