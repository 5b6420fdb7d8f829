import type { Settings } from './app-port.js';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const WILDCARD = /^(0\.0\.0\.0|::)$/;

/** Where this machine reaches what it serves. */
export function localUrl({ http: { host, port } }: Pick<Settings, 'http'>): string {
  if (WILDCARD.test(host)) return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Where people open the console of a server that listens at `served`; undefined where only other machines reach it, over
 * plain HTTP, over which nobody signs in.
 */
export function consoleUrl({ http, publicUrl }: Pick<Settings, 'http' | 'publicUrl'>, served: string) {
  if (publicUrl !== undefined) return publicUrl;
  return LOOPBACK.test(http.host) ? served : undefined;
}

/** A link that signs in: the code stands behind the #, which no browser sends and no server logs. */
export function signInLink(url: string, code: string): string {
  return `${url.replace(/\/+$/, '')}/sign-in#${code}`;
}
