import type { PerspectiveAnswer } from '../../lookup/dns.js';
import type { DoctorContext, Finding } from '../../sdk/index.js';
import type { Lookups } from './lookups.js';
import { needlessAllowed } from './providers.js';

/** A name that every resolver can say something about: that there is none, or none here. */
const PROBE = '_portcullis-challenge.example.com';

/** Asks each resolver. */
export async function doctor({ clients, signal }: DoctorContext<Lookups>): Promise<readonly Finding[]> {
  return [...overrideFindings(), ...resolverFindings(await clients.dns.txt(PROBE, signal))];
}

/** Names in the providers file without effect: misspelt, or in no list any more. */
function overrideFindings(): Finding[] {
  return needlessAllowed().map((name) => ({
    mark: 'warn',
    found: `the providers file allows ${name}, which no list refuses`,
    hint: 'correct it, or take it out (PORTCULLIS_PROVIDERS); either makes a new version of the job',
  }));
}

/** A resolver that refuses this name may still know others: it answers. One that is silent does not. */
export function resolverFindings(answers: readonly PerspectiveAnswer[]): Finding[] {
  return answers.map(({ perspective, answer }): Finding => {
    if (answer.kind !== 'indeterminate') return { mark: 'ok', found: `resolver ${perspective} answers` };
    if (answer.code === 'REFUSED' || answer.code === 'SERVFAIL') {
      return { mark: 'warn', found: `resolver ${perspective} answers ${answer.code} for ${PROBE}` };
    }
    return {
      mark: 'warn',
      found: `resolver ${perspective} does not answer: ${answer.code}`,
      hint: 'name resolvers that can be reached with PORTCULLIS_RESOLVERS; until then no domain is verified or demoted',
    };
  });
}
