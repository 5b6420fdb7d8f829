import { z } from 'zod';
import { MAY_DO, rightsOf, ROLES, type Action } from '../access/roles.js';
import { createSignInCode } from '../access/sessions.js';
import { operation } from './operation.js';
import { named, isoTime } from '../kernel/schema.js';

const regions = z.array(z.string()).readonly().nullable().describe('null: everywhere');

const Me = named(
  'Me',
  z.strictObject({
    name: z.string().describe("the token's name, which stands in the audit log"),
    role: z.enum([...ROLES, 'local']),
    regions,
    person: z.string().nullable().describe("whose token it is; null: a machine's"),
    may: z
      .array(z.strictObject({ action: z.enum(Object.keys(MAY_DO) as [Action, ...Action[]]), regions }))
      .readonly()
      .describe('what the caller may do, and where; approvals also take a second person'),
    session: z
      .strictObject({
        expiresAt: isoTime.describe('unless it is used before then; at most 24 h after it began'),
      })
      .nullable()
      .describe("the console's session; null: the call bore a token"),
    grafana: z
      .string()
      .nullable()
      .describe("the address of this installation's Grafana: see listDashboards; null: it names none"),
  }),
);

export const meOperations = {
  getMe: operation({
    at: 'GET /api/v1/me',
    example: {},
    summary: 'Who the caller is, and what they may do where',
    action: 'read',
    result: Me,
    run: ({ grafanaUrl }, _input, caller) => ({
      name: caller.name,
      role: caller.role,
      regions: caller.regions,
      person: caller.person?.name ?? null,
      may: rightsOf(caller),
      session: caller.session === undefined ? null : { expiresAt: caller.session.expiresAt },
      grafana: grafanaUrl ?? null,
    }),
  }),
  createSignInCode: operation({
    at: 'POST /api/v1/sign-in-codes',
    example: {},
    summary: "A code that signs the token's person in to the console, once, within 30 s",
    action: 'read',
    keyed: 'secret',
    oneCommit: true,
    result: named(
      'SignInCode',
      z.strictObject({ code: z.string().describe('shown this once'), expiresAt: isoTime }),
    ),
    errors: ['MACHINE_CANNOT_SIGN_IN'],
    run: ({ control }, _input, caller) => createSignInCode(control, caller),
  }),
};
