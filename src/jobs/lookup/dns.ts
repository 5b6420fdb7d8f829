/** What one resolver said about one name's TXT records. `values` are unescaped and their parts joined. */
export type TxtAnswer =
  | { readonly kind: 'records'; readonly values: readonly string[]; readonly ttlSeconds: number }
  | { readonly kind: 'absent'; readonly code: 'NXDOMAIN' | 'NODATA'; readonly negativeTtlSeconds: number }
  | { readonly kind: 'indeterminate'; readonly code: DnsFailure };

export type DnsFailure = 'SERVFAIL' | 'REFUSED' | 'TIMEOUT' | 'MALFORMED' | 'UNREACHABLE' | 'CNAME_LOOP';

export interface PerspectiveAnswer {
  /** The resolver asked, `address:port`, or `system`. */
  readonly perspective: string;
  readonly answer: TxtAnswer;
}

/** DNS as a job sees it: one question to every perspective. Never throws for what a resolver says. */
export interface Dns {
  txt(name: string, signal?: AbortSignal): Promise<readonly PerspectiveAnswer[]>;
}
