import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import type pg from 'pg';
import { z } from 'zod';
import { endSessions, refused, signInVouched } from '../access/identities.js';
import { signIn, signOut } from '../access/sessions.js';
import { PortcullisError } from '../kernel/errors.js';
import { answerOfControl } from '../operations/without-control.js';
import { isUnreachable } from '../postgres/pool.js';
import { sessionHolder, type SignInOptions } from './authenticate.js';
import { exchangeOf } from './exchange.js';
import type { KnownCallers } from './known-callers.js';
import { Provider, TRANSACTION_MS, type Transaction } from './oidc.js';
import { knownError } from './problem.js';
import { cookieNamed, refuseOtherSites, sessionSecret, siteOf, type Site, type SiteOptions } from './site.js';

const Proof = z.union([
  z.strictObject({ token: z.string().min(1).max(200) }),
  z.strictObject({ code: z.string().min(1).max(200) }),
]);

const BODY_LIMIT_BYTES = 4_096;
const NOTICE_LIMIT_BYTES = 64 * 1024;
const CALLBACK = '/session/oidc/callback';

/**
 * Signing in and out: what a browser alone can do, and so no operations. `POST /session` takes a token, or the code of a
 * link, and answers with a cookie; `POST /session/end` ends the session; `GET /session/ways` says how people sign in here.
 * Below `/session/oidc` a person goes to the identity provider and comes back, and it tells of sign-outs.
 */
export function sessionRouter(control: pg.Pool, known: KnownCallers, options: SignInOptions): Router {
  const { provider } = options;
  const router = express.Router({ caseSensitive: true });
  const at = (path: string, takes: 'GET' | 'POST', ...steps: RequestHandler[]): void => {
    const named: RequestHandler = (request, _response, next) => {
      exchangeOf(request).route = `/session${path}`;
      next();
    };
    router[takes === 'GET' ? 'get' : 'post'](path === '' ? '/' : path, named, ...steps);
    router.all(path === '' ? '/' : path, named, (request, response) => {
      response.set('allow', takes);
      throw new PortcullisError('METHOD_NOT_ALLOWED', `this address does not take ${request.method}`, {
        hint: `it takes ${takes}`,
      });
    });
  };
  at('', 'POST', express.json({ limit: BODY_LIMIT_BYTES }), begin(control, options));
  at('/end', 'POST', end(control, known, options));
  at('/ways', 'GET', ways(options));
  if (provider !== undefined) {
    at('/oidc', 'GET', goToProvider(provider, options));
    at('/oidc/callback', 'GET', comeBack(control, provider, options));
    const form = express.urlencoded({ limit: NOTICE_LIMIT_BYTES, extended: false, parameterLimit: 10 });
    at('/oidc/logout', 'POST', form, hearOfSignOut(control, provider));
  }
  return router;
}

function begin(control: pg.Pool, options: SignInOptions): RequestHandler {
  return async (request, response) => {
    refuseOtherSites(request, options);
    const site = privateSite(request, options);
    const proof = Proof.safeParse(request.body);
    if (!proof.success) {
      throw new PortcullisError('REQUEST_INVALID', 'signing in takes a token, or the code of a link', {
        hint: 'send {"token": "…"} or {"code": "…"} as JSON',
      });
    }
    if ('token' in proof.data && options.provider !== undefined) {
      throw new PortcullisError('SIGN_IN_BY_PROVIDER', `people sign in by ${options.provider.label} here`, {
        hint: 'where it does not answer, portcullis open prints a link for whoever has a token',
      });
    }
    const { secret, name, person } = await signIn(control, proof.data);
    response.cookie(site.cookie, secret, strict(site));
    response.json({ name, person });
  };
}

/** The site that the request came to. Throws HOST_REFUSED, SIGN_IN_INSECURE. */
function privateSite(request: Request, options: SiteOptions): Site {
  const site = siteOf(request.get('host') ?? '', options);
  if (site.private) return site;
  throw new PortcullisError('SIGN_IN_INSECURE', `${site.origin} is plain HTTP, and not this machine`, {
    hint: 'serve it over HTTPS and set PORTCULLIS_PUBLIC_URL, or open it through loopback (ssh -L)',
    details: { site: site.origin },
  });
}

function end(control: pg.Pool, known: KnownCallers, options: SignInOptions): RequestHandler {
  return async (request, response) => {
    const site = siteOf(request.get('host') ?? '', options);
    // Whatever becomes of the session, this browser has its cookie no longer.
    response.clearCookie(site.cookie, strict(site));
    const secret = sessionSecret(request, options) ?? '';
    const { holder, ended } = await answerOfControl(async () => {
      const holder = await sessionHolder(control, options, request);
      exchangeOf(request).caller = holder;
      return { holder, ended: await signOut(control, holder) };
    }).catch((error: unknown) => {
      if (!isUnreachable(error)) throw error;
      known.endLater(secret);
      throw unended(error);
    });
    known.forget(secret);
    // Who signed in by the provider is signed in there too, and would be here again by a click.
    const next =
      holder.session?.byProvider === true ? await options.provider?.signOutAt(`${site.origin}/`) : undefined;
    response.json({ ended, ...(next && { next: next.href }) });
  };
}

function unended(cause: unknown): PortcullisError {
  return new PortcullisError(
    'DATABASE_UNREACHABLE',
    'this browser is signed out, and this process takes its session no longer; the session itself ends once the control database answers',
    { hint: 'nothing is left to do in this browser', cause },
  );
}

/** What became of the last try to sign in by the provider: the page shows it. */
const Problem = z.strictObject({ code: z.string(), detail: z.string(), hint: z.string() });
const PROBLEM_MS = 60_000;

function ways(options: SignInOptions): RequestHandler {
  return (request, response) => {
    const { provider } = options;
    const site = siteOf(request.get('host') ?? '', options);
    const cookie = beside(site, 'sign-in-problem');
    const problem = provider?.sealed.open(Problem, cookieNamed(request, cookie));
    if (problem !== undefined) response.clearCookie(cookie, lax(site));
    response.json({
      provider: provider === undefined ? null : { label: provider.label },
      problem: problem ?? null,
    });
  };
}

/** Sends the browser to the provider, and keeps in it what the answer is compared with. */
function goToProvider(provider: Provider, options: SignInOptions): RequestHandler {
  return toldOnPage(provider, options, async (request, response) => {
    const site = privateSite(request, options);
    const { at, transaction } = await provider.begin(
      site.origin + CALLBACK,
      ownPath(request.query['to'], site),
    );
    const kept = provider.sealed.close(transaction, TRANSACTION_MS);
    response.cookie(beside(site, 'sign-in'), kept, { ...lax(site), maxAge: TRANSACTION_MS });
    response.redirect(303, at.href);
  });
}

function comeBack(control: pg.Pool, provider: Provider, options: SignInOptions): RequestHandler {
  return toldOnPage(provider, options, async (request, response) => {
    const site = privateSite(request, options);
    const cookie = beside(site, 'sign-in');
    const transaction: Transaction | undefined = provider.sealed.openTransaction(
      cookieNamed(request, cookie),
    );
    response.clearCookie(cookie, lax(site));
    if (transaction === undefined) {
      throw refused('this browser did not begin to sign in, or more than 10 minutes ago', {
        hint: 'sign in again, in one tab',
      });
    }
    const vouched = await provider.finish(new URL(request.originalUrl, site.origin), transaction);
    const { secret } = await signInVouched(control, vouched, provider.settings.groups);
    response.cookie(site.cookie, secret, strict(site));
    // The browser was sent here by another site, and sends no strict cookie until the page itself asks for what it shows.
    response.redirect(303, transaction.to);
  });
}

/** What fails while a browser goes from site to site is told on the console's own page. */
function toldOnPage(
  provider: Provider,
  options: SignInOptions,
  step: (request: Request, response: Response) => Promise<void>,
): RequestHandler {
  return async (request, response) => {
    const site = siteOf(request.get('host') ?? '', options);
    try {
      await step(request, response);
    } catch (thrown) {
      const error = knownError(thrown);
      exchangeOf(request).thrown = thrown;
      const problem = { code: error.code, detail: error.message, hint: error.hint ?? '' };
      const kept = provider.sealed.close(problem, PROBLEM_MS);
      response.cookie(beside(site, 'sign-in-problem'), kept, { ...lax(site), maxAge: PROBLEM_MS });
      response.redirect(303, '/sign-in');
    }
  };
}

/** Ends the sessions of whoever has signed out at the provider, which says so itself (OpenID Connect Back-Channel Logout). */
function hearOfSignOut(control: pg.Pool, provider: Provider): RequestHandler {
  return async (request, response) => {
    const notice = z
      .looseObject({ logout_token: z.string().max(NOTICE_LIMIT_BYTES) })
      .safeParse(request.body);
    if (!notice.success) {
      throw new PortcullisError('REQUEST_INVALID', 'a notice of a sign-out has a logout_token', {
        hint: 'send it as a form, as OpenID Connect Back-Channel Logout 1.0 says',
      });
    }
    const whose = await provider.readLogout(notice.data.logout_token);
    await endSessions(control, whose, 'provider signed out');
    response.status(200).end();
  };
}

/** A path of the console's own to go to afterwards; `/` for whatever leads elsewhere. */
function ownPath(to: unknown, { origin }: Site): string {
  if (typeof to !== 'string' || to.length > 500 || !to.startsWith('/')) return '/';
  const url = URL.canParse(to, origin) ? new URL(to, origin) : undefined;
  if (url?.origin !== origin || url.pathname.startsWith('/session')) return '/';
  // `/.//evil.example` is ours as a URL; as the path that is left of it, a browser reads another host.
  if (/^\/[/\\]/.test(url.pathname)) return '/';
  return url.pathname + url.search;
}

/** A cookie beside the session's, named as that is. */
const beside = ({ cookie }: Site, what: string): string => cookie.replace('session', what);

/** It lasts as long as the browser runs; the server says when the session is over. */
const strict = ({ secure }: Site) => ({ httpOnly: true, sameSite: 'strict', path: '/', secure }) as const;
/** It comes along when the provider sends the browser back. */
const lax = ({ secure }: Site) => ({ httpOnly: true, sameSite: 'lax', path: '/', secure }) as const;
