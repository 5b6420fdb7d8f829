import type { Columns, Image } from '../../sdk/index.js';
import {
  absenceCheckableMs,
  GRACE_MS,
  nextCheckMs,
  TOKEN_LIFE_MS,
  type ScheduleFacts,
} from './check-schedule.js';
import { parseDomainName, type DomainNameFault } from './domain-name.js';
import { DOMAIN_MOVES, isCheckedState, type CheckedState, type DomainKind } from './domain-states.js';
import { DOMAIN_CHANGES, DOMAIN_COMPARES, imageOf, type DueDomain } from './facts.js';
import { instantMs } from './instant.js';
import type { Proof, Verdict } from './proof.js';
import { standingFault, tokenFault, type StandingFault, type TokenFault } from './request-standing.js';

/** Why a due domain is not looked up. */
export type LookupObstacle = TokenFault | DomainNameFault | 'name-not-canonical';

/** What a check of one domain said. Times are milliseconds since 1970, by the database's clock. */
export interface Check {
  readonly verdict: Verdict;
  /** Which proof was seen; null unless PRESENT. */
  readonly proof: Proof | null;
  readonly startedMs: number;
  readonly finishedMs: number;
  readonly negativeTtlSeconds: number;
  /** Another organisation's pending token was seen at the same name in the same check. */
  readonly rivalPresent: boolean;
  /** Another region's database has an owner of the name: when it was last seen there. Null: none is known. */
  readonly ownedElsewhereMs: number | null;
}

export type DomainReason =
  | LookupObstacle
  | StandingFault
  | 'proof-seen'
  | 'proof-absent'
  | 'absence-confirmed'
  | 'nothing-learnt'
  | 'token-expired'
  | 'grace-over'
  | 'check-before-token'
  | 'name-owned-by-another'
  | 'name-owned-elsewhere'
  | 'name-proved-by-another'
  | 'name-contested';

type Changes = (typeof DOMAIN_CHANGES)[number];

export interface DomainDecision {
  readonly kind: DomainKind;
  readonly reason: DomainReason;
  readonly before: Columns<Changes | (typeof DOMAIN_COMPARES)[number]>;
  readonly after: Columns<Changes>;
}

/** A move and its reason, and the columns that it sets beyond the bookkeeping of a check. */
interface Move {
  readonly kind: DomainKind;
  readonly reason: DomainReason;
  readonly set?: Image;
  /** Its next check is the earliest that there is, however often it was checked. */
  readonly soon?: boolean;
}

/** Rounded up: a check that is due at the end of a token's life must not come a microsecond before it. */
const iso = (ms: number): string => new Date(Math.ceil(ms)).toISOString();
const ownerOf = (row: DueDomain) => ({ name: row.name, organisationId: row.organisation_id });
const deadlineMs = (row: DueDomain): number => instantMs(row.token_issued_at) + TOKEN_LIFE_MS;

const NO_ABSENCE = { absent_at: null, absent_again_at: null } as const;

/** Why this domain cannot be looked up: a name that DNS must not be asked for, or no token to look for. */
export function lookupObstacle(row: DueDomain): LookupObstacle | undefined {
  const name = parseDomainName(row.name);
  if (!name.ok) return name.reason;
  if (name.name !== row.name) return 'name-not-canonical';
  return tokenFault(row, ownerOf(row));
}

/** Whether a domain's move is decided already, so that looking it up could teach nothing. */
export function isOverruled(row: DueDomain): boolean {
  return row.state !== 'PENDING' && row.rival_contests;
}

/**
 * What becomes of a due domain after a check, or after none could be made (the obstacle then). Undefined for
 * a state that the job does not check. INDETERMINATE changes no state, and nothing verifies without PRESENT.
 */
export function decideDomain(
  row: DueDomain,
  check: Check | LookupObstacle | undefined,
  nowMs: number,
): DomainDecision | undefined {
  if (!isCheckedState(row.state)) return undefined;
  const move = moveOf(row, row.state, check, nowMs);
  const state = DOMAIN_MOVES[row.state][move.kind];
  if (state === undefined) return undefined;

  const columns = imageOf(row, DOMAIN_CHANGES);
  const books = check === undefined ? {} : bookkeeping(row, typeof check === 'string' ? null : check);
  const changed = { ...columns, ...books, ...move.set, state };
  const verdict = typeof check === 'object' ? check.verdict : null;
  const next_check_at = isCheckedState(state)
    ? iso(
        nextCheckMs(
          schedule(move.soon === true ? { ...row, check_count: 0 } : row, changed, state, verdict),
          nowMs,
        ),
      )
    : null;
  return {
    kind: move.kind,
    reason: move.reason,
    before: { ...columns, ...imageOf(row, DOMAIN_COMPARES) },
    after: { ...changed, next_check_at },
  };
}

function moveOf(
  row: DueDomain,
  state: CheckedState,
  check: Check | LookupObstacle | undefined,
  nowMs: number,
): Move {
  if (isOverruled(row)) return { kind: 'contest', reason: 'name-contested' };
  if (check === undefined) return { kind: 'note', reason: 'nothing-learnt' };
  if (typeof check === 'string') {
    const expired = state === 'PENDING' && nowMs >= deadlineMs(row);
    return { kind: expired ? 'expire' : 'note', reason: check };
  }
  if (check.verdict === 'INDETERMINATE') return { kind: 'note', reason: 'nothing-learnt' };
  // A value seen before its token existed proves nothing.
  if (check.verdict === 'PRESENT' && !(instantMs(row.token_issued_at) < check.startedMs)) {
    return { kind: 'note', reason: 'check-before-token' };
  }
  switch (state) {
    case 'PENDING':
      return pending(row, check);
    case 'VERIFIED':
      return verified(row, check);
    case 'AT_RISK':
      return atRisk(row, check);
  }
}

function pending(row: DueDomain, check: Check): Move {
  // The token's life is over whatever was found: it takes a new request to come back.
  if (check.startedMs >= deadlineMs(row)) return { kind: 'expire', reason: 'token-expired' };
  if (check.verdict === 'ABSENT') return { kind: 'note', reason: 'proof-absent' };
  const fault = standingFault(row, ownerOf(row));
  if (fault !== undefined) return { kind: 'note', reason: fault };
  const set = proofColumns(check);
  if (row.rival_owns) return { kind: 'contest', reason: 'name-owned-by-another', set };
  if (row.rival_contests) return { kind: 'contest', reason: 'name-contested', set };
  if (check.rivalPresent) return { kind: 'contest', reason: 'name-proved-by-another', set };
  if (check.ownedElsewhereMs !== null) return ownedElsewhere(row, check.ownedElsewhereMs, set);
  return {
    kind: 'verify',
    reason: 'proof-seen',
    set: { ...set, ...NO_ABSENCE, verified_at: iso(check.finishedMs), at_risk_since: null },
  };
}

/**
 * What is known of another database's rows may be minutes old: the owner may have given the domain up since. So the
 * proof is noted first, and the domain is contested once the owner was seen to have it later than an earlier check saw
 * the proof of this token. Until then, whoever owns it keeps it.
 */
function ownedElsewhere(row: DueDomain, seenMs: number, set: Image): Move {
  const reason = 'name-owned-elsewhere';
  const proved = instantMs(row.token_issued_at) < instantMs(row.check_started_at);
  return proved && instantMs(row.proof_seen_at) < seenMs
    ? { kind: 'contest', reason, set }
    : { kind: 'note', reason, set, soon: true };
}

function verified(row: DueDomain, check: Check): Move {
  if (check.verdict === 'PRESENT') {
    return { kind: 'confirm', reason: 'proof-seen', set: { ...proofColumns(check), ...NO_ABSENCE } };
  }
  const set = absenceColumns(row, check);
  if (!isConfirmedAbsence(row, check)) return { kind: 'note', reason: 'proof-absent', set };
  return {
    kind: 'at-risk',
    reason: 'absence-confirmed',
    set: { ...set, at_risk_since: iso(check.startedMs) },
  };
}

function atRisk(row: DueDomain, check: Check): Move {
  if (check.verdict === 'PRESENT') {
    const set = { ...proofColumns(check), ...NO_ABSENCE, at_risk_since: null };
    return { kind: 'recover', reason: 'proof-seen', set };
  }
  const set = {
    ...absenceColumns(row, check),
    at_risk_since: row.at_risk_since ?? iso(check.startedMs),
  };
  const graceOver = check.startedMs - instantMs(row.at_risk_since) >= GRACE_MS;
  return graceOver && isConfirmedAbsence(row, check)
    ? { kind: 'lapse', reason: 'grace-over', set }
    : { kind: 'note', reason: 'proof-absent', set };
}

/** The second of two checks that agree on absence, further apart than the negative answer lives. */
function isConfirmedAbsence(row: DueDomain, check: Check): boolean {
  return row.absent_at !== null && check.startedMs > instantMs(row.absent_again_at);
}

/** The first check's absence stays as it was written until a proof is seen. */
function absenceColumns(row: DueDomain, check: Check): Image {
  const { absent_at, absent_again_at } = row;
  if (absent_at !== null && absent_again_at !== null) return { absent_at, absent_again_at };
  return {
    absent_at: iso(check.startedMs),
    absent_again_at: iso(absenceCheckableMs(check.finishedMs, check.negativeTtlSeconds)),
  };
}

function proofColumns(check: Check): Image {
  return {
    proof: check.proof,
    proof_seen_at: iso(check.finishedMs),
    check_started_at: iso(check.startedMs),
  };
}

/** A look that could not be made counts, so that its next one backs off, but it checked nothing. */
function bookkeeping(row: DueDomain, check: Check | null): Image {
  const check_count = row.check_count + 1;
  return check === null ? { check_count } : { check_count, checked_at: iso(check.finishedMs) };
}

function schedule(row: DueDomain, after: Image, state: CheckedState, verdict: Verdict | null): ScheduleFacts {
  const again = after['absent_again_at'];
  return {
    state,
    verdict,
    checkCount: row.check_count,
    deadlineMs: deadlineMs(row),
    absentAgainMs: instantMs(typeof again === 'string' ? again : null),
  };
}
