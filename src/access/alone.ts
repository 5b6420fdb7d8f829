import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { listOf } from '../kernel/words.js';
import { markAlone, type Approval } from './approvals.js';
import { requireMay, type Principal } from './roles.js';

/** For so long everybody may cancel what one person decides alone. */
export const ALONE_DELAY_MS = 3_600_000;

/**
 * Lets a request of one's own approve itself after an hour by the database's clock, unless somebody cancels it: for an
 * installation on which nobody else may approve. The caller tells everybody. Throws FORBIDDEN, APPROVAL_UNKNOWN,
 * APPROVAL_DECIDED, APPROVAL_EXPIRED, MACHINE_CANNOT_APPROVE, NOTHING_REACHED where it does so already, or
 * ALONE_REFUSED where somebody else may approve it, or asked for it.
 */
export async function approveAlone(
  client: pg.PoolClient,
  id: string,
  principal: Principal,
): Promise<Approval> {
  const { person, hands = [] } = principal;
  const { name } = principal;
  if (person === undefined) {
    requireMay(principal, 'approve');
    throw new PortcullisError(
      'MACHINE_CANNOT_APPROVE',
      `${name} is no person's token, and only people decide`,
      {
        hint: 'use the token of the person who asked',
        details: { principal: name, action: 'approve' },
      },
    );
  }
  const asked = await markAlone(client, id, ALONE_DELAY_MS, async (row, requestHands) => {
    requireMay(principal, 'approve', row.region ?? undefined);
    const refused = (why: string, hint: string): PortcullisError =>
      new PortcullisError('ALONE_REFUSED', why, {
        hint,
        details: { id: row.id, principal: name, action: 'approve' },
      });
    if (!requestHands.includes(person.id)) {
      throw refused(
        `${row.id} was asked for by ${row.requestedBy}`,
        `approve it: portcullis approve ${row.id}`,
      );
    }
    const others = await whoElse(client, requestHands.concat(hands), row.region);
    if (others.length > 0) {
      throw refused(
        `${listOf(others)} may approve ${row.id} too`,
        `ask them; where they are gone for good: portcullis people remove ${others[0] ?? ''}`,
      );
    }
  });
  await recordAudit(client, {
    principal: name,
    action: 'approve-alone',
    subject: asked.id,
    evidence: {
      ...{ action: asked.action, subject: asked.subject, region: asked.region, reason: asked.reason },
      ...{ person: person.name, approvesItselfAt: asked.aloneAt },
    },
  });
  return asked;
}

/** The people, beside these, who may approve in that region (null: everywhere): with a token that only they know, or signed in. */
async function whoElse(
  client: pg.PoolClient,
  hands: readonly string[],
  region: string | null,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select distinct p.name
     from portcullis_control.api_token t join portcullis_control.person p on p.id = t.person
     where t.revoked_at is null and p.removed_at is null and p.known_by <> 'sample'
       and t.hands = array[p.id] and t.role in ('approver', 'admin') and p.id <> all($1::uuid[])
       and (t.regions is null or $2::text = any(t.regions))
     union
     select p.name
     from portcullis_control.identity i join portcullis_control.person p on p.id = i.person
     where p.removed_at is null and i.role in ('approver', 'admin') and p.id <> all($1::uuid[])
       and (i.regions is null or $2::text = any(i.regions))
     order by 1`,
    [hands, region],
  );
  return rows.map(({ name }) => name);
}

/** The requests that may approve themselves now, oldest first. */
export async function aloneDue(control: pg.Pool): Promise<string[]> {
  const { rows } = await control.query<{ id: string }>(
    `select id from portcullis_control.approval
     where decision is null and alone_at <= clock_timestamp() and expires_at > clock_timestamp()
     order by alone_at`,
  );
  return rows.map(({ id }) => id);
}
