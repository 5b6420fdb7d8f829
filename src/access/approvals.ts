import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { newShortId } from '../kernel/short-id.js';
import { storable, storableJson } from '../kernel/text.js';
import { NAMED_LOCKS } from '../postgres/locks.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { inTransaction } from '../postgres/pool.js';
import { requireMay, type Principal } from './roles.js';
import { requireSecond, type Asked, type SecondPerson } from './second-person.js';
import { Evidence, named, isoTime } from '../kernel/schema.js';
import { viewColumns, viewOf } from '../postgres/view.js';

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

/** A request, as people and programs read it. */
export const Approval = named(
  'Approval',
  z.strictObject({
    id: z.string().describe('8 letters and digits, to be read out and typed'),
    action: z.string(),
    subject: z.string(),
    region: z.string().nullable().describe('null: everywhere'),
    reason: z.string(),
    evidence: Evidence,
    state: z.enum(APPROVAL_STATES),
    requestedBy: z.string().describe('the name of the token that asked'),
    requestedPerson: z.string().nullable().describe("whose token that is; null: a machine's"),
    requestedAt: isoTime,
    expiresAt: isoTime,
    decidedBy: z.string().nullable(),
    decidedPerson: z.string().nullable(),
    decidedAt: isoTime.nullable(),
    introducedBy: z.string().nullable().describe('who introduced the person who approved'),
    caution: z.string().nullable().describe('what speaks against there having been two people'),
    carriedOutAt: isoTime.nullable(),
    aloneAt: isoTime.nullable().describe('when it approves itself, or did; null: it takes a second person'),
  }),
);
export type Approval = z.infer<typeof Approval>;

/** A view's columns, and what only {@link requireSecond} and the walk need. */
interface ApprovalRow extends Approval {
  readonly requested_hands: readonly string[];
  readonly requested_at: Date;
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
  ${viewColumns(Approval, { evidence: 'request', state: STATE })},
  requested_hands, requested_at, requested_at::text as requested_key`;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Approves what one person asked for alone, when its delay is over; nobody's token has this name. */
export const ALONE: Principal = { name: 'system:alone', role: 'admin', regions: null };

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
         (id, action, subject, region, reason, request, requested_by, expires_at, requested_person, requested_hands)
       values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 millisecond', $9, $10)
       on conflict (id) do nothing
       returning ${COLUMNS}`,
      [
        ...[newShortId(), action, subject, region, storable(reason), storableJson(evidence)],
        ...[principal.name, expiresInMs, principal.person?.name ?? null, principal.hands ?? []],
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

/** A request, and whether it was there already. */
export interface Joined extends Approval {
  readonly joined: boolean;
}

/**
 * {@link requestApproval}, unless a request that waits `covers` it already: then that one is joined, on record, and goes
 * on as it is. Absent: one for this action, on this subject, with this evidence. Of two who ask at the same time, the
 * second joins the first. Given a client, it does so in the transaction that the client is in.
 */
export async function requestOrJoin(
  control: pg.Pool | pg.PoolClient,
  request: ApprovalRequest,
  principal: Principal,
  covers: (waiting: Approval) => boolean = ({ subject, evidence }) =>
    subject === request.subject && isDeepStrictEqual(evidence, JSON.parse(JSON.stringify(request.evidence))),
): Promise<Joined> {
  if (control instanceof pg.Pool) {
    return inTransaction(control, (client) => requestOrJoin(client, request, principal, covers));
  }
  await control.query('select pg_advisory_xact_lock($1, hashtext($2))', [
    NAMED_LOCKS.request,
    request.action,
  ]);
  const waiting = (await pendingRequests(control, request.action)).find(covers);
  if (waiting === undefined) {
    return { ...(await requestApproval(control, request, principal)), joined: false };
  }
  await recordAudit(control, {
    principal: principal.name,
    action: 'join-request',
    subject: waiting.id,
    evidence: { action: waiting.action, subject: waiting.subject, reason: request.reason },
  });
  return { ...waiting, joined: true };
}

/** The requests for an action that wait for a decision, oldest first. */
export async function pendingRequests(control: pg.Pool | pg.PoolClient, action: string): Promise<Approval[]> {
  const { rows } = await control.query<ApprovalRow>(
    `select ${COLUMNS} from portcullis_control.approval
     where action = $1 and ${STATE} = 'pending' order by requested_at`,
    [action],
  );
  return rows.map(approvalOf);
}

/**
 * Approves or rejects a request, once: of any number who decide at the same moment, one does and the others are told
 * so. Whoever approves is another person than those who know the token that asked (second-person.ts). What was approved
 * is carried out in the same transaction, on the client given: if that throws, nothing is decided and the request stays
 * open. Anybody may reject, and so cancel, a request that would approve itself. `why` goes on record beside the reason
 * of the request. Throws APPROVAL_UNKNOWN, FORBIDDEN,
 * APPROVAL_SELF (whoever asked can neither approve nor reject), what `requireSecond` throws, APPROVAL_DECIDED,
 * APPROVAL_EXPIRED, or what `carryOut` throws.
 */
export async function decideApproval(
  control: pg.Pool,
  id: string,
  principal: Principal,
  decision: Decision,
  carryOut: (client: pg.PoolClient, approval: Approval) => Promise<void>,
  why?: string,
): Promise<Approval> {
  return inTransaction(control, async (client) => {
    const row = await readApproval(client, id, 'for update');
    const asked = approvalOf(row);
    const cancels = decision === 'reject' && asked.aloneAt !== null;
    if (cancels) requireMay(principal, 'cancel');
    else requireMay(principal, 'approve', asked.region ?? undefined);
    const { id: what, requestedBy, state } = asked;
    const by = { what, by: requestedBy, hands: row.requested_hands, at: row.requested_at };
    let second: SecondPerson | undefined;
    if (principal === ALONE) second = await requireDue(client, asked);
    else if (decision === 'approve')
      second = await requireSecond(client, by, principal, { id: what, state, requestedBy });
    else if (!cancels) refuseOwn(by, principal);
    refuseUnlessOpen(asked);
    const { rows } = await client.query<ApprovalRow>(
      `update portcullis_control.approval
       set decided_by = $2, decided_at = clock_timestamp(), decision = $3, decided_person = $4, introduced_by = $5,
           caution = $6
       where id = $1 returning ${COLUMNS}`,
      [
        ...[asked.id, principal.name, decision, principal.person?.name ?? null],
        ...[second?.introducedBy ?? null, second?.caution ?? null],
      ],
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
        requestedPerson: asked.requestedPerson,
        person: decided.decidedPerson,
        introducedBy: decided.introducedBy,
        caution: decided.caution,
        ...(why !== undefined && { decisionReason: why }),
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

/** By the database's clock. Throws ALONE_REFUSED for a request that is not due to approve itself. */
async function requireDue(client: pg.PoolClient, { id, aloneAt, ...asked }: Approval): Promise<SecondPerson> {
  const { rows } = await client.query<{ due: boolean | null }>(
    'select alone_at <= clock_timestamp() as due from portcullis_control.approval where id = $1',
    [id],
  );
  if (rows[0]?.due !== true) {
    throw new PortcullisError(
      'ALONE_REFUSED',
      `${id} does not approve itself before ${aloneAt ?? 'anybody else'}`,
    );
  }
  const who = asked.requestedPerson ?? asked.requestedBy;
  return { introducedBy: null, caution: `alone: ${who} asked, nobody else agreed, and nobody cancelled it` };
}

/**
 * Lets an open request approve itself after `delayMs`, where `check` allows it, given the people who know the token
 * that asked. See alone.ts.
 */
export async function markAlone(
  client: pg.PoolClient,
  id: string,
  delayMs: number,
  check: (asked: Approval, hands: readonly string[]) => Promise<void>,
): Promise<Approval> {
  const row = await readApproval(client, id, 'for update');
  const asked = approvalOf(row);
  await check(asked, row.requested_hands);
  refuseUnlessOpen(asked);
  if (asked.aloneAt !== null) {
    throw new PortcullisError('NOTHING_REACHED', `${asked.id} approves itself at ${asked.aloneAt} already`, {
      hint: `anybody may cancel it until then: portcullis reject ${asked.id}`,
      details: { id: asked.id, aloneAt: asked.aloneAt },
    });
  }
  const { rows } = await client.query<ApprovalRow>(
    `update portcullis_control.approval
     set alone_at = clock_timestamp() + $2 * interval '1 millisecond',
         expires_at = greatest(expires_at, clock_timestamp() + ($2 + $3) * interval '1 millisecond')
     where id = $1 returning ${COLUMNS}`,
    [asked.id, delayMs, DAY_MS],
  );
  return rows[0] === undefined ? asked : approvalOf(rows[0]);
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
  return approvalOf(await readApproval(control, id, ''));
}

async function readApproval(
  control: pg.Pool | pg.PoolClient,
  id: string,
  lock: '' | 'for update',
): Promise<ApprovalRow> {
  const { rows } = await control.query<ApprovalRow>(
    `select ${COLUMNS} from portcullis_control.approval where id = $1 ${lock}`,
    [id.trim().toLowerCase()],
  );
  if (rows[0]) return rows[0];
  throw new PortcullisError('APPROVAL_UNKNOWN', `no request for approval has the id ${id}`, {
    hint: 'portcullis approvals lists those there are',
    details: { id },
  });
}

/** Nobody decides what they asked for, not even against it: throws APPROVAL_SELF. */
function refuseOwn({ what, by, hands }: Asked, { name, person }: Principal): void {
  if (name !== by && (person === undefined || !hands.includes(person.id))) return;
  throw new PortcullisError('APPROVAL_SELF', `${name} asked for ${what}, and so cannot decide it`, {
    hint: 'ask another person who may approve',
    details: { id: what, requestedBy: by, principal: name, action: 'approve' },
  });
}

function refuseUnlessOpen(asked: Approval): void {
  const { id, state, requestedBy } = asked;
  const details = { id, state, requestedBy, decidedBy: asked.decidedBy };
  if (state === 'approved' || state === 'rejected') {
    throw new PortcullisError(
      'APPROVAL_DECIDED',
      `${id} was ${state} by ${asked.decidedBy ?? ''} at ${asked.decidedAt ?? ''}`,
      { hint: 'submit a new request if it is wanted again', details },
    );
  }
  if (state === 'expired') {
    throw new PortcullisError('APPROVAL_EXPIRED', `${id} could be decided until ${asked.expiresAt}`, {
      hint: 'submit a new request: things may have changed since',
      details,
    });
  }
}

function approvalOf(row: ApprovalRow): Approval {
  return viewOf(Approval, row);
}
