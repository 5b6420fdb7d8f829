import type { Request, RequestHandler } from 'express';
import type pg from 'pg';
import { principalOfSession } from '../access/sessions.js';
import { principalOfToken, type TokenHolder, hashOf } from '../access/tokens.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import { answerOfControl } from '../operations/without-control.js';
import { isUnreachable } from '../postgres/pool.js';
import { exchangeOf } from './exchange.js';
import { refuseOtherSites, sessionSecret, type SiteOptions } from './site.js';

/**
 * Lets a request pass that bears a valid token or a session's cookie, and notes whose. One that stops something waits two
 * seconds for the control database, and then passes if its token or session was verified here of late. Throws
 * TOKEN_MISSING, TOKEN_REFUSED, SESSION_ENDED; for a cookie HOST_REFUSED or ORIGIN_REFUSED; and DATABASE_UNREACHABLE.
 */
export function authenticate(
  control: pg.Pool,
  site: SiteOptions,
  stops: (request: Request) => boolean,
): RequestHandler {
  const recent = new RecentCallers();
  return async (request, _response, next) => {
    const header = request.get('authorization');
    const secret = header ?? sessionSecret(request, site) ?? '';
    const verify = async (): Promise<TokenHolder> => {
      const holder = await (header === undefined
        ? sessionHolder(control, site, request)
        : tokenHolder(control, header));
      recent.note(secret, holder);
      return holder;
    };
    try {
      const caller = stops(request) ? await answerOfControl(verify) : await verify();
      exchangeOf(request).caller = caller;
    } catch (error) {
      if (error instanceof PortcullisError && REFUSED.has(error.code)) recent.forget(secret);
      if (!stops(request) || !isUnreachable(error)) throw error;
      const known = recent.find(secret);
      if (known === undefined) throw unverified(error);
      exchangeOf(request).caller = { ...known, remembered: true };
    }
    next();
  };
}

const REFUSED: ReadonlySet<ErrorCode> = new Set(['TOKEN_REFUSED', 'SESSION_ENDED']);

function unverified(cause: unknown): PortcullisError {
  return new PortcullisError(
    'DATABASE_UNREACHABLE',
    'nothing was stopped: the control database does not answer, and this process has not verified that token in the last 24 hours',
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
  throw new PortcullisError('SESSION_ENDED', 'this session has ended', { hint: 'sign in again' });
}

/** How long somebody counts as known, after their token or session was last verified. */
const KNOWN_MS = 24 * 60 * 60 * 1000;
/** The most that are remembered; who was verified longest ago goes first. */
const MOST = 1_000;

/**
 * Whose tokens and sessions this process has verified of late, by their hashes: so that they can stop something while
 * the control database does not answer. One that was revoked through another process may be among them, for a day at
 * most: it can stop, and nothing else. The secrets themselves are not kept.
 */
export class RecentCallers {
  readonly #known = new Map<string, { readonly holder: TokenHolder; readonly atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** It was verified now. */
  note(secret: string, holder: TokenHolder): void {
    const hash = keyOf(secret);
    this.#known.delete(hash);
    this.#known.set(hash, { holder, atMs: this.#nowMs() });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST && oldest !== undefined) this.#known.delete(oldest);
  }

  /** It was refused: it is not known any more. */
  forget(secret: string): void {
    this.#known.delete(keyOf(secret));
  }

  find(secret: string): TokenHolder | undefined {
    const known = this.#known.get(keyOf(secret));
    return known !== undefined && this.#nowMs() - known.atMs <= KNOWN_MS ? known.holder : undefined;
  }
}

function keyOf(secret: string): string {
  return hashOf(secret).toString('base64');
}
