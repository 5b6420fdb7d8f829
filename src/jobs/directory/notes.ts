import { nearest } from '../../kernel/nearest.js';
import { parseDomainName, whyNot } from '../domain-claim/domain-name.js';
import { parseEmailAddress } from '../domain-claim/email-address.js';
import type { FileShape } from './columns.js';
import type { Row } from '../../csv/rows.js';
import { shown } from '../../csv/shown.js';

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
