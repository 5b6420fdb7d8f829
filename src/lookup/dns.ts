/** What one resolver said about one name's TXT records. `values` are unescaped and their parts joined. */
export type TxtAnswer =
  | { readonly kind: 'records'; readonly values: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: 'absent'; readonly code: DnsAbsence; readonly negativeTtlSeconds: number }
  | { readonly kind: 'indeterminate'; readonly code: DnsFailure };

export type DnsAbsence = 'NXDOMAIN' | 'NODATA';

/**
 * Why nothing is known.
 * - `SERVFAIL`, `REFUSED`: the server said so; `REFUSED` also stands for NOTIMP and NOTAUTH.
 * - `REFERRAL`: the server only points to other servers; it is no resolver, nor authoritative for the name.
 * - `TIMEOUT`, `UNREACHABLE`: no answer in time; no way to the server.
 * - `MALFORMED`: an answer that cannot be read or contradicts itself, and every other response code.
 * - `CNAME_LOOP`: the aliases lead back to a name already passed, or on through more than 8.
 * - `NAME_INVALID`: no question can carry this name (an empty label, over 63 or 253 octets, not ASCII).
 */
export type DnsFailure =
  | 'SERVFAIL'
  | 'REFUSED'
  | 'REFERRAL'
  | 'TIMEOUT'
  | 'UNREACHABLE'
  | 'MALFORMED'
  | 'CNAME_LOOP'
  | 'NAME_INVALID';

/** Answers by class, for metrics: few and fixed. */
export type DnsAnswerClass = 'records' | DnsAbsence | DnsFailure;

export interface PerspectiveAnswer {
  /** The resolver asked, `address:port`, or `system`. */
  readonly perspective: string;
  readonly answer: TxtAnswer;
}

/**
 * DNS as a job sees it: one question to every perspective, answered in the order they were configured.
 * Never throws for what a resolver says; rejects only with the signal's reason.
 */
export interface Dns {
  txt(name: string, signal?: AbortSignal): Promise<readonly PerspectiveAnswer[]>;
}
