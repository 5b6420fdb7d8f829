import { isIPv4, isIPv6 } from 'node:net';

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
}

const DNS_PORT = 53;

/**
 * Reads `127.0.0.1`, `127.0.0.1:5353`, `::1`, `[::1]` or `[::1]:53`; the port is 53 where none is named.
 * Host names are not addresses: a resolver that must be resolved first could not be asked.
 */
export function parseServerAddress(text: string): ServerAddress | undefined {
  if (isIPv6(text)) return { host: text, port: DNS_PORT, family: 6 };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const [, bracketed, plain, portText] = match;
  const port = portText === undefined ? DNS_PORT : Number(portText);
  if (port < 1 || port > 65_535) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port, family: 6 } : undefined;
  if (plain !== undefined && isIPv4(plain)) return { host: plain, port, family: 4 };
  return undefined;
}

/** The one way an address is written: `127.0.0.1:5353`, `[::1]:53`. */
export function formatServerAddress({ host, port, family }: ServerAddress): string {
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}
