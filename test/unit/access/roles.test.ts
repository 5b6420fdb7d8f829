import { describe, expect, test } from '@jest/globals';
import {
  MAY_DO,
  ROLES,
  mayDo,
  requireMay,
  type Action,
  type Principal,
  type Role,
} from '../../../src/access/roles.js';

const one = (role: Role, regions: string[] | null = null): Principal => ({ name: 'alice', role, regions });

/** Written out a second time, so that a slip in the table shows. */
// prettier-ignore
const EXPECTED: [Action, ...boolean[]][] = [
  //                   viewer operator approver admin worker deployer
  ['read',             true,  true,    true,    true, true, true],
  ['verify-audit',     true,  true,    true,    true, false, false],
  ['kill',             false, true,    true,    true, true, true],
  ['cancel',           true,  true,    true,    true, true, true],
  ['request-rearm',    false, true,    true,    true, false, false],
  ['set-flag',         false, true,    false,   true, false, false],
  ['start-rollout',     false, true,    false,   true, false, true],
  ['skip-bake',        false, true,    false,   true, false, false],
  ['break-glass',      false, true,    false,   true, false, false],
  ['apply-policy',     false, true,    false,   true, false, true],
  ['set-baseline',      false, true,    false,   true, false, false],
  ['restore',          false, true,    false,   true, false, false],
  ['run',              false, true,    false,   true, true, false],
  ['manage-incident',  false, true,    true,    true, false, false],
  ['notify',           false, true,    false,   true, false, false],
  ['report-outcomes',  false, true,    false,   true, true, false],
  ['send-alerts',      false, true,    false,   true, true, false],
  ['approve',          false, false,   true,    true, false, false],
  ['confirm-database', false, false,   true,    true, false, false],
  ['import-directory', false, false,   false,   true, false, false],
  ['manage-tokens',    false, false,   false,   true, false, false],
  ['manage-people',    false, false,   false,   true, false, false],
];

describe('what each role may do', () => {
  test('is said here of every action there is', () => {
    expect(EXPECTED.map(([action]) => action).sort()).toEqual(Object.keys(MAY_DO).sort());
  });

  test.each(EXPECTED)(
    '%s: viewer %p, operator %p, approver %p, admin %p, worker %p, deployer %p',
    (action, ...allowed) => {
      expect(ROLES.map((role) => mayDo(one(role), action).allowed)).toEqual(allowed);
    },
  );
});

test('without a token a user looks, kills and stops, and no more', () => {
  const local: Principal = { name: 'local:root', role: 'local', regions: null };
  const may = (Object.keys(MAY_DO) as Action[]).filter((action) => mayDo(local, action).allowed);
  expect(may).toEqual(['read', 'verify-audit', 'kill', 'cancel']);
});

describe('a principal bound to regions', () => {
  const bound = one('admin', ['eu-west-1', 'eu-west-2']);

  test('acts there and nowhere else', () => {
    expect(mayDo(bound, 'set-flag', 'eu-west-1')).toEqual({ allowed: true });
    expect(mayDo(bound, 'set-flag', 'us-east-1')).toEqual({
      allowed: false,
      reason: 'alice is bound to eu-west-1, eu-west-2: not to us-east-1',
    });
  });

  test('does nothing that reaches all regions', () => {
    for (const action of ['kill', 'manage-tokens', 'apply-policy', 'approve'] as const) {
      expect(mayDo(bound, action).allowed).toBe(false);
    }
  });

  test('may look everywhere', () => {
    expect(mayDo(bound, 'read').allowed).toBe(true);
    expect(mayDo(bound, 'read', 'us-east-1').allowed).toBe(true);
    expect(mayDo(one('viewer', ['eu-west-1']), 'verify-audit').allowed).toBe(true);
  });

  test('has no more than its role has', () => {
    expect(mayDo(one('viewer', ['eu-west-1']), 'kill', 'eu-west-1').allowed).toBe(false);
  });
});

describe('a refusal', () => {
  test('names the roles that it takes', () => {
    expect(() => requireMay(one('viewer'), 'set-flag', 'eu-west-1')).toThrow(
      expect.objectContaining({
        code: 'FORBIDDEN',
        message: 'alice is a viewer, and set-flag takes an operator or an admin',
        hint: 'use the token of an operator or an admin',
        details: {
          principal: 'alice',
          role: 'viewer',
          action: 'set-flag',
          needs: ['operator', 'admin'],
          region: 'eu-west-1',
        },
      }),
    );
  });

  test('names the regions that the principal is bound to', () => {
    expect(() => requireMay(one('operator', ['eu-west-1']), 'kill')).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', hint: expect.stringContaining('eu-west-1') }),
    );
  });

  test('is none where it is allowed', () => {
    expect(() => requireMay(one('worker'), 'kill')).not.toThrow();
  });
});
