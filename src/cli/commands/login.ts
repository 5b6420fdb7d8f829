import { open, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { redeemCode } from '../../access/people.js';
import { TOKEN_PREFIX } from '../../access/tokens.js';
import { PortcullisError } from '../../kernel/errors.js';
import { time } from '../../kernel/words.js';
import { fileError } from '../../postgres/file-error.js';
import { actingPrincipal, localPrincipal } from '../acting.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { forgetCredentials, keepCredentials, type Server } from '../credentials.js';
import { invokeAt } from '../invoke.js';
import { leaf } from '../leaf.js';

interface LoginOptions {
  readonly name?: string;
  readonly file?: string;
  readonly ci?: boolean;
  readonly audience?: string;
}

const Redeemed = z.object({ name: z.string(), person: z.string(), role: z.string(), token: z.string() });
type Redeemed = z.output<typeof Redeemed>;

/** How long a server may take to answer. */
const ANSWER_MS = 30_000;

export function addLogin(program: Command, context: Context): void {
  const command = leaf(
    program,
    'login [url]',
    'Redeem the code that somebody gave you for a token of your own. The code is read from the terminal or from standard input.\n' +
      'With the URL of a server, the token is kept in a file that only you can read, and commands work on that server until portcullis logout. A token that you have already is kept too.',
    [
      'portcullis login https://portcullis.example.com',
      'portcullis login https://portcullis.example.com --file ~/.portcullis-token',
      'export PORTCULLIS_TOKEN=$(portcullis login)',
      'portcullis login https://portcullis.example.com --ci',
    ],
  )
    .option('--name <name>', 'how to name the token; without it, as the person is named')
    .option(
      '--file <file>',
      'write the token to this new file, which only you can read, instead of keeping or printing it',
    )
    .option(
      '--ci',
      'in a workflow of GitHub or GitLab: exchange its own OpenID token for one that ends by itself, and keep that',
    )
    .option('--audience <audience>', 'with --ci: whom the workflow token is for; without it, the URL')
    .action(async (url: string | undefined, { name, file, ci, audience }: LoginOptions) => {
      const voice = voiceOf(context, command);
      if (url !== undefined) requireUrl(url);
      if (ci === true) {
        if (url === undefined || name !== undefined || file !== undefined) {
          throw new PortcullisError(
            'USAGE_INVALID',
            '--ci takes the URL of a server, and neither --name nor --file',
            {
              hint: 'portcullis login https://portcullis.example.com --ci',
            },
          );
        }
        await loginWorkflow(context, voice, { url, audience: audience ?? new URL(url).origin });
        return;
      }
      const code = (
        (await context.io.askLine(url === undefined ? 'code: ' : 'code or token: ')) ?? ''
      ).trim();
      if (code === '') {
        throw new PortcullisError('USAGE_INVALID', 'no code was given', {
          hint: 'type the code, or pass it on standard input',
        });
      }
      if (url !== undefined && code.startsWith(TOKEN_PREFIX)) {
        await keep(context, voice, { url, token: code });
        return;
      }
      const kept = file === undefined ? undefined : await newFile(file);
      const redeem = (): Promise<Redeemed> =>
        url === undefined
          ? redeemHere(context, { code, name }, (text) => voice.note(text))
          : redeemAt(url, { code, name });
      const redeemed = await (kept ? kept.holding(redeem) : redeem());
      const { token, ...facts } = redeemed;
      voice.note(`${redeemed.person} has the token ${redeemed.name}, role ${redeemed.role}`);
      if (file !== undefined)
        voice.result({ ...facts, file }, () => `token written to ${file}; PORTCULLIS_TOKEN=$(cat ${file})\n`);
      else if (url !== undefined) await keep(context, voice, { url, token });
      else voice.result({ ...facts, token }, () => `${token}\n`);
    });
}

/** Keeps a token that the server knows. Throws TOKEN_REFUSED, SERVER_UNREACHABLE. */
async function keep({ app: { settings } }: Context, voice: Voice, server: Server): Promise<void> {
  const invoke = await invokeAt(server, ANSWER_MS);
  await invoke('listJobs', { limit: 1 });
  const { credentialsFile: file } = settings;
  await keepCredentials(file, server);
  voice.result(
    { url: server.url, file },
    () => `logged in to ${server.url}; the token is in ${file}, which only you can read\n`,
  );
  if (settings.serverUrl !== undefined && settings.serverUrl !== server.url)
    voice.note(`commands work on ${settings.serverUrl} while PORTCULLIS_URL names it`);
  else if (settings.serverUrl === undefined && settings.hasDatabase)
    voice.note(`a database is configured here, and commands work on it; set PORTCULLIS_URL=${server.url}`);
}

/** Exchanges the workflow's own token for ours, and keeps that. Throws WORKFLOW_REFUSED, CONFIG_INVALID. */
async function loginWorkflow(
  context: Context,
  voice: Voice,
  { url, audience }: { readonly url: string; readonly audience: string },
): Promise<void> {
  const workflow = await workflowToken(audience);
  const invoke = await invokeAt({ url }, ANSWER_MS);
  const { token, name, person, expiresAt } = await invoke('exchangeToken', { token: workflow });
  voice.note(`acting as ${name}, for ${person}, until ${time(expiresAt)}`);
  await keep(context, voice, { url, token });
}

/** A runner of GitHub has an address that gives the token; GitLab and others put it into a variable that the file names. */
async function workflowToken(audience: string): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: at, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = process.env;
  if (at !== undefined && at !== '' && bearer !== undefined) {
    const url = new URL(at);
    url.searchParams.set('audience', audience);
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${bearer}` },
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch((error: unknown) => {
      throw new PortcullisError('SERVER_UNREACHABLE', 'the runner does not give a token', {
        hint: 'run the step again',
        cause: error,
      });
    });
    const given = z.object({ value: z.string().min(1) }).safeParse(await response.json().catch(() => ({})));
    if (given.success) return given.data.value;
    throw new PortcullisError(
      'SERVER_UNREACHABLE',
      `the runner gives no token: it answered ${response.status}`,
      {
        hint: 'give the job the permission id-token: write',
      },
    );
  }
  const given = process.env['PORTCULLIS_ID_TOKEN'];
  if (given !== undefined && given !== '') return given;
  throw new PortcullisError('CONFIG_INVALID', 'there is no token of a workflow here', {
    hint: 'GitHub: give the job the permission id-token: write. GitLab: name PORTCULLIS_ID_TOKEN under id_tokens',
  });
}

function requireUrl(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new PortcullisError('USAGE_INVALID', `${url} is not a URL`, {
    hint: 'give the address at which Portcullis serves HTTP, such as https://portcullis.example.com',
  });
}

export function addLogout(program: Command, context: Context): void {
  const command = leaf(program, 'logout', 'Forget the server and the token that login kept.', [
    'portcullis logout',
  ]).action(async () => {
    const { credentialsFile: file } = context.app.settings;
    const forgotten = await forgetCredentials(file);
    if (!forgotten) {
      throw new PortcullisError('NOTHING_REACHED', `nobody is logged in: there is no ${file}`, {
        hint: 'nothing need be done',
        details: { file },
      });
    }
    voiceOf(context, command).result(
      { file, removed: true },
      () => `${file} is removed; the token itself holds until it is revoked: portcullis tokens revoke NAME\n`,
    );
  });
}

interface Code {
  readonly code: string;
  readonly name: string | undefined;
}

/**
 * Redeems it on the database. Where the admin's token can be read here, or another token is set, whoever holds that one
 * may have done this: then the new token is known to them too.
 */
function redeemHere(context: Context, { code, name }: Code, note: (text: string) => void): Promise<Redeemed> {
  return withInstallation(context, async (installation) => {
    const beside = await actingPrincipal(context, installation);
    const redeemed = await redeemCode(installation.control, {
      ...{ code, tokenName: name, at: localPrincipal().name },
      beside: beside.hands ?? [],
    });
    if (beside.person !== undefined && beside.person.name !== redeemed.person) {
      note(
        `warning: ${beside.person.name}'s token can be read here, so this one counts as known to them, and does not approve; redeem a new code elsewhere`,
      );
    }
    return redeemed;
  });
}

/** Redeems it over HTTP, for whoever has no database here. */
async function redeemAt(url: string, { code, name }: Code): Promise<Redeemed> {
  const invoke = await invokeAt({ url }, ANSWER_MS);
  return Redeemed.parse(await invoke('login', { code, ...(name !== undefined && { name }) }));
}

/**
 * A new file that only its user can read, made before the code is redeemed, which can be done once. Throws
 * FILE_UNWRITABLE.
 */
async function newFile(path: string): Promise<{ holding(work: () => Promise<Redeemed>): Promise<Redeemed> }> {
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw fileError('FILE_UNWRITABLE', error, 'name a new file in a folder that you may write to');
  });
  return {
    async holding(work) {
      try {
        const redeemed = await work();
        await file.writeFile(`${redeemed.token}\n`);
        return redeemed;
      } catch (error) {
        await rm(path, { force: true });
        throw error;
      } finally {
        await file.close();
      }
    },
  };
}
