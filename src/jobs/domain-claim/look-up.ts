import type { PlanContext } from '../../sdk/contract.js';
import { challengeName, challengeUrl, dnsVerdict, type Answers } from './proof.js';

/** What was looked up for one name, and when it began and ended, by the database's clock. */
export interface Look {
  readonly answers: Answers;
  readonly startedMs: number;
  readonly finishedMs: number;
}

/**
 * Looks for the challenges of one name: TXT from every perspective, and the file over HTTPS unless DNS has
 * shown every token that is looked for. Never throws for what servers say; rejects when the signal aborts.
 */
export async function lookUp(
  context: Pick<PlanContext, 'dns' | 'https' | 'clock' | 'signal'>,
  name: string,
  tokens: readonly string[],
): Promise<Look> {
  const startedMs = context.clock.now().getTime();
  const dns = await context.dns.txt(challengeName(name), context.signal);
  const shown = tokens.every((token) => dnsVerdict(dns, token) === 'PRESENT');
  const https = shown ? null : await context.https.getText(challengeUrl(name), context.signal);
  return { answers: { dns, https }, startedMs, finishedMs: context.clock.now().getTime() };
}
