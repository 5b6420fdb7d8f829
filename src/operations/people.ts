import { z } from 'zod';
import { linkIdentity, unlinkIdentity } from '../access/identities.js';
import { addPerson, listPeople, redeemCode, removePerson } from '../access/people.js';
import { PEOPLE_ROLES, ROLES } from '../access/roles.js';
import { issueToken, listTokens, revokeToken } from '../access/tokens.js';
import { pageOfList } from '../postgres/page.js';
import { PortcullisError } from '../kernel/errors.js';
import { operation } from './operation.js';
import { named, pageSchema, isoTime, word } from '../kernel/schema.js';
import { namePath, pageQuery } from './schemas.js';

const regions = z
  .array(word)
  .min(1)
  .readonly()
  .optional()
  .describe('the only regions to act in; absent: all');
const names = z.array(z.string()).readonly();
const replace = z.boolean().default(false);

const Person = named(
  'Person',
  z.strictObject({
    name: z.string(),
    role: z.enum(ROLES),
    regions: names.nullable().describe('null: everywhere'),
    state: z
      .enum(['known', 'invited', 'expired', 'removed'])
      .describe('`invited`: has a code to redeem; `expired`: had one'),
    addedBy: z.string(),
    addedAt: isoTime,
    introducedBy: names.describe('the people who gave the code'),
    knownBy: z.enum(['first-start', 'upgrade', 'code', 'recovery', 'sample', 'provider']).nullable(),
    knownSince: isoTime.nullable(),
    codeExpiresAt: isoTime.nullable(),
    removedAt: isoTime.nullable(),
    lastSeenAt: isoTime.nullable().describe('by a token or a session, to the minute; null: never'),
    tokens: names.describe('the names of their valid tokens'),
    identities: z
      .array(
        z.strictObject({
          ...{ issuer: z.string(), subject: z.string() },
          role: z.enum(PEOPLE_ROLES).nullable().describe('null: never signed in by it'),
          regions: names.nullable(),
          groups: names.describe('those that the identity file names'),
          signedInAt: isoTime.nullable(),
        }),
      )
      .readonly()
      .describe('who they are at identity providers; role, regions and groups as of the last sign-in'),
  }),
);
const PersonPage = pageSchema('PersonPage', Person);

const PersonAdded = named(
  'PersonAdded',
  z.strictObject({
    name: z.string(),
    code: z.string().describe('shown this once: the person redeems it at /login'),
    expiresAt: isoTime,
  }),
);

const Token = named(
  'Token',
  z.strictObject({
    id: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    regions: names.nullable().describe('null: everywhere'),
    person: z.string().nullable().describe("whose it is; null: a machine's"),
    knownTo: names.describe('the people who know it, or may: it approves where that is its person alone'),
    createdAt: isoTime,
    lastUsedAt: isoTime.nullable(),
    revokedAt: isoTime.nullable(),
    expiresAt: isoTime.nullable().describe('null: it holds until it is revoked'),
  }),
);
const TokenPage = pageSchema('TokenPage', Token);

const Removed = named(
  'Removed',
  z.strictObject({ name: z.string(), tokens: names.describe('that were revoked') }),
);

const identity = {
  issuer: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .describe('the URL of the identity provider'),
  subject: z.string().min(1).max(300).describe('what it calls them, and nobody else: the claim `sub`'),
};

const secret = z.string().describe('shown this once');

/** Who holds tokens, the tokens, and the redeeming of a code for one. */
export const peopleOperations = {
  listPeople: operation({
    at: 'GET /api/v1/people',
    example: {},
    summary: 'The people who hold tokens, and who introduced them',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: PersonPage,
    run: async ({ control }, page) => pageOfList(await listPeople(control), page, ({ name }) => [name]),
  }),
  addPerson: operation({
    at: 'POST /api/v1/people',
    example: { name: 'ann', role: 'operator' },
    summary: 'Adds a person, who redeems the code in the answer within 24 hours',
    action: 'manage-people',
    keyed: 'secret',
    body: named(
      'PersonToAdd',
      z.strictObject({
        ...{ name: word, role: z.enum(PEOPLE_ROLES), regions },
        replace: replace.describe('end the tokens of the person of that name, and give a new code'),
      }),
    ),
    oneCommit: true,
    result: PersonAdded,
    errors: ['PERSON_KNOWN', 'TOKEN_NAME_INVALID'],
    run: ({ control }, body, caller) => addPerson(control, body, caller),
  }),
  removePerson: operation({
    at: 'POST /api/v1/people/:name/remove',
    example: { name: 'ann' },
    summary: 'Removes a person, and ends their tokens',
    action: 'manage-people',
    params: z.strictObject({ name: namePath }),
    oneCommit: true,
    result: Removed,
    errors: ['PERSON_UNKNOWN', 'NOTHING_REACHED'],
    run: async ({ control }, { name }, caller) => ({
      name,
      tokens: await removePerson(control, name, caller),
    }),
  }),
  linkIdentity: operation({
    at: 'POST /api/v1/people/:name/link',
    example: { name: 'ann', issuer: 'https://id.example', subject: '248289761001' },
    summary: "Says that a person and an identity provider's user are one human",
    action: 'manage-people',
    params: z.strictObject({ name: namePath }),
    body: named('IdentityToLink', z.strictObject(identity)),
    oneCommit: true,
    result: named('IdentityLinked', z.strictObject({ name: z.string(), ...identity })),
    errors: ['PERSON_UNKNOWN', 'IDENTITY_LINKED'],
    run: async ({ control }, link, caller) => {
      await linkIdentity(control, link, caller);
      return link;
    },
  }),
  unlinkIdentity: operation({
    at: 'POST /api/v1/identities/unlink',
    example: { issuer: 'https://id.example', subject: '248289761001' },
    summary: 'Ends such a link, and the sessions that were begun by it',
    action: 'manage-people',
    body: named('IdentityToUnlink', z.strictObject(identity)),
    oneCommit: true,
    result: named('IdentityUnlinked', z.strictObject({ name: z.string(), ...identity })),
    errors: ['NOTHING_REACHED'],
    run: async ({ control }, link, caller) => ({
      ...link,
      name: await unlinkIdentity(control, link, caller),
    }),
  }),
  listTokens: operation({
    at: 'GET /api/v1/tokens',
    example: {},
    summary: 'Every token that was ever issued, without the token itself',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: TokenPage,
    run: async ({ control }, page) => pageOfList(await listTokens(control), page, ({ name }) => [name]),
  }),
  issueToken: operation({
    at: 'POST /api/v1/tokens',
    example: { name: 'ci', role: 'operator', owner: 'machine' },
    summary: 'Issues a token to a person or a machine; one for somebody else does not approve',
    action: 'manage-tokens',
    keyed: 'secret',
    body: named(
      'TokenToIssue',
      z.strictObject({
        ...{ name: word, role: z.enum(ROLES), regions },
        owner: z
          .union([z.literal('machine'), z.strictObject({ person: word })])
          .optional()
          .describe('whose it is; absent only where a token is replaced: then it stays whose it was'),
        replace: replace.describe('end the token of that name'),
      }),
    ),
    oneCommit: true,
    result: named('TokenIssued', z.strictObject({ id: z.string(), token: secret })),
    errors: ['TOKEN_NAME_TAKEN', 'TOKEN_NAME_INVALID', 'PERSON_UNKNOWN'],
    run: ({ control }, body, caller) => issueToken(control, body, caller),
  }),
  revokeToken: operation({
    at: 'POST /api/v1/tokens/:name/revoke',
    example: { name: 'ci' },
    summary: 'Ends a token at once',
    action: 'manage-tokens',
    params: z.strictObject({ name: namePath }),
    oneCommit: true,
    result: named('TokenRevoked', z.strictObject({ name: z.string() })),
    errors: ['TOKEN_UNKNOWN', 'NOTHING_REACHED'],
    run: async ({ control }, { name }, caller) => {
      await revokeToken(control, name, caller.name);
      return { name };
    },
  }),
  login: operation({
    at: 'POST /login',
    example: { code: 'the code in the invitation' },
    summary: 'Redeems the code of a person for a token that only they know',
    action: 'anyone',
    body: named(
      'Login',
      z.strictObject({
        code: z.string().min(1).max(200),
        name: word.optional().describe('how to name the token; absent: as the person is named'),
      }),
    ),
    result: named(
      'LoggedIn',
      z.strictObject({
        id: z.string(),
        name: z.string(),
        person: z.string(),
        role: z.enum(ROLES),
        regions: names.nullable(),
        token: secret,
      }),
    ),
    errors: ['CODE_REFUSED', 'TOKEN_NAME_TAKEN', 'TOKEN_NAME_INVALID', 'DATABASE_UNREACHABLE'],
    run: ({ control }, { code, name }) => redeemCode(control, { code, tokenName: name, at: 'http' }),
  }),
  exchangeToken: operation({
    at: 'POST /exchange',
    example: { token: "the workflow's OpenID token" },
    summary: "Gives a short token for a workflow's own OpenID token, once",
    action: 'anyone',
    body: named('Exchange', z.strictObject({ token: z.string().min(1).max(16_384) })),
    result: named(
      'Exchanged',
      z.strictObject({
        ...{ name: z.string(), token: secret, role: z.literal('deployer') },
        person: z.string().describe('whose workflow it is: they approve nothing that it asks for'),
        expiresAt: isoTime,
      }),
    ),
    errors: ['WORKFLOW_REFUSED', 'PROVIDER_UNREACHABLE', 'DATABASE_UNREACHABLE'],
    run: ({ control, workflows }, { token }) => {
      if (workflows !== undefined) return workflows.exchange(control, token);
      throw new PortcullisError('WORKFLOW_REFUSED', 'no workflows are trusted here', {
        hint: 'name them in the identity file (PORTCULLIS_IDENTITY) of the server',
      });
    },
  }),
};
