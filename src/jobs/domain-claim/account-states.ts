/**
 * An account's states and who may move it. The job makes one move, `claim`; the others are a person's.
 *
 * | from      | move    | to        | by     |                                                       |
 * | --------- | ------- | --------- | ------ | ----------------------------------------------------- |
 * | UNMANAGED | claim   | MANAGED   | job    | the organisation of a verified domain manages it      |
 * | UNMANAGED | exclude | EXCLUDED  | person | never to be claimed                                   |
 * | UNMANAGED | dispute | CONFLICT  | person | two sides want it; a person decides                   |
 * | MANAGED   | release | RELEASED  | person | given back to its user: final, no claim ever again    |
 * | MANAGED   | dispute | CONFLICT  | person |                                                       |
 * | EXCLUDED  | include | UNMANAGED | person |                                                       |
 * | CONFLICT  | settle  | UNMANAGED, MANAGED or EXCLUDED | person |                                   |
 */
export type AccountState = 'UNMANAGED' | 'MANAGED' | 'RELEASED' | 'EXCLUDED' | 'CONFLICT';

/** The job's own rows of the table: where its move leads from each state, or nowhere. */
export const CLAIM_LEADS_TO: Readonly<Record<AccountState, AccountState | undefined>> = {
  UNMANAGED: 'MANAGED',
  MANAGED: undefined,
  RELEASED: undefined,
  EXCLUDED: undefined,
  CONFLICT: undefined,
};

/** The state that a claim leads to, or undefined where an account in this state cannot be claimed. */
export function stateAfterClaim(state: string): AccountState | undefined {
  return Object.hasOwn(CLAIM_LEADS_TO, state) ? CLAIM_LEADS_TO[state as AccountState] : undefined;
}
