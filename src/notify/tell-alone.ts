import type pg from 'pg';
import { approveAlone } from '../access/alone.js';
import type { Approval } from '../access/approvals.js';
import type { Principal } from '../access/roles.js';
import { time } from '../kernel/words.js';
import { inTransaction } from '../postgres/pool.js';
import { notify } from './notice.js';

/** {@link approveAlone}, and tells every receiver, in one transaction. */
export async function approveAloneAndTell(
  control: pg.Pool,
  id: string,
  principal: Principal,
): Promise<Approval> {
  return inTransaction(control, async (client) => {
    const asked = await approveAlone(client, id, principal);
    const { action, subject, reason, requestedPerson, aloneAt } = asked;
    await notify(client, {
      kind: 'approval',
      ...(asked.region !== null && { region: asked.region }),
      title: `${requestedPerson ?? asked.requestedBy} alone asks for ${action} of ${subject}: it approves itself at ${time(aloneAt ?? '')}`,
      lines: [`Reason: ${reason}`, `Anybody may cancel it until then: portcullis reject ${asked.id}`],
      details: { request: asked.id, action, subject, approvesItselfAt: aloneAt },
    });
    return asked;
  });
}

/** Tells every receiver that a request approved itself. */
export function tellApprovedAlone(control: pg.Pool, approval: Approval): Promise<string> {
  const { id, action, subject, region, caution } = approval;
  return notify(control, {
    kind: 'approval',
    ...(region !== null && { region }),
    title: `${action} of ${subject} was approved without a second person`,
    lines: [caution ?? '', `Request ${id}`],
    details: { request: id, action, subject, decided: true },
  });
}
