import { Option, type Command } from 'commander';
import { ADMIN_NAME, requireMay, ROLES, type Role } from '../../access/roles.js';
import { issueToken, listTokens, revokeToken, type TokenFacts } from '../../access/tokens.js';
import { actingPrincipal, requireActing } from '../acting.js';
import type { Installation } from '../app-port.js';
import { nearest } from '../../base/nearest.js';
import { PortcullisError } from '../../base/errors.js';
import { voiceOf, withInstallation, withLook, type Context, type Voice } from '../context.js';
import { group, leaf } from '../leaf.js';
import { time } from '../../base/words.js';

export function addTokens(program: Command, context: Context): void {
  const tokens = group(program, 'tokens', 'Tokens: who may do what, over HTTP and on the command line.');
  addIssue(tokens, context);
  addList(tokens, context);
  addRevoke(tokens, context);
}

interface IssueOptions {
  readonly role: Role;
  readonly regions?: string;
  readonly replace?: boolean | undefined;
}

function addIssue(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'issue <name>',
    'Make a token. It is shown this once: the database keeps only its hash. The name goes on the record of what it does.',
    [
      'TOKEN=$(portcullis tokens issue ci --role operator)',
      'portcullis tokens issue alice --role approver --regions eu-west-1,eu-west-2',
      'portcullis tokens issue ci --role operator --replace --json',
    ],
  )
    .addOption(new Option('--role <role>', 'what its holder may do').choices(ROLES).makeOptionMandatory(true))
    .option('--regions <regions>', 'the only regions to act in, separated by commas; without it, all')
    .option('--replace', 'end the token of that name, if there is one, and make a new one in its place')
    .action(async (name: string, { role, regions, replace }: IssueOptions) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        const issuer = await issuerOf(context, installation, { name, role, replace });
        const request = { name, role, replace, regions: regions?.split(',').map((each) => each.trim()) };
        const { id, token } = await issueToken(installation.control, request, issuer);
        voice.note(`token ${name}, shown this once; send it as "Authorization: Bearer …":`);
        voice.result({ id, name, role, token }, () => `${token}\n`);
      });
    });
}

/**
 * Who issues a token: an admin; and a lost admin token is replaced by whoever is at the keyboard with the owner's
 * login. That makes no second person of anybody: for approvals, the two count as one.
 */
async function issuerOf(
  context: Context,
  installation: Installation,
  { name, role, replace }: IssueOptions & { readonly name: string },
): Promise<string> {
  const principal = await actingPrincipal(context, installation);
  const lost = name === ADMIN_NAME && role === 'admin' && replace === true;
  if (!(lost && principal.name.startsWith('local:'))) requireMay(principal, 'manage-tokens');
  return principal.name;
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list',
    'List tokens: their names, when they were used last, and whether they hold.',
    ['portcullis tokens list'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    await withLook(context, async ({ control }) => {
      const tokens = await listTokens(control);
      voice.result({ tokens }, () => tokensText(voice, tokens));
    });
  });
}

function addRevoke(parent: Command, context: Context): void {
  const command = leaf(parent, 'revoke <name>', 'End a token at once.', [
    'portcullis tokens revoke ci',
  ]).action(async (name: string) => {
    const voice = voiceOf(context, command);
    await withInstallation(context, async (installation) => {
      const { control } = installation;
      const revoker = await requireActing(context, installation, 'manage-tokens');
      await revokeToken(control, name, revoker.name).catch(async (error: unknown) => {
        if (!(error instanceof PortcullisError) || error.code !== 'TOKEN_UNKNOWN') throw error;
        const names = (await listTokens(control)).map((each) => each.name);
        const meant = nearest(name, names);
        throw new PortcullisError(error.code, error.message, {
          mend:
            meant === undefined ? 'portcullis tokens list shows those there are' : `did you mean ${meant}?`,
          details: { ...error.details, ...(meant !== undefined && { nearest: meant }) },
          cause: error,
        });
      });
      voice.result({ name, revoked: true }, () => `token ${name} is revoked\n`);
    });
  });
}

function tokensText(voice: Voice, tokens: readonly TokenFacts[]): string {
  if (tokens.length === 0) return 'No tokens; to make one: portcullis tokens issue NAME --role ROLE\n';
  return voice.table(
    ['name', 'role', 'regions', 'state', 'issued', 'last used'].map((title) => ({ title })),
    tokens.map(({ name, role, regions, createdAt, lastUsedAt, revokedAt }) => [
      name,
      role,
      regions?.join(', ') ?? 'all',
      revokedAt === null
        ? { text: 'valid', tone: 'good' }
        : { text: `revoked ${time(revokedAt)}`, tone: 'quiet' },
      time(createdAt),
      lastUsedAt === null ? 'never' : time(lastUsedAt),
    ]),
  );
}
