import { createHash } from 'node:crypto';

/** Where notifications go. */
export interface Receiver {
  /** May be shown: the host, and a fingerprint of the whole address, which may be a secret itself. */
  readonly name: string;
  readonly url: string;
}

export function receiverOf(url: string): Receiver {
  const fingerprint = createHash('sha256').update(url).digest('hex').slice(0, 8);
  return { name: `${new URL(url).host}#${fingerprint}`, url };
}
