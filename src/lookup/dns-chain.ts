import type { Answer, SoaAnswer, StringAnswer, TxtAnswer as TxtRecord } from 'dns-packet';
import type { DnsAbsence, TxtAnswer } from './dns.js';
import type { Said } from './dns-message.js';
import { canonicalName, isWithin } from './dns-name.js';

/** The names passed on the way from the one asked to the one that it is an alias of. */
export interface Chain {
  readonly kind: 'chain';
  /** Canonical; the first was asked for, the last is where the chain has come to. */
  readonly names: readonly [string, ...string[]];
  readonly ttlSeconds: number;
}

const MAX_ALIASES = 8;
const MAX_TTL_SECONDS = 2 ** 31 - 1;

/**
 * For a negative answer without the SOA that would tell. RFC 2308 forbids caching one, yet a forwarder that
 * strips the SOA may have cached it; an hour only delays what absence leads to.
 */
const UNKNOWN_NEGATIVE_TTL_SECONDS = 3600;

export function chainFrom(name: string): Chain {
  return { kind: 'chain', names: [canonicalName(name)], ttlSeconds: MAX_TTL_SECONDS };
}

export function endOf(chain: Chain): string {
  return chain.names.at(-1) ?? chain.names[0];
}

/**
 * Reads a server's answer about the chain's end: what it comes to, or the longer chain whose new end must be
 * asked for. Only records whose owner is on the chain count, whatever else the answer holds.
 */
export function readAlong(chain: Chain, said: Said): TxtAnswer | Chain {
  const walked = walk(chain, said.answers.filter(isAlias));
  if (walked.kind !== 'chain') return walked;
  const end = endOf(walked);
  const texts = said.answers.filter(isText).filter((record) => canonicalName(record.name) === end);
  if (!said.exists) {
    return texts.length === 0 ? absent('NXDOMAIN', end, said) : { kind: 'indeterminate', code: 'MALFORMED' };
  }
  if (texts.length > 0) {
    return {
      kind: 'records',
      values: texts.map((record) => textOf(record.data)),
      ttlSeconds: Math.min(walked.ttlSeconds, ...texts.map(ttlOf)),
    };
  }
  if (soaOver(end, said) !== undefined) return absent('NODATA', end, said);
  if (walked.names.length > chain.names.length) return walked;
  const isReferral = said.authorities.some((record) => record.type === 'NS');
  return isReferral ? { kind: 'indeterminate', code: 'REFERRAL' } : absent('NODATA', end, said);
}

function walk(start: Chain, aliases: readonly StringAnswer[]): TxtAnswer | Chain {
  let chain = start;
  for (;;) {
    const end = endOf(chain);
    const here = aliases.filter((alias) => canonicalName(alias.name) === end);
    const [target, ...others] = new Set(here.map((alias) => canonicalName(alias.data)));
    if (target === undefined) return chain;
    if (others.length > 0) return { kind: 'indeterminate', code: 'MALFORMED' };
    if (chain.names.includes(target) || chain.names.length > MAX_ALIASES) {
      return { kind: 'indeterminate', code: 'CNAME_LOOP' };
    }
    chain = {
      kind: 'chain',
      names: [...chain.names, target],
      ttlSeconds: Math.min(chain.ttlSeconds, ...here.map(ttlOf)),
    };
  }
}

function absent(code: DnsAbsence, name: string, said: Said): TxtAnswer {
  const soa = soaOver(name, said);
  const negativeTtlSeconds =
    soa === undefined ? UNKNOWN_NEGATIVE_TTL_SECONDS : Math.min(ttlOf(soa), clampTtl(soa.data.minimum ?? 0));
  return { kind: 'absent', code, negativeTtlSeconds };
}

function soaOver(name: string, said: Said): SoaAnswer | undefined {
  return said.authorities.filter(isSoa).find((soa) => isWithin(name, canonicalName(soa.name)));
}

function isAlias(record: Answer): record is StringAnswer {
  return record.type === 'CNAME' && record.class === 'IN';
}

function isText(record: Answer): record is TxtRecord {
  return record.type === 'TXT' && record.class === 'IN';
}

function isSoa(record: Answer): record is SoaAnswer {
  return record.type === 'SOA' && record.class === 'IN';
}

function ttlOf(record: { readonly ttl?: number | undefined }): number {
  return clampTtl(record.ttl ?? 0);
}

/** A TTL with its top bit set means none (RFC 2181, 8). */
function clampTtl(seconds: number): number {
  return seconds > MAX_TTL_SECONDS ? 0 : seconds;
}

/**
 * The strings of one record make one value. Bytes that are UTF-8 are read so; others as Latin-1, each byte
 * a character, so that nothing is lost or replaced.
 */
export function textOf(data: TxtRecord['data']): string {
  const bytes = Buffer.concat([data].flat().map((part) => Buffer.from(part)));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}
