import pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../base/errors.js';
import { newShortId } from '../base/short-id.js';
import { storable, storableJson } from '../base/text.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../store/page.js';
import { inTransaction } from '../store/pool.js';
import { ADMIN_NAME, requireMay, type Principal } from './roles.js';

export type Decision = 'approve' | 'reject';
export const APPROVAL_STATES = ['pending', 'approved', 'rejected', 'expired'] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** What one principal asks a second one to agree to. */
export interface ApprovalRequest {
  /** What would be done: `rearm`. */
  readonly action: string;
  /** To what: `domain-claim.eu-west-1`. */
  readonly subject: string;
  /** Where it would take effect; absent: everywhere, which a principal bound to regions can't approve. */
  readonly region?: string | undefined;
  readonly reason: string;
  /** What the decision is to be made on, and what carrying it out takes. Plain JSON. */
  readonly evidence: Readonly<Record<string, unknown>>;
  /** How long there is to decide. Default: 1 hour, since what was asked for in one hour may be wrong in the next. */
  readonly expiresInMs?: number | undefined;
}

/** Times are ISO 8601 in UTC. */
export interface Approval {
  /** 8 letters and digits, to be read out and typed. */
  readonly id: string;
  readonly action: string;
  readonly subject: string;
  readonly region: string | null;
  readonly reason: string;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly state: ApprovalState;
  readonly requestedBy: string;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly decidedBy: string | null;
  readonly decidedAt: string | null;
  readonly carriedOutAt: string | null;
}

interface ApprovalRow extends Pick<Approval, 'id' | 'action' | 'subject' | 'region' | 'reason' | 'state'> {
  readonly request: Approval['evidence'];
  readonly requested_by: string;
  readonly requested_at: Date;
  readonly expires_at: Date;
  readonly decided_by: string | null;
  readonly decided_at: Date | null;
  readonly carried_out_at: Date | null;
  /** requested_at to the microsecond, which a Date cannot hold and the walk must not lose. */
  readonly requested_key: string;
}

/** The state of a row of `approval`, in SQL: of the request called `alias`, where the query has more tables than that. */
export function approvalState(alias = 'approval'): string {
  return `case ${alias}.decision when 'approve' then 'approved' when 'reject' then 'rejected'
            else case when ${alias}.expires_at <= clock_timestamp() then 'expired' else 'pending' end end`;
}

const STATE = approvalState();
const COLUMNS = `
  id, action, subject, region, reason, request, ${STATE} as state, requested_by, requested_at, expires_at,
  decided_by, decided_at, carried_out_at, requested_at::text as requested_key`;

const HOUR_MS = 3_600_000;

/**
 * Asks for a second pair of eyes. That `principal` may ask for such a thing is the caller's to check. Given a
 * client, it does so in the transaction that the client is in.
 */
export async function requestApproval(
  control: pg.Pool | pg.PoolClient,
  request: ApprovalRequest,
  principal: Principal,
): Promise<Approval> {
  if (control instanceof pg.Pool) {
    return inTransaction(control, (client) => requestApproval(client, request, principal));
  }
  const { action, subject, region, reason, evidence, expiresInMs = HOUR_MS } = request;
  for (;;) {
    const { rows } = await control.query<ApprovalRow>(
      `insert into portcullis_control.approval
         (id, action, subject, region, reason, request, requested_by, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 millisecond')
       on conflict (id) do nothing
       returning ${COLUMNS}`,
      [
        ...[newShortId(), action, subject, region, storable(reason), storableJson(evidence)],
        ...[principal.name, expiresInMs],
      ],
    );
    // Someone has that id: once in a million million.
    if (rows[0] === undefined) continue;
    const asked = approvalOf(rows[0]);
    await recordAudit(control, {
      principal: principal.name,
      action: 'request-approval',
      subject: asked.id,
      evidence: {
        action,
        subject,
        region: asked.region,
        reason,
        request: evidence,
        expiresAt: asked.expiresAt,
      },
    });
    return asked;
  }
}

/**
 * Approves or rejects a request, once: of any number who decide at the same moment, one does and the others
 * are told so. What was approved is carried out in the same transaction, on the client given: if that throws,
 * nothing is decided and the request stays open. Throws APPROVAL_UNKNOWN, FORBIDDEN, APPROVAL_SELF (whoever
 * asked can neither approve nor reject), APPROVAL_DECIDED, APPROVAL_EXPIRED, or what `carryOut` throws.
 */
export async function decideApproval(
  control: pg.Pool,
  id: string,
  principal: Principal,
  decision: Decision,
  carryOut: (client: pg.PoolClient, approval: Approval) => Promise<void>,
): Promise<Approval> {
  return inTransaction(control, async (client) => {
    const asked = await lockApproval(client, id);
    requireMay(principal, 'approve', asked.region ?? undefined);
    refuseUnlessOpen(asked, principal);
    const { rows } = await client.query<ApprovalRow>(
      `update portcullis_control.approval set decided_by = $2, decided_at = clock_timestamp(), decision = $3
       where id = $1 returning ${COLUMNS}`,
      [asked.id, principal.name, decision],
    );
    const decided = rows[0] === undefined ? asked : approvalOf(rows[0]);
    if (decision === 'approve') await carryOut(client, decided);
    // Behind what is carried out, which may take long: the log is locked until the commit.
    await recordAudit(client, {
      principal: principal.name,
      action: decision,
      subject: asked.id,
      evidence: {
        action: asked.action,
        subject: asked.subject,
        region: asked.region,
        reason: asked.reason,
        requestedBy: asked.requestedBy,
      },
    });
    if (decision === 'reject') return decided;
    const carried = await client.query<ApprovalRow>(
      `update portcullis_control.approval set carried_out_at = clock_timestamp() where id = $1 returning ${COLUMNS}`,
      [asked.id],
    );
    return carried.rows[0] === undefined ? decided : approvalOf(carried.rows[0]);
  });
}

const ApprovalKey = z.tuple([MomentKey, z.string()]);

/** Requests, newest first. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listApprovals(
  control: pg.Pool,
  filter: { readonly state?: ApprovalState | undefined },
  page: PageRequest,
): Promise<Page<Approval>> {
  const [requestedAt, id] = keyOfCursor(page.cursor, ApprovalKey) ?? [null, null];
  const { rows } = await control.query<ApprovalRow>(
    `select ${COLUMNS} from portcullis_control.approval
     where ($1::text is null or ${STATE} = $1)
       and ($2::timestamptz is null or (requested_at <= $2 and (requested_at < $2 or id > $3)))
     order by requested_at desc, id
     limit $4`,
    [filter.state, requestedAt, id, page.limit + 1],
  );
  return pageOf(rows, page.limit, approvalOf, (row) => [row.requested_key, row.id]);
}

/** One request, however it was typed. Throws APPROVAL_UNKNOWN. */
export async function findApproval(control: pg.Pool, id: string): Promise<Approval> {
  return readApproval(control, id, '');
}

function lockApproval(client: pg.PoolClient, id: string): Promise<Approval> {
  return readApproval(client, id, 'for update');
}

async function readApproval(
  control: pg.Pool | pg.PoolClient,
  id: string,
  lock: '' | 'for update',
): Promise<Approval> {
  const { rows } = await control.query<ApprovalRow>(
    `select ${COLUMNS} from portcullis_control.approval where id = $1 ${lock}`,
    [id.trim().toLowerCase()],
  );
  if (rows[0]) return approvalOf(rows[0]);
  throw new PortcullisError('APPROVAL_UNKNOWN', `no request for approval has the id ${id}`, {
    mend: 'portcullis approvals lists those there are',
    details: { id },
  });
}

function refuseUnlessOpen(asked: Approval, { name }: Principal): void {
  const { id, state, requestedBy } = asked;
  const details = { id, state, requestedBy, decidedBy: asked.decidedBy };
  if (onePerson(requestedBy, name)) {
    throw new PortcullisError('APPROVAL_SELF', `${name} asked for ${id}, and so cannot decide it`, {
      mend: 'ask someone else who may approve',
      details: { ...details, principal: name, action: 'approve' },
    });
  }
  if (state === 'approved' || state === 'rejected') {
    throw new PortcullisError(
      'APPROVAL_DECIDED',
      `${id} was ${state} by ${asked.decidedBy ?? ''} at ${asked.decidedAt ?? ''}`,
      { mend: 'ask anew if it is wanted again', details },
    );
  }
  if (state === 'expired') {
    throw new PortcullisError('APPROVAL_EXPIRED', `${id} could be decided until ${asked.expiresAt}`, {
      mend: 'ask anew: things may have changed since',
      details,
    });
  }
}

/**
 * Whether two principals may be one person. Whoever works at the machine without a token has the database's login,
 * and can read or replace the admin's token too, so those count as one, as do all who work there.
 */
function onePerson(one: string, other: string): boolean {
  const atMachine = (name: string): boolean => name === ADMIN_NAME || name.startsWith('local:');
  return one === other || (atMachine(one) && atMachine(other));
}

function approvalOf(row: ApprovalRow): Approval {
  return {
    id: row.id,
    action: row.action,
    subject: row.subject,
    region: row.region,
    reason: row.reason,
    evidence: row.request,
    state: row.state,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    decidedBy: row.decided_by,
    decidedAt: row.decided_at?.toISOString() ?? null,
    carriedOutAt: row.carried_out_at?.toISOString() ?? null,
  };
}
