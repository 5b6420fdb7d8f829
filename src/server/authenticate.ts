import type { Request, RequestHandler } from 'express';
import type pg from 'pg';
import { followGroups } from '../access/identities.js';
import { principalOfSession, takeRefresh } from '../access/sessions.js';
import { principalOfToken, type TokenHolder } from '../access/tokens.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import { answerOfControl, VERIFIED_MS } from '../operations/without-control.js';
import { isUnreachable } from '../postgres/pool.js';
import { exchangeOf } from './exchange.js';
import type { KnownCallers, Wanted } from './known-callers.js';
import type { Provider } from './oidc.js';
import { refuseOtherSites, sessionSecret, type SiteOptions } from './site.js';

/** Under which names the console is served, and the identity provider that people sign in by. */
export interface SignInOptions extends SiteOptions {
  /** Absent: they sign in by token. */
  readonly provider?: Provider | undefined;
}

/**
 * Lets a request pass that bears a valid token or a session's cookie, and notes whose. One that stops something
 * waits two seconds for the control database, one that reads five, and then passes if its token or session is known here: a reading that needs
 * the control database fails by itself. Throws TOKEN_MISSING, TOKEN_REFUSED, SESSION_ENDED; for a cookie HOST_REFUSED or
 * ORIGIN_REFUSED; and DATABASE_UNREACHABLE.
 */
export function authenticate(
  control: pg.Pool,
  site: SignInOptions,
  known: KnownCallers,
  stops: (request: Request) => boolean,
): RequestHandler {
  return async (request, _response, next) => {
    exchangeOf(request).caller = await callerOf(control, site, known, request, wantedBy(request, stops));
    next();
  };
}

function wantedBy(request: Request, stops: (request: Request) => boolean): Wanted | undefined {
  if (stops(request)) return 'stop';
  return request.method === 'GET' || request.method === 'HEAD' ? 'read' : undefined;
}

async function callerOf(
  control: pg.Pool,
  site: SignInOptions,
  known: KnownCallers,
  request: Request,
  wanted: Wanted | undefined,
): Promise<TokenHolder> {
  const header = request.get('authorization');
  const secret = header ?? sessionSecret(request, site) ?? '';
  const verify = async (): Promise<TokenHolder> => {
    const holder = await (header === undefined
      ? sessionHolder(control, site, request)
      : tokenHolder(control, header));
    if (known.isEnding(secret)) throw ended();
    known.note(secret, holder);
    return holder;
  };
  try {
    if (wanted === 'read' && known.isSilent) {
      if (header === undefined) refuseOtherSites(request, site);
      const holder = known.find(secret, wanted);
      if (holder !== undefined) return holder;
    }
    // A kill waits for no provider.
    if (wanted === 'stop') return await answerOfControl(verify);
    const holder = await (wanted === 'read' ? answerOfControl(verify, VERIFIED_MS) : verify());
    return await followed(control, site.provider, holder, verify);
  } catch (error) {
    if (error instanceof PortcullisError && REFUSED.has(error.code)) known.forget(secret);
    if (wanted === undefined || !isUnreachable(error)) throw error;
    known.noteSilence();
    const holder = known.find(secret, wanted);
    if (holder !== undefined) return holder;
    throw wanted === 'stop' ? unverified(error) : error;
  }
}

/** The holder as of the groups that they are in now, where these are to be asked for. Throws SESSION_ENDED. */
async function followed(
  control: pg.Pool,
  provider: Provider | undefined,
  holder: TokenHolder,
  verify: () => Promise<TokenHolder>,
): Promise<TokenHolder> {
  const { session } = holder;
  if (provider === undefined || session?.groupsDue !== true) return holder;
  const taken = await takeRefresh(control, session.id);
  if (taken === undefined) return holder;
  let answer;
  try {
    answer = await provider.askAgain(taken.refresh, taken.subject);
  } catch (error) {
    // While the provider is away, whoever is signed in stays so, as before; it is asked again in a minute.
    if (error instanceof PortcullisError && error.code === 'PROVIDER_UNREACHABLE') return holder;
    throw error;
  }
  await followGroups(control, session.id, answer, provider.settings.groups);
  return verify();
}

const REFUSED: ReadonlySet<ErrorCode> = new Set(['TOKEN_REFUSED', 'SESSION_ENDED']);

function unverified(cause: unknown): PortcullisError {
  return new PortcullisError(
    'DATABASE_UNREACHABLE',
    'nothing was stopped: the control database does not answer, and this process does not know that token or session from before',
    {
      hint: 'give the same to portcullis kill or portcullis stop where PORTCULLIS_DATABASE_URL and the variables of the region databases are set: it needs no token there; or to another process that serves',
      cause,
    },
  );
}

async function tokenHolder(control: pg.Pool, header: string): Promise<TokenHolder> {
  const token = /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1];
  const holder = token === undefined ? undefined : await principalOfToken(control, token);
  if (holder !== undefined) return holder;
  throw new PortcullisError('TOKEN_REFUSED', 'that bearer token is unknown or was revoked', {
    hint: 'use the token that was issued to you, or have a new one issued',
  });
}

/** The holder of the session whose cookie came. */
export async function sessionHolder(
  control: pg.Pool,
  site: SiteOptions,
  request: Request,
): Promise<TokenHolder> {
  const secret = sessionSecret(request, site);
  if (secret === undefined) {
    throw new PortcullisError('TOKEN_MISSING', 'this address needs a bearer token', {
      hint: 'send the header authorization: Bearer <token>; or sign in to the console',
    });
  }
  refuseOtherSites(request, site);
  const holder = await principalOfSession(control, secret);
  if (holder !== undefined) return holder;
  throw ended();
}

function ended(): PortcullisError {
  return new PortcullisError('SESSION_ENDED', 'this session has ended', { hint: 'sign in again' });
}
