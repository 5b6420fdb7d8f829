import { nearest } from '../../kernel/nearest.js';
import { parseDomainName, type DomainName, type DomainNameFault } from '../domain-claim/domain-name.js';
import type { Provider } from '../domain-claim/providers.js';
import { parseEmailAddress } from '../domain-claim/email-address.js';
import type { FileShape } from './columns.js';
import type { Row } from '../../csv/rows.js';
import { shown } from '../../csv/shown.js';

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

/** Of an address at a domain that nobody can verify there is nothing to say: most people have one. */
const OF_ADDRESSES = new Set(['bad-address', 'bad-character', 'empty-label', 'bad-label', 'wildcard']);

/**
 * What a file's rows have that is imported, and that no run of domain-claim works on: a domain that cannot be verified,
 * an address that cannot be claimed, a region that no policy has. Answers the reasons for a row.
 */
export function notesOn(
  { name, columns }: FileShape,
  regions: readonly string[] | undefined,
): (row: Row) => string[] {
  const at = (column: string): number => columns.findIndex((each) => each.name === column);
  const [region, domain, email] = [at('home_region'), name === 'domains' ? at('name') : -1, at('email')];
  const known = new Set(regions);
  return ({ values }) => {
    const notes: string[] = [];
    const of = (index: number): string | null => values[index] ?? null;
    const home = of(region);
    if (regions !== undefined && home !== null && !known.has(home)) notes.push(regionNote(home, regions));
    const domainName = of(domain);
    if (domainName !== null) notes.push(...domainNotes(domainName));
    const address = of(email);
    if (address !== null && address !== '') notes.push(...addressNotes(address));
    return notes;
  };
}

function regionNote(region: string, regions: readonly string[]): string {
  const meant = nearest(region, regions);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return `home_region: no policy has the region ${shown(region)}${hint}`;
}

function domainNotes(text: string): string[] {
  const parsed = parseDomainName(text);
  if (!parsed.ok) return [`name: ${shown(text)} can never be verified: ${whyNot(parsed)}`];
  return parsed.name === text
    ? []
    : [`name: ${shown(text)} can never be verified; write it as ${parsed.name}`];
}

function addressNotes(text: string): string[] {
  const parsed = parseEmailAddress(text);
  if (parsed.ok || !OF_ADDRESSES.has(parsed.reason)) return [];
  return [`email: ${shown(text)} can never be claimed: it is no plain address`];
}
