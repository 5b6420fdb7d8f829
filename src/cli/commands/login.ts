import { open, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { redeemCode } from '../../access/people.js';
import { ERRORS, messageOf, PortcullisError, type ErrorCode } from '../../kernel/errors.js';
import { fileError } from '../../postgres/file-error.js';
import { actingPrincipal, localPrincipal } from '../acting.js';
import { voiceOf, withInstallation, type Context } from '../context.js';
import { leaf } from '../leaf.js';

interface LoginOptions {
  readonly name?: string;
  readonly file?: string;
  readonly server?: string;
}

const Redeemed = z.object({ name: z.string(), person: z.string(), role: z.string(), token: z.string() });
type Redeemed = z.output<typeof Redeemed>;

/** How long a server may take to answer. */
const ANSWER_MS = 30_000;

export function addLogin(program: Command, context: Context): void {
  const command = leaf(
    program,
    'login',
    'Redeem the code that somebody gave you for a token of your own. The code is read from the terminal or from standard input.',
    [
      'portcullis login --server https://portcullis.example.com --file ~/.portcullis-token',
      'export PORTCULLIS_TOKEN=$(portcullis login)',
    ],
  )
    .option('--name <name>', 'how to name the token; without it, as the person is named')
    .option(
      '--file <file>',
      'write the token to this new file, which only you can read, instead of printing it',
    )
    .option(
      '--server <url>',
      'where Portcullis serves HTTP; without it, on the database that is configured here',
    )
    .action(async ({ name, file, server }: LoginOptions) => {
      const voice = voiceOf(context, command);
      const code = (await context.io.askLine('code: ')).trim();
      if (code === '') {
        throw new PortcullisError('USAGE_INVALID', 'no code was given', {
          hint: 'type the code, or pass it on standard input',
        });
      }
      const kept = file === undefined ? undefined : await newFile(file);
      const redeem = (): Promise<Redeemed> =>
        server === undefined
          ? redeemHere(context, { code, name }, (text) => voice.note(text))
          : redeemAt(server, { code, name });
      const redeemed = await (kept ? kept.holding(redeem) : redeem());
      const { token, ...facts } = redeemed;
      voice.note(`${redeemed.person} has the token ${redeemed.name}, role ${redeemed.role}`);
      if (file === undefined) voice.result({ ...facts, token }, () => `${token}\n`);
      else
        voice.result({ ...facts, file }, () => `token written to ${file}; PORTCULLIS_TOKEN=$(cat ${file})\n`);
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
async function redeemAt(server: string, { code, name }: Code): Promise<Redeemed> {
  const url = new URL('login', server.endsWith('/') ? server : `${server}/`);
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code, ...(name !== undefined && { name }) }),
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_MS),
  }).catch((error: unknown) => {
    throw new PortcullisError('USAGE_INVALID', `${url.origin} does not answer: ${messageOf(error)}`, {
      hint: 'give the address at which Portcullis serves HTTP, such as https://portcullis.example.com',
    });
  });
  const body: unknown = await response.json().catch(() => undefined);
  const redeemed = Redeemed.safeParse(body);
  if (response.ok && redeemed.success) return redeemed.data;
  throw refusalOf(response.status, body);
}

const Refusal = z.object({ code: z.string(), detail: z.string().optional(), hint: z.string().optional() });

function refusalOf(status: number, body: unknown): PortcullisError {
  const refusal = Refusal.safeParse(body);
  const code = refusal.data?.code;
  if (code !== undefined && code in ERRORS) {
    const { detail = code, hint } = refusal.data ?? {};
    return new PortcullisError(code as ErrorCode, detail, hint === undefined ? {} : { hint });
  }
  return new PortcullisError(
    'USAGE_INVALID',
    `the server answered ${status}, which is no answer to a login`,
    {
      hint: 'give the address at which Portcullis serves HTTP',
    },
  );
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
