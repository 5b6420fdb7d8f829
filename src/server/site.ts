import type { Request } from 'express';
import { PortcullisError } from '../kernel/errors.js';

/** What tells under which names the console is served. */
export interface SiteOptions {
  /** PORTCULLIS_PUBLIC_URL. */
  readonly publicUrl?: string | undefined;
  /** The address that is listened on. */
  readonly listenHost?: string | undefined;
}

/** The console as a browser knows it. */
export interface Site {
  /** What the header `Origin` of its own pages says. */
  readonly origin: string;
  readonly secure: boolean;
  /** Whether people may sign in: what they send is encrypted, or leaves no machine. */
  readonly private: boolean;
  /** The session's cookie. Cookies are shared by all ports of a host, so it is named with the port. */
  readonly cookie: string;
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * The site that a `Host` header names. Throws HOST_REFUSED for any name but the public one, the address listened on and
 * loopback's: a page elsewhere may make its own name point here.
 */
export function siteOf(host: string, { publicUrl, listenHost }: SiteOptions): Site {
  if (publicUrl !== undefined) {
    const { protocol, origin, host: own, hostname } = new URL(publicUrl);
    if (parsed(`${protocol}//${host}`)?.host === own) {
      const secure = protocol === 'https:';
      return siteAt(origin, secure, secure || LOOPBACK.test(hostname));
    }
  }
  const named = parsed(`http://${host}`);
  if (named !== undefined && LOOPBACK.test(named.hostname)) return siteAt(named.origin, false, true);
  if (named !== undefined && listenHost !== undefined && named.hostname === hostnameOf(listenHost)) {
    return siteAt(named.origin, false, false);
  }
  throw new PortcullisError(
    'HOST_REFUSED',
    `the console is not served as ${host === '' ? 'nothing' : host}`,
    {
      hint: 'set PORTCULLIS_PUBLIC_URL to the address that people use, or open http://localhost and the port',
      details: { host },
    },
  );
}

/** Refuses what another site's page sends with our cookie. Throws ORIGIN_REFUSED, HOST_REFUSED. */
export function refuseOtherSites(request: Request, options: SiteOptions): void {
  const site = siteOf(request.get('host') ?? '', options);
  const origin = request.get('origin');
  const acts = request.method !== 'GET' && request.method !== 'HEAD';
  const from = request.get('sec-fetch-site') ?? 'none';
  if ((origin ?? (acts ? undefined : site.origin)) === site.origin && /^(same-origin|none)$/.test(from))
    return;
  throw new PortcullisError(
    'ORIGIN_REFUSED',
    origin === undefined
      ? 'a request with a session’s cookie does not say which page it comes from'
      : `a page of ${origin} may not act at ${site.origin}`,
    {
      hint: 'open the console under its own address (behind a proxy: PORTCULLIS_PUBLIC_URL); programs use a token',
      details: { origin: origin ?? null, site: site.origin },
    },
  );
}

/** What the session's cookie holds; undefined where none came. Throws HOST_REFUSED where one came under another name. */
export function sessionSecret(request: Request, options: SiteOptions): string | undefined {
  const header = request.get('cookie');
  if (header === undefined || !header.includes(COOKIE)) return undefined;
  const secret = cookieNamed(request, siteOf(request.get('host') ?? '', options).cookie);
  return secret !== undefined && secret.length <= 100 ? secret : undefined;
}

/** What a cookie of ours holds. */
export function cookieNamed(request: Request, cookie: string): string | undefined {
  for (const part of request.get('cookie')?.split(';') ?? []) {
    const [name, value] = part.trim().split('=');
    if (name === cookie && value !== undefined && /^[\w-]{1,4000}$/.test(value)) return value;
  }
  return undefined;
}

const COOKIE = 'portcullis-session-';

function siteAt(origin: string, secure: boolean, isPrivate: boolean): Site {
  const port = new URL(origin).port || (secure ? '443' : '80');
  return { origin, secure, private: isPrivate, cookie: `${secure ? '__Host-' : ''}${COOKIE}${port}` };
}

function parsed(url: string): URL | undefined {
  return URL.canParse(url) ? new URL(url) : undefined;
}

function hostnameOf(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
