import { signal } from '@preact/signals';
import { ADDRESSES } from '../client/addresses.js';
import { createClient, type CallOptions } from '../client/client.js';
import { PortcullisError } from '../kernel/errors.js';
import type { OperationName } from '../operations/list.js';
import type { Input, Output } from './outputs.js';

export type { Input, Output };

export type Me = Output<'getMe'>;

/** Who is signed in; null: nobody; undefined: not asked yet. */
export const me = signal<Me | null | undefined>(undefined);
export const SESSION_ENDED = 'Your session has ended.';
export const SIGNED_OUT = 'You signed out.';
/** Why nobody is signed in any more. */
export const signedOutBecause = signal('');

const client = createClient({ url: location.origin });

/** How long an answer may take: one behind a lost network never comes, and what waits for it would stand still. */
const READ_MS = 15_000;
const ACT_MS = 60_000;

/** Calls an operation as whoever is signed in. Throws what the client throws; where the session has ended, says so first. */
export async function call<Name extends OperationName>(
  name: Name,
  input: Input<Name>,
  options: CallOptions = {},
): Promise<Output<Name>> {
  const limit = ADDRESSES[name].startsWith('GET') ? READ_MS : ACT_MS;
  try {
    return await (client.call as (...given: unknown[]) => Promise<Output<Name>>)(name, input, {
      signal: AbortSignal.timeout(limit),
      ...options,
    });
  } catch (error) {
    // Several are refused at once: the first says why, and those after it take that away no more.
    if (isSignedOut(error) && me.value !== null) {
      signedOut(me.value === undefined ? '' : SESSION_ENDED);
    }
    throw error;
  }
}

export function signedOut(because: string): void {
  signedOutBecause.value = because;
  me.value = null;
}

export function isSignedOut(error: unknown): boolean {
  return (
    error instanceof PortcullisError && (error.code === 'SESSION_ENDED' || error.code === 'TOKEN_MISSING')
  );
}

/** What is shown of an error, whatever was thrown. */
export function problemOf(error: unknown): {
  readonly code: string;
  readonly text: string;
  readonly hint: string;
} {
  if (error instanceof PortcullisError) {
    return { code: error.code, text: error.message, hint: error.hint ?? '' };
  }
  return { code: 'INTERNAL', text: error instanceof Error ? error.message : String(error), hint: '' };
}

/** Asks who is signed in. */
export async function loadMe(): Promise<void> {
  try {
    me.value = await call('getMe', {});
  } catch (error) {
    if (!isSignedOut(error)) throw error;
  }
}

/** Signs in with a token, or with the code of a link. Throws the PortcullisError that the server answers. */
export async function signIn(proof: { readonly token: string } | { readonly code: string }): Promise<void> {
  await post('/session', proof);
  signedOutBecause.value = '';
  await loadMe();
}

/** Answers where the identity provider's own session ends, where there is one. */
export async function signOut(): Promise<string | undefined> {
  let next: string | undefined;
  try {
    ({ next } = (await post('/session/end', {})) as { next?: string });
  } catch (error) {
    if (!isSignedOut(error)) throw error;
  }
  signedOut(SIGNED_OUT);
  return next;
}

/** How people sign in here. */
export interface SignInWays {
  /** The identity provider; null: by token. */
  readonly provider: { readonly label: string } | null;
  /** Why the last try by the provider was refused. */
  readonly problem: { readonly code: string; readonly detail: string; readonly hint: string } | null;
}

export async function signInWays(): Promise<SignInWays> {
  return (await answerOf('/session/ways')) as SignInWays;
}

const post = (path: string, body: object): Promise<unknown> =>
  answerOf(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** What is no operation: only a browser signs in. */
async function answerOf(path: string, init: RequestInit = {}): Promise<unknown> {
  const response = await fetch(path, { signal: AbortSignal.timeout(READ_MS), ...init }).catch(
    (error: unknown) => {
      throw new PortcullisError('SERVER_UNREACHABLE', 'the server does not answer', {
        hint: 'check that portcullis start runs',
        cause: error,
      });
    },
  );
  if (response.ok) return response.json();
  const problem = (await response.json().catch(() => ({}))) as Partial<
    Record<'code' | 'detail' | 'hint', string>
  >;
  const code = (problem.code ?? 'INTERNAL') as PortcullisError['code'];
  throw new PortcullisError(code, problem.detail ?? `the server answered ${response.status}`, {
    hint: problem.hint ?? '',
  });
}

type Action = Me['may'][number]['action'];

/** Why the person may not do that there, for a button that is off; undefined: they may. The server decides all the same. */
export function whyNot(action: Action, region?: string): string | undefined {
  const person = me.value;
  if (person == null) return 'Nobody is signed in.';
  const right = person.may.find((each) => each.action === action);
  if (right === undefined)
    return `You act as ${person.name}, role ${person.role}, which may not ${wordsOf(action)}.`;
  if (right.regions === null || (region !== undefined && right.regions.includes(region))) return undefined;
  return `You may ${wordsOf(action)} in ${right.regions.join(', ')} only.`;
}

const wordsOf = (action: Action): string => action.replaceAll('-', ' ');
