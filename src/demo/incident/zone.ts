import { createHash } from 'node:crypto';
import { challengeName, proofLine } from '../../jobs/domain-claim/proof.js';
import type { Dns } from '../../lookup/dns.js';

const CHALLENGE = challengeName('');
const TTL_SECONDS = 300;

/**
 * The world's DNS: organisations that ask publish the token at their own domain, which ends in com, and nobody
 * publishes anything at bystanders' domains and at second ones. It answers at once.
 */
export function worldZone(seed: number): Dns {
  return {
    txt: (name) => {
      const domain = name.slice(CHALLENGE.length);
      const published = name.startsWith(CHALLENGE) && /^company-\d+\.com$/.test(domain);
      return Promise.resolve([
        {
          perspective: 'replay',
          answer: published
            ? { kind: 'records', values: [proofLine(tokenOf(seed, domain))], ttlSeconds: TTL_SECONDS }
            : { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: TTL_SECONDS },
        },
      ]);
    },
  };
}

/** As `replay.token` of schema.ts. */
function tokenOf(seed: number, domain: string): string {
  return createHash('md5').update(`${seed}:${domain}`).digest('hex');
}
