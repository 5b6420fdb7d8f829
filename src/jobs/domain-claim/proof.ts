import type { PerspectiveAnswer, TxtAnswer } from '../../lookup/dns.js';
import type { HttpsAnswer } from '../../lookup/https.js';

/** INDETERMINATE neither promotes nor demotes: nothing was learnt, and the evidence only ages. */
export type Verdict = 'PRESENT' | 'ABSENT' | 'INDETERMINATE';
export type Proof = 'dns' | 'https';

/** A token as it is issued: at least 32 hexadecimal digits, and short enough for one TXT string. */
const TOKEN = /^[0-9a-f]{32,200}$/i;

export const isToken = (token: string): boolean => TOKEN.test(token);
export const proofLine = (token: string): string => `token=${token}`;
export const challengeName = (domain: string): string => `_portcullis-challenge.${domain}`;
export const challengeUrl = (domain: string): string =>
  `https://${domain}/.well-known/portcullis-challenge.txt`;

/** How many of so many perspectives may disagree with the others. */
export function allowedToDisagree(perspectives: number): number {
  if (perspectives >= 6) return 2;
  return perspectives >= 2 ? 1 : 0;
}

/** What one resolver's answer says about a token: exactly the line, or it is not there. */
export function txtVerdict(answer: TxtAnswer, token: string): Verdict {
  switch (answer.kind) {
    case 'records':
      return answer.values.includes(proofLine(token)) ? 'PRESENT' : 'ABSENT';
    case 'absent':
      return 'ABSENT';
    case 'indeterminate':
      return 'INDETERMINATE';
  }
}

/**
 * What the perspectives say together. A verdict stands when all agree on it but those allowed to disagree,
 * and more say it than say the opposite: two resolvers that contradict each other prove nothing.
 */
export function dnsVerdict(answers: readonly PerspectiveAnswer[], token: string): Verdict {
  const verdicts = answers.map(({ answer }) => txtVerdict(answer, token));
  const present = verdicts.filter((verdict) => verdict === 'PRESENT').length;
  const absent = verdicts.filter((verdict) => verdict === 'ABSENT').length;
  const quorum = Math.max(1, answers.length - allowedToDisagree(answers.length));
  if (present >= quorum && present > absent) return 'PRESENT';
  if (absent >= quorum && absent > present) return 'ABSENT';
  return 'INDETERMINATE';
}

/** What the web server's answer says about a token: one line of the file, exactly. */
export function httpsVerdict(answer: HttpsAnswer, token: string): Verdict {
  switch (answer.kind) {
    case 'body':
      return answer.text.split(/\r?\n/).includes(proofLine(token)) ? 'PRESENT' : 'ABSENT';
    case 'absent':
      return 'ABSENT';
    case 'indeterminate':
      return 'INDETERMINATE';
  }
}

/** What was looked up for one name; `https` is null where DNS had already answered. */
export interface Answers {
  readonly dns: readonly PerspectiveAnswer[];
  readonly https: HttpsAnswer | null;
}

export interface Finding {
  readonly verdict: Verdict;
  /** Which proof was seen; null unless PRESENT. */
  readonly proof: Proof | null;
}

/**
 * The verdict over both proofs. Either one suffices for PRESENT. ABSENT needs a determinate no from the
 * proof that the domain rests on (`restsOn`: the one last seen; DNS where none was ever seen) and no yes from
 * the other. The other may be unreachable: most domains that prove themselves by DNS have no web server at
 * the name, and would otherwise stay verified for ever after the record is gone.
 */
export function findProof(answers: Answers, token: string, restsOn: Proof | null): Finding {
  const dns = dnsVerdict(answers.dns, token);
  if (dns === 'PRESENT') return { verdict: 'PRESENT', proof: 'dns' };
  const https = answers.https === null ? 'INDETERMINATE' : httpsVerdict(answers.https, token);
  if (https === 'PRESENT') return { verdict: 'PRESENT', proof: 'https' };
  return { verdict: restsOn === 'https' ? https : dns, proof: null };
}

/** The longest time that a cache may go on answering what these answers said, in seconds. */
export function negativeTtlSeconds(answers: Answers): number {
  const ttls = answers.dns.map(({ answer }) => {
    if (answer.kind === 'absent') return answer.negativeTtlSeconds;
    return answer.kind === 'records' ? answer.ttlSeconds : 0;
  });
  return Math.max(0, ...ttls);
}
