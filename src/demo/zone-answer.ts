/** What a zone holds at one name, or how its server misbehaves there. */
export type ZoneAnswer = ZoneData | ZoneFault;

export type ZoneData =
  | {
      readonly kind: 'txt';
      /** One TXT record each. A value over 255 octets is sent as several strings; an array says which. */
      readonly values: readonly (string | Uint8Array | readonly (string | Uint8Array)[])[];
      readonly ttlSeconds?: number;
    }
  | { readonly kind: 'cname'; readonly target: string; readonly ttlSeconds?: number }
  | { readonly kind: 'nodata' }
  | { readonly kind: 'nxdomain' };

/** Faults for tests; a plain zone has none. A loop needs no fault: two CNAMEs at one another are data. */
export type ZoneFault =
  | { readonly kind: 'servfail' }
  | { readonly kind: 'refused' }
  /** No answer at all. */
  | { readonly kind: 'drop' }
  /** Octets that are no DNS message, with or without the question's id in front. */
  | { readonly kind: 'garbage'; readonly keepsId: boolean }
  /** The right answer under another message id, as a forger who cannot see the question would send. */
  | { readonly kind: 'wrong-id'; readonly answer: ZoneData }
  /** The right answer to another question. */
  | { readonly kind: 'wrong-question'; readonly answer: ZoneData }
  /** TC over UDP however small the answer; whole over TCP. */
  | { readonly kind: 'truncate'; readonly answer: ZoneData }
  | { readonly kind: 'delay'; readonly delayMs: number; readonly answer: ZoneData };

/** The data at a name, looking past how a fault delivers it; undefined where the fault delivers none. */
export function dataOf(answer: ZoneAnswer): ZoneData | undefined {
  switch (answer.kind) {
    case 'servfail':
    case 'refused':
    case 'drop':
    case 'garbage':
      return undefined;
    case 'wrong-id':
    case 'wrong-question':
    case 'truncate':
    case 'delay':
      return answer.answer;
    case 'txt':
    case 'cname':
    case 'nodata':
    case 'nxdomain':
      return answer;
  }
}

/**
 * A zone from a list of its names (lower case, no final dot): names above a listed one exist without data,
 * all others do not exist. The list is read at each question, so it may change while it is served.
 */
export function listedZone(names: ReadonlyMap<string, ZoneAnswer>): (name: string) => ZoneAnswer {
  return (name) => {
    const listed = names.get(name);
    if (listed !== undefined) return listed;
    const below = name === '' ? '' : `.${name}`;
    for (const other of names.keys()) if (other.endsWith(below)) return { kind: 'nodata' };
    return { kind: 'nxdomain' };
  };
}
