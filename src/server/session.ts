import express, { type RequestHandler, type Router } from 'express';
import type pg from 'pg';
import { z } from 'zod';
import { signIn, signOut } from '../access/sessions.js';
import { PortcullisError } from '../kernel/errors.js';
import { sessionHolder } from './authenticate.js';
import { exchangeOf } from './exchange.js';
import { refuseOtherSites, siteOf, type SiteOptions } from './site.js';

const Proof = z.union([
  z.strictObject({ token: z.string().min(1).max(200) }),
  z.strictObject({ code: z.string().min(1).max(200) }),
]);

const BODY_LIMIT_BYTES = 4_096;

/**
 * Signing in and out: what a browser alone can do, and so no operations. `POST /session` takes a token, or the code of a
 * link, and answers with a cookie; `POST /session/end` ends the session.
 */
export function sessionRouter(control: pg.Pool, site: SiteOptions): Router {
  const router = express.Router({ caseSensitive: true });
  router.post('/', named('/session'), express.json({ limit: BODY_LIMIT_BYTES }), begin(control, site));
  router.post('/end', named('/session/end'), end(control, site));
  router.all(['/', '/end'], (request, response) => {
    response.set('allow', 'POST');
    throw new PortcullisError('METHOD_NOT_ALLOWED', `this address does not take ${request.method}`, {
      hint: 'it takes POST',
    });
  });
  return router;
}

function begin(control: pg.Pool, options: SiteOptions): RequestHandler {
  return async (request, response) => {
    refuseOtherSites(request, options);
    const site = siteOf(request.get('host') ?? '', options);
    if (!site.private) {
      throw new PortcullisError('SIGN_IN_INSECURE', `${site.origin} is plain HTTP, and not this machine`, {
        hint: 'serve it over HTTPS and set PORTCULLIS_PUBLIC_URL, or open it through loopback (ssh -L)',
        details: { site: site.origin },
      });
    }
    const proof = Proof.safeParse(request.body);
    if (!proof.success) {
      throw new PortcullisError('REQUEST_INVALID', 'signing in takes a token, or the code of a link', {
        hint: 'send {"token": "…"} or {"code": "…"} as JSON',
      });
    }
    const { secret, name, person } = await signIn(control, proof.data);
    response.cookie(site.cookie, secret, cookieOptions(site.secure));
    response.json({ name, person });
  };
}

function end(control: pg.Pool, options: SiteOptions): RequestHandler {
  return async (request, response) => {
    const { cookie, secure } = siteOf(request.get('host') ?? '', options);
    // Whatever becomes of the session, this browser has its cookie no longer.
    response.clearCookie(cookie, cookieOptions(secure));
    const holder = await sessionHolder(control, options, request);
    exchangeOf(request).caller = holder;
    const ended = await signOut(control, holder);
    response.json({ ended });
  };
}

/** It lasts as long as the browser runs; the server says when the session is over. */
function cookieOptions(secure: boolean) {
  return { httpOnly: true, sameSite: 'strict', path: '/', secure } as const;
}

const named =
  (path: string): RequestHandler =>
  (request, _response, next) => {
    exchangeOf(request).route = path;
    next();
  };
