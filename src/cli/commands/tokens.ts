import { Option, type Command } from 'commander';
import { ADMIN_NAME, ROLES, type Role } from '../../access/roles.js';
import { recoverAdminToken } from '../../access/admin-token.js';
import type { IssuedToken, TokenFacts } from '../../access/tokens.js';
import { actingPrincipal } from '../acting.js';
import { confirmed, yesOption } from '../confirm.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { invokeAt, invokingHere, withInvoke, type Invoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { listUpTo } from '../../client/client.js';
import { time } from '../../kernel/words.js';
import type { Tone } from '../tone.js';

export function addTokens(program: Command, context: Context): void {
  const tokens = group(program, 'tokens', 'Issue, list and revoke tokens, of people and machines.');
  addIssue(tokens, context);
  addList(tokens, context);
  addRevoke(tokens, context);
}

interface IssueOptions {
  readonly role: Role;
  readonly person?: string;
  readonly machine?: boolean | undefined;
  readonly regions?: string;
  readonly replace?: boolean | undefined;
}

function addIssue(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'issue <name>',
    'Make a token. It is shown this once: the database keeps only its hash. The name goes on the record of what it does.',
    [
      'TOKEN=$(portcullis tokens issue ci --machine --role operator)',
      'portcullis tokens issue alice-laptop --person alice --role operator --regions eu-west-1,eu-west-2',
      'portcullis tokens issue ci --role operator --replace --json',
    ],
  )
    .addOption(new Option('--role <role>', 'what its holder may do').choices(ROLES).makeOptionMandatory(true))
    .addOption(
      new Option(
        '--person <name>',
        'whose it is: a token that somebody else issues for them does not approve',
      ).conflicts('machine'),
    )
    .option('--machine', 'it is a machine’s, which never approves')
    .option('--regions <regions>', 'the only regions to act in, separated by commas; without it, all')
    .option('--replace', 'end the token of that name, if there is one, and make a new one in its place')
    .action(async (name: string, options: IssueOptions) => {
      const voice = voiceOf(context, command);
      const { id, token } = await issue(context, name, options);
      voice.note(`token ${name}, shown this once; send it as "Authorization: Bearer …":`);
      voice.result({ id, name, role: options.role, token }, () => `${token}\n`);
    });
}

/**
 * An admin issues tokens; and a lost admin token is replaced by whoever is at the keyboard with the owner's login. That
 * makes no second person of anybody: see docs/reference/people.md.
 */
async function issue(context: Context, name: string, options: IssueOptions): Promise<IssuedToken> {
  const { role, person, machine, regions, replace } = options;
  const order = {
    ...{ name, role, replace },
    owner: machine === true ? ('machine' as const) : person === undefined ? undefined : { person },
    regions: regions?.split(',').map((each) => each.trim()),
  };
  const issued = (invoke: Invoke): Promise<IssuedToken> => invoke('issueToken', order);
  const server = context.server?.();
  if (server !== undefined) return issued(await invokeAt(server));
  const lost = name === ADMIN_NAME && role === 'admin' && replace === true && person === undefined;
  return withInstallation(context, async (installation) => {
    const principal = await actingPrincipal(context, installation);
    if (lost && principal.role === 'local') return recoverAdminToken(installation.control, principal.name);
    return invokingHere(context, installation, issued);
  });
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list',
    'List tokens: their names, when they were used last, and whether they hold.',
    ['portcullis tokens list'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const { items: tokens } = await withInvoke(context, 'look', (invoke) =>
      listUpTo(Infinity, (page) => invoke('listTokens', page)),
    );
    voice.result({ tokens }, () => tokensText(voice, tokens));
  });
}

function addRevoke(parent: Command, context: Context): void {
  const command = leaf(parent, 'revoke <name>', 'End a token at once.', ['portcullis tokens revoke ci'])
    .addOption(yesOption())
    .action(async (name: string, { yes }: { readonly yes?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const me = await invoke('getMe', {});
        if (me.name === name) await confirmed(context, yes, `${name} is the token that you act with`);
        await invoke('revokeToken', { name });
        voice.result({ name, revoked: true }, () => `token ${name} is revoked\n`);
      });
    });
}

export function tokensText(voice: Voice, tokens: readonly TokenFacts[]): string {
  if (tokens.length === 0)
    return 'No tokens; to make one: portcullis tokens issue NAME --role ROLE --machine\n';
  return voice.table(
    [
      ...[{ title: 'name' }, { title: 'whose', below: 4 }, { title: 'role' }, { title: 'regions', below: 2 }],
      ...[{ title: 'state' }, { title: 'issued', below: 1 }, { title: 'last used', below: 3 }],
    ],
    tokens.map(({ name, person, knownTo, role, regions, createdAt, lastUsedAt, revokedAt, expiresAt }) => [
      name,
      ownerText(person, knownTo),
      role,
      regions?.join(', ') ?? 'all',
      stateOf(revokedAt, expiresAt),
      time(createdAt),
      lastUsedAt === null ? 'never' : time(lastUsedAt),
    ]),
  );
}

function stateOf(revokedAt: string | null, expiresAt: string | null): { text: string; tone: Tone } {
  if (revokedAt !== null) return { text: `revoked ${time(revokedAt)}`, tone: 'quiet' };
  if (expiresAt === null) return { text: 'valid', tone: 'good' };
  const isOver = Date.parse(expiresAt) <= Date.now();
  return isOver
    ? { text: `expired ${time(expiresAt)}`, tone: 'quiet' }
    : { text: `valid until ${time(expiresAt)}`, tone: 'good' };
}

/** Whose a token is, and who else knows it. */
function ownerText(person: string | null, knownTo: readonly string[]): string {
  if (person === null) return 'a machine';
  const others = knownTo.filter((each) => each !== person);
  return others.length === 0 ? person : `${person}, known to ${others.join(', ')}`;
}
