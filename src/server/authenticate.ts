import type { Request, RequestHandler } from 'express';
import type pg from 'pg';
import { principalOfSession } from '../access/sessions.js';
import { principalOfToken, type TokenHolder } from '../access/tokens.js';
import { PortcullisError } from '../kernel/errors.js';
import { exchangeOf } from './exchange.js';
import { refuseOtherSites, sessionSecret, type SiteOptions } from './site.js';

/**
 * Lets a request pass that bears a valid token or a session's cookie, and notes whose. Throws TOKEN_MISSING, TOKEN_REFUSED,
 * SESSION_ENDED; and for a cookie HOST_REFUSED or ORIGIN_REFUSED.
 */
export function authenticate(control: pg.Pool, site: SiteOptions): RequestHandler {
  return async (request, _response, next) => {
    const header = request.get('authorization');
    exchangeOf(request).caller =
      header === undefined ? await sessionHolder(control, site, request) : await tokenHolder(control, header);
    next();
  };
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
