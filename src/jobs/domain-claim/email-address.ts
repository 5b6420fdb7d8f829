import { parseDomainName, type DomainNameFault } from './domain-name.js';

export type EmailAddress =
  | { readonly ok: true; readonly local: string; readonly domain: string }
  | { readonly ok: false; readonly reason: 'bad-address' | DomainNameFault };

const LONGEST_ADDRESS = 254;
const LONGEST_LOCAL = 64;

/** RFC 5321's dot-string. Quoted local parts, comments and display names are legal somewhere; not here. */
const DOT_STRING = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;

/**
 * Reads a plain address, `local@domain`, and answers its local part as written and its domain in canonical
 * form. Anything that two readers could read differently is refused: a second @, quotes, spaces, newlines,
 * a trailing dot, or a domain that no organisation can own.
 */
export function parseEmailAddress(text: string): EmailAddress {
  const at = text.indexOf('@');
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  const plain =
    at > 0 && text.length <= LONGEST_ADDRESS && local.length <= LONGEST_LOCAL && DOT_STRING.test(local);
  if (!plain || domain.includes('@') || domain.endsWith('.')) return { ok: false, reason: 'bad-address' };
  const name = parseDomainName(domain);
  return name.ok ? { ok: true, local, domain: name.name } : name;
}
