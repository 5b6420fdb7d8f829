import { PortcullisError } from '../kernel/errors.js';

export const ROLES = ['viewer', 'operator', 'approver', 'admin', 'worker', 'deployer'] as const;
export type Role = (typeof ROLES)[number];

/** What a person's first token may be; a worker or a deployer is a machine. */
export const PEOPLE_ROLES = ['viewer', 'operator', 'approver', 'admin'] as const satisfies readonly Role[];
export type PersonRole = (typeof PEOPLE_ROLES)[number];

/** A role, or `local`: a user at the keyboard without a token, who may look, kill and stop. */
export type Standing = Role | 'local';

/** The token that the first start makes, and leaves in Portcullis' own folder. */
export const ADMIN_NAME = 'admin';

/** Who acts: the holder of a token, or a user at the keyboard of the machine that has the database's login. */
export interface Principal {
  /** On the record of everything done. A token's name is given once; a name with a colon is no token's. */
  readonly name: string;
  readonly role: Standing;
  /** The only regions to act in; null: all. */
  readonly regions: readonly string[] | null;
  /** Whose token it is; absent: a machine's, or there is no token. */
  readonly person?: { readonly id: string; readonly name: string } | undefined;
  /**
   * The ids of the people who know the token, or may: its person, and whoever issued it. Four eyes compare these:
   * see second-person.ts. Absent: nobody is known.
   */
  readonly hands?: readonly string[] | undefined;
}

/**
 * Which roles may do what. Everyone but a viewer may kill, and never needs an approval for it. That nobody
 * approves their own request is not a matter of roles: see approvals.ts.
 */
// prettier-ignore
export const MAY_DO = {
  // action            viewer   operator    approver    admin    worker    deployer    no token
  'read':             ['viewer', 'operator', 'approver', 'admin', 'worker', 'deployer', 'local'],
  'verify-audit':     ['viewer', 'operator', 'approver', 'admin',                       'local'],
  'kill':             [          'operator', 'approver', 'admin', 'worker', 'deployer', 'local'],
  'cancel':           ['viewer', 'operator', 'approver', 'admin', 'worker', 'deployer', 'local'],
  'request-rearm':    [          'operator', 'approver', 'admin'],
  'set-flag':         [          'operator',             'admin'],
  'start-rollout':    [          'operator',             'admin',           'deployer'],
  'skip-bake':        [          'operator',             'admin'],
  'break-glass':      [          'operator',             'admin'],
  'apply-policy':     [          'operator',             'admin',           'deployer'],
  'set-baseline':     [          'operator',             'admin'],
  'restore':          [          'operator',             'admin'],
  'run':              [          'operator',             'admin', 'worker'],
  'manage-incident':  [          'operator', 'approver', 'admin'],
  'notify':           [          'operator',             'admin'],
  'report-outcomes':  [          'operator',             'admin', 'worker'],
  'send-alerts':      [          'operator',             'admin', 'worker'],
  'approve':          [                      'approver', 'admin'],
  'confirm-database': [                      'approver', 'admin'],
  'import-directory': [                                  'admin'],
  'manage-tokens':    [                                  'admin'],
  'manage-people':    [                                  'admin'],
} as const satisfies Readonly<Record<string, readonly Standing[]>>;

export type Action = keyof typeof MAY_DO;

/** Looking changes nothing, and cancelling keeps all as it is, so a binding to regions does not narrow them. */
const LOOKING: ReadonlySet<Action> = new Set(['read', 'verify-audit', 'cancel']);

export type Permission = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/**
 * Whether a principal may do that, in that region or, without one, everywhere at once; which a principal who
 * is bound to regions never may.
 */
export function mayDo(principal: Principal, action: Action, region?: string): Permission {
  const { name, role, regions } = principal;
  const roles: readonly Standing[] = MAY_DO[action];
  if (!roles.includes(role)) {
    return { allowed: false, reason: `${name} is ${titled(role)}, and ${action} takes ${anyOf(roles)}` };
  }
  if (regions === null || LOOKING.has(action)) return { allowed: true };
  if (region !== undefined && regions.includes(region)) return { allowed: true };
  const where = region === undefined ? `${action} without a region reaches all` : `not to ${region}`;
  return { allowed: false, reason: `${name} is bound to ${regions.join(', ')}: ${where}` };
}

/** Everything that a principal may do, with the only regions to do it in; null: everywhere. */
export function rightsOf({
  role,
  regions,
}: Principal): { readonly action: Action; readonly regions: readonly string[] | null }[] {
  return (Object.keys(MAY_DO) as Action[])
    .filter((action) => (MAY_DO[action] as readonly Standing[]).includes(role))
    .map((action) => ({ action, regions: LOOKING.has(action) ? null : regions }));
}

/** Throws FORBIDDEN, with what it would take, unless {@link mayDo} allows it. */
export function requireMay(principal: Principal, action: Action, region?: string): void {
  const permission = mayDo(principal, action, region);
  if (permission.allowed) return;
  const { name, role, regions } = principal;
  const needs: readonly Standing[] = MAY_DO[action];
  throw new PortcullisError('FORBIDDEN', permission.reason, {
    hint: needs.includes(role)
      ? `name one of the regions ${regions?.join(', ') ?? ''}, or use a token that is not bound to them`
      : `use the token of ${anyOf(needs)}${role === 'local' ? ', in PORTCULLIS_TOKEN' : ''}`,
    details: { principal: name, role, action, needs, ...(region !== undefined && { region }) },
  });
}

function anyOf(roles: readonly Standing[]): string {
  const named = roles.filter((role) => role !== 'local').map(titled);
  return new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(named);
}

function titled(role: Standing): string {
  if (role === 'local') return 'without a token';
  return `${/^[aeiou]/.test(role) ? 'an' : 'a'} ${role}`;
}
