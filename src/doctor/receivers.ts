import { countOf } from '../kernel/words.js';
import { getsText, listReceivers, receiverState, type KnownReceiver } from '../notify/known-receivers.js';
import type { Check, Found, Patient } from './patient.js';

/** Whether people would be told. */
export const receivers: Check<Patient> = {
  name: 'receivers',
  examine: async ({ control }) => {
    const all = await listReceivers(control);
    if (all.length > 0) return all.map(receiverFinding);
    return [
      {
        mark: 'warn',
        found: 'nobody is notified: no running process has a receiver configured',
        hint: 'name receivers in a file (PORTCULLIS_RECEIVERS): docs/guide/notifications.md',
      },
    ];
  },
};

export function receiverFinding(receiver: KnownReceiver): Found {
  const { name, kind, target, seenAt, dead, lastProblem, deliveredAt } = receiver;
  const what = `${name} (${kind}, ${target})`;
  switch (receiverState(receiver)) {
    case 'not served':
      return {
        mark: 'warn',
        found: `no process has sent to ${what} since ${seenAt}`,
        hint: 'start portcullis start with its receivers file; one that was removed there is forgotten after an hour',
      };
    case 'failing':
      return {
        mark: 'warn',
        found: `${what} does not take everything: ${countOf(dead, 'delivery', 'deliveries')} given up${lastProblem === null ? '' : `; ${lastProblem}`}`,
        hint: `portcullis notifications list --state dead; then portcullis notifications test ${name}`,
      };
    case 'untried':
      return {
        mark: 'warn',
        found: `${what} has taken nothing in 30 days`,
        hint: `portcullis notifications test ${name}`,
      };
    case 'ok':
      return {
        mark: 'ok',
        found: `${what} gets ${getsText(receiver)}; it last took one at ${deliveredAt ?? ''}`,
      };
  }
}
