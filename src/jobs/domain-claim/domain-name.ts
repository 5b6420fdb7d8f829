import { isIP } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { parse } from 'tldts';
import { forgetting } from './remembered.js';
import { providerOf, type Provider } from './providers.js';

/** Why a text is not a domain that an organisation can own. */
export type DomainNameFault =
  | 'empty'
  | 'wildcard'
  | 'bad-character'
  | 'empty-label'
  | 'label-too-long'
  | 'name-too-long'
  | 'bad-label'
  | 'ip-address'
  | 'unknown-suffix'
  | 'public-suffix'
  | 'reserved'
  | 'mail-provider'
  | 'hosting-provider'
  | 'denied';

/** Why a text is not a domain name at all. */
type FormFault = Exclude<DomainNameFault, Provider['reason']>;

export type DomainName =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly reason: FormFault }
  | ({ readonly ok: false } & Provider);

const LONGEST_LABEL = 63;
const LONGEST_NAME = 253;

/** Letters, marks, digits, hyphens and dots: what a label can hold before and after it is made ASCII. */
const NAME_CHARACTERS = /^[\p{L}\p{M}\p{Nd}.-]+$/u;
const LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** In the public suffix list, but owned by nobody: reverse lookups, and names that DNS never answers. */
const RESERVED_SUFFIXES: readonly string[] = ['arpa', 'onion'];

const refused = (reason: FormFault): Refused => ({ ok: false, reason });

type Refused = Extract<DomainName, { readonly ok: false }>;

/**
 * Reads a domain name strictly and answers its canonical form: lower-case ASCII (punycode), no trailing
 * dot. A name and its canonical form answer the same, so names compare as plain text. Refused, with the
 * reason: whatever is not a name, public suffixes themselves, names under no known suffix, IP addresses, and
 * names of mail and hosting providers.
 */
export const parseDomainName = forgetting((text): DomainName => {
  const read = readHostName(text);
  return read.ok ? judge(read.name) : read;
});

/** Reads a host name as {@link parseDomainName} does, whoever's it is. */
export function readHostName(text: string): Refused | { readonly ok: true; readonly name: string } {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name === '') return refused(text === '' ? 'empty' : 'empty-label');
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0) return refused('ip-address');
  if (name.startsWith('*.')) return refused('wildcard');
  // Before anything decodes or maps it: no percent signs, slashes, look-alike full stops or invisible marks.
  if (!NAME_CHARACTERS.test(name) || isLookAlike(name)) return refused('bad-character');
  if (name.split('.').includes('')) return refused('empty-label');
  const ascii = domainToASCII(name);
  if (ascii === '') return refused('bad-label');

  const labels = ascii.split('.');
  if (labels.some((label) => label.length > LONGEST_LABEL)) return refused('label-too-long');
  if (ascii.length > LONGEST_NAME) return refused('name-too-long');
  if (!labels.every(isLabel)) return refused('bad-label');
  return { ok: true, name: ascii };
}

/** The Kelvin sign: the one character that even NFC makes an ASCII letter of. */
const KELVIN = '\u212A';

/**
 * Whether characters stand for others: a full-width letter, a ligature. The database decides the same
 * (migrations/003-host-names.sql), whatever its locale folds.
 */
function isLookAlike(name: string): boolean {
  return name.includes(KELVIN) || name.normalize('NFKC') !== name.normalize('NFC');
}

/**
 * Whether it is a label in its canonical form. One that says it is punycode must be: it decodes to more than ASCII,
 * which encodes to it again. `domainToASCII` sees to that in some versions of Node.js (20, 22) and not in others (24).
 */
function isLabel(label: string): boolean {
  if (!LABEL.test(label)) return false;
  if (!label.startsWith('xn--')) return true;
  const decoded = domainToUnicode(label);
  return decoded !== label && domainToASCII(decoded) === label;
}

/** Whether a well-formed ASCII name can belong to an organisation. */
function judge(name: string): DomainName {
  const parts = parse(name, { allowPrivateDomains: true, extractHostname: false });
  if (parts.isIp === true) return refused('ip-address');
  // The providers first: many of them are public suffixes too, and the more telling reason is theirs.
  const provider = providerOf(name);
  if (provider !== undefined) return { ok: false, ...provider };
  if (parts.isIcann !== true && parts.isPrivate !== true) return refused('unknown-suffix');
  if (parts.domain === null) return refused('public-suffix');
  if (RESERVED_SUFFIXES.includes(name.slice(name.lastIndexOf('.') + 1))) return refused('reserved');
  return { ok: true, name };
}

const WHY_NOT: Readonly<Record<Exclude<DomainNameFault, Provider['reason']>, string>> = {
  empty: 'it is empty',
  wildcard: 'it is a wildcard',
  'bad-character': 'it has characters that no domain name has',
  'empty-label': 'two dots follow each other, or it begins with one',
  'label-too-long': 'a part between dots is longer than 63 characters',
  'name-too-long': 'it is longer than 253 characters',
  'bad-label': 'a part between dots is no host name',
  'ip-address': 'it is an IP address',
  'unknown-suffix': 'its last part is no public suffix',
  'public-suffix': 'it is a public suffix',
  reserved: 'it is reserved',
};

/** Why a name can never be verified. */
export function whyNot(fault: Extract<DomainName, { readonly ok: false }>): string {
  return 'entry' in fault ? `${fault.entry} is in ${fault.list}` : WHY_NOT[fault.reason];
}

/** What whoever knows better may do about it. */
export function howToAllow(fault: Extract<DomainName, { readonly ok: false }>): string | undefined {
  if (!('entry' in fault)) return undefined;
  return fault.reason === 'denied'
    ? `take ${fault.entry} out of \`deny\` in the providers file (PORTCULLIS_PROVIDERS)`
    : `where it is a company's own domain, add ${fault.entry} to \`allow\` in the providers file (PORTCULLIS_PROVIDERS)`;
}
