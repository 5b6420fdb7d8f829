export type DomainState =
  'PENDING' | 'VERIFIED' | 'AT_RISK' | 'LAPSED' | 'EXPIRED' | 'REMOVED' | 'CONTESTED' | 'SUPERSEDED';

/** What the job may do to a domain. `confirm` renews the proof and `note` keeps the books: no move. */
export type DomainKind =
  'verify' | 'confirm' | 'at-risk' | 'recover' | 'lapse' | 'expire' | 'contest' | 'note';

/**
 * The job's moves. A state without a row is not checked: what leads out of it is a person's doing.
 *
 * | from       | kind    | to        | when                                                                |
 * | ---------- | ------- | --------- | ------------------------------------------------------------------- |
 * | PENDING    | verify  | VERIFIED  | PRESENT, the request stands, nobody else owns the name              |
 * | PENDING    | contest | CONTESTED | PRESENT, the request stands, but another organisation owns the name |
 * |            |         |           | or proves it at the same time; in another region's database, if     |
 * |            |         |           | that was seen after an earlier check had seen the proof             |
 * | PENDING    | expire  | EXPIRED   | 7 days after the token was issued                                   |
 * | VERIFIED   | confirm | VERIFIED  | PRESENT                                                             |
 * | VERIFIED   | at-risk | AT_RISK   | ABSENT, confirmed by a second check                                 |
 * | AT_RISK    | recover | VERIFIED  | PRESENT                                                             |
 * | AT_RISK    | lapse   | LAPSED    | ABSENT, confirmed, and the grace of 7 days is over                  |
 * | VERIFIED,  | contest | CONTESTED | another organisation's row for the name is CONTESTED                |
 * | AT_RISK    |         |           |                                                                     |
 * | any above  | note    | unchanged | everything else, INDETERMINATE always                               |
 *
 * A person's moves: CONTESTED to VERIFIED for the winner and SUPERSEDED for the losers; any state to
 * REMOVED; and LAPSED, EXPIRED, REMOVED or SUPERSEDED to PENDING, only with a new request and token.
 */
export const DOMAIN_MOVES: Readonly<Record<DomainState, Partial<Record<DomainKind, DomainState>>>> = {
  PENDING: { verify: 'VERIFIED', contest: 'CONTESTED', expire: 'EXPIRED', note: 'PENDING' },
  VERIFIED: { confirm: 'VERIFIED', 'at-risk': 'AT_RISK', contest: 'CONTESTED', note: 'VERIFIED' },
  AT_RISK: { recover: 'VERIFIED', lapse: 'LAPSED', contest: 'CONTESTED', note: 'AT_RISK' },
  LAPSED: {},
  EXPIRED: {},
  REMOVED: {},
  CONTESTED: {},
  SUPERSEDED: {},
};

/** The states whose domains the job checks. */
export type CheckedState = 'PENDING' | 'VERIFIED' | 'AT_RISK';

export function isCheckedState(state: string): state is CheckedState {
  return state === 'PENDING' || state === 'VERIFIED' || state === 'AT_RISK';
}
