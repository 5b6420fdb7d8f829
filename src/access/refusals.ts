import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';

/** What a refusal carries of whom it refused what. */
const Refused = z.looseObject({ principal: z.string(), action: z.string() });

const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'FORBIDDEN',
  'APPROVAL_SELF',
  'MACHINE_CANNOT_APPROVE',
  'APPROVER_UNPROVEN',
  'APPROVER_TOO_NEW',
  'ALONE_REFUSED',
]);

/** A principal's attempts go on the record up to so many a minute: nobody fills the log with them. */
const PER_MINUTE = 10;
/** How far back in the log to count; so counting takes the same time however long the log is. */
const LOOK_BACK = 200;

/**
 * Puts on the record that a principal tried what it may not do, and leaves every other
 * error alone. To be called for principals that are known: who bears no valid token leaves no trace here.
 */
export async function recordRefusal(control: pg.Pool, error: unknown): Promise<void> {
  if (!(error instanceof PortcullisError)) return;
  if (!REFUSALS.has(error.code)) return;
  const refused = Refused.safeParse(error.details);
  if (!refused.success) return;
  const { principal, action, ...particulars } = refused.data;
  const { rows } = await control.query<{ n: number }>(
    `select count(*) as n
     from (select principal, action, at from portcullis_control.audit order by seq desc limit $2) newest
     where principal = $1 and action = 'refused' and at > clock_timestamp() - interval '1 minute'`,
    [principal, LOOK_BACK],
  );
  if ((rows[0]?.n ?? 0) >= PER_MINUTE) return;
  await recordAudit(control, {
    principal,
    action: 'refused',
    subject: action,
    evidence: { code: error.code, why: error.message, ...particulars },
  });
}
