import type { RequestHandler } from 'express';
import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { principalOfToken } from '../access/tokens.js';
import { exchangeOf } from './exchange.js';

/** Lets a request pass that bears a valid token, and notes whose. Throws TOKEN_MISSING or TOKEN_REFUSED. */
export function authenticate(control: pg.Pool): RequestHandler {
  return async (request, _response, next) => {
    const header = request.get('authorization');
    if (header === undefined) {
      throw new PortcullisError('TOKEN_MISSING', 'this address needs a bearer token', {
        hint: 'send the header authorization: Bearer <token>',
      });
    }
    const token = /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1];
    const holder = token === undefined ? undefined : await principalOfToken(control, token);
    if (holder === undefined) {
      throw new PortcullisError('TOKEN_REFUSED', 'that bearer token is unknown or was revoked', {
        hint: 'use the token that was issued to you, or have a new one issued',
      });
    }
    exchangeOf(request).caller = holder;
    next();
  };
}
