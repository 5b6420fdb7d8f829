import { createHash } from 'node:crypto';
import { PortcullisError } from '../kernel/errors.js';
import { canonicalJson } from './canonical-json.js';
import type { ChainedEntry } from './entry.js';

/** One decision on the record: the members that its hash covers, besides the hash before it. */
export type AuditEntry = Omit<ChainedEntry, 'prev' | 'hash'>;

/** The last entry of a chain. Who keeps it elsewhere can tell later whether the chain still goes through it. */
export interface AuditHead {
  /** 0 where there is no entry. */
  readonly seq: number;
  readonly hash: string;
}

export interface ChainFault {
  /** The first entry that is not what it was: changed, missing or put in. */
  readonly seq: number;
  readonly reason: string;
}

export type ChainVerdict =
  | { readonly ok: true; readonly count: number; readonly head: AuditHead }
  | ({ readonly ok: false; readonly count: number } & ChainFault);

/** What stands before the first entry. */
export const GENESIS: AuditHead = { seq: 0, hash: '0'.repeat(64) };

/** SHA-256 over the previous hash's 32 bytes and the entry's canonical JSON in UTF-8. Throws as canonicalJson. */
export function hashOfEntry(prev: string, entry: AuditEntry): string {
  const { seq, at, principal, action, subject, evidence, flagRevision } = entry;
  const content = canonicalJson({ seq, at, principal, action, subject, evidence, flagRevision });
  return createHash('sha256').update(Buffer.from(prev, 'hex')).update(content, 'utf8').digest('hex');
}

/** `12:9f3c…`, as a person keeps it. */
export function headText({ seq, hash }: AuditHead): string {
  return `${seq}:${hash}`;
}

/** Reads what {@link headText} wrote. Throws REQUEST_INVALID. */
export function parseHead(text: string): AuditHead {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim().toLowerCase()) ?? [];
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash };
  throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(text)} is not the head of an audit log`, {
    hint: 'give it as `portcullis audit verify` printed it: the number of the last entry, a colon, its hash',
  });
}

/**
 * Walks a chain entry by entry and finds the first fault. What a chain alone cannot tell is whether its end
 * was cut off, or whether all of it from some entry on was rewritten: `expectHead`, kept elsewhere, does.
 */
export class ChainWalk {
  #head: AuditHead = GENESIS;
  #beforeHead = '';

  constructor(private readonly expectHead?: AuditHead) {}

  /** How many entries were found sound. */
  get count(): number {
    return this.#head.seq;
  }

  /** Takes the next entry, in the order of the log. */
  follow(entry: ChainedEntry): ChainFault | undefined {
    const fault = this.#outOfOrder(entry.seq) ?? this.#notTheNext(entry) ?? this.#notTheExpected(entry);
    if (fault) return fault;
    this.#beforeHead = entry.prev;
    this.#head = { seq: entry.seq, hash: entry.hash };
    return undefined;
  }

  /** What is to be said when there are no more entries. */
  end(): ChainVerdict {
    const expected = this.expectHead;
    if (expected !== undefined && expected.seq > this.count) {
      return {
        ok: false,
        count: this.count,
        seq: this.count + 1,
        reason: `${numbered(this.count + 1, expected.seq)} missing at the end: there was an entry ${expected.seq} when that head was kept`,
      };
    }
    return { ok: true, count: this.count, head: this.#head };
  }

  #outOfOrder(seq: number): ChainFault | undefined {
    const next = this.count + 1;
    if (seq === next) return undefined;
    if (seq > next) return { seq: next, reason: `${numbered(next, seq - 1)} missing` };
    return { seq, reason: `entry ${seq} was inserted: it is where entry ${next} should` };
  }

  #notTheNext(entry: ChainedEntry): ChainFault | undefined {
    const { seq, prev } = entry;
    const before = this.#head;
    if (before.seq > 0 && prev === this.#beforeHead) {
      return {
        seq: before.seq,
        reason: `entry ${before.seq} was inserted: the entry after it was written without it`,
      };
    }
    if (hashOrNone(entry) !== entry.hash) {
      return prev === before.hash
        ? { seq, reason: `entry ${seq} was changed: its hash is of another content` }
        : { seq, reason: `entry ${seq} is not the one that was written after entry ${before.seq}` };
    }
    if (prev === before.hash) return undefined;
    return before.seq === 0
      ? { seq, reason: `entry ${seq} is not the first of its chain: those before it are gone` }
      : {
          seq: before.seq,
          reason: `entry ${before.seq} was rewritten: entry ${seq} was written after another one`,
        };
  }

  #notTheExpected({ seq, hash }: ChainedEntry): ChainFault | undefined {
    if (seq !== this.expectHead?.seq || hash === this.expectHead.hash) return undefined;
    return { seq, reason: `entry ${seq} is not the head that was kept: the log was rewritten up to it` };
  }
}

/** An entry whose content cannot even be hashed was never written by us. */
function hashOrNone(entry: ChainedEntry): string | undefined {
  try {
    return hashOfEntry(entry.prev, entry);
  } catch {
    return undefined;
  }
}

function numbered(first: number, last: number): string {
  return first === last ? `entry ${first} is` : `entries ${first} to ${last} are`;
}
