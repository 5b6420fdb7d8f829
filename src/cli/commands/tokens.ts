import type { Command } from 'commander';
import { issueToken, listTokens, revokeToken, type TokenFacts } from '../../store/api-tokens.js';
import { nearest } from '../../base/nearest.js';
import { PortcullisError } from '../../base/errors.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { group, leaf } from '../leaf.js';
import { time } from '../wording.js';

export function addTokens(program: Command, context: Context): void {
  const tokens = group(program, 'tokens', 'Tokens for the HTTP API.');
  addIssue(tokens, context);
  addList(tokens, context);
  addRevoke(tokens, context);
}

function addIssue(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'issue <name>',
    'Make a token. It is shown this once: the database keeps only its hash. The name goes on the record of what it does.',
    ['TOKEN=$(portcullis tokens issue ci)', 'portcullis tokens issue ci --replace --json'],
  )
    .option('--replace', 'end the token of that name, if there is one, and make a new one in its place')
    .action(async (name: string, { replace = false }: { replace?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async ({ control }) => {
        const { id, token } = await issueToken(control, name, { replace });
        voice.note(`token ${name}, shown this once; send it as "Authorization: Bearer …":`);
        voice.result({ id, name, token }, () => `${token}\n`);
      });
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
    await withInstallation(context, async ({ control }) => {
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
    await withInstallation(context, async ({ control }) => {
      await revokeToken(control, name).catch(async (error: unknown) => {
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
  if (tokens.length === 0) return 'there is no token; portcullis tokens issue NAME makes one\n';
  return voice.table(
    ['name', 'state', 'issued', 'last used'].map((title) => ({ title })),
    tokens.map(({ name, createdAt, lastUsedAt, revokedAt }) => [
      name,
      revokedAt === null
        ? { text: 'valid', tone: 'good' }
        : { text: `revoked ${time(revokedAt)}`, tone: 'quiet' },
      time(createdAt),
      lastUsedAt === null ? 'never' : time(lastUsedAt),
    ]),
  );
}
