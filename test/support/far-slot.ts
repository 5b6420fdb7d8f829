import { readFile } from 'node:fs/promises';

/**
 * A schedule for tests that run what they want to run themselves: its one slot a year is half a year from now, so that
 * none comes due, and none has just been missed, whenever they go on.
 */
export const FAR_SLOT = `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`;

/** The policy that is shipped, with {@link FAR_SLOT}: by its own schedule a slot may come due in any test. */
export async function shippedPolicy(): Promise<string> {
  const text = await readFile(new URL('../../flags/domain-claim.yaml', import.meta.url), 'utf8');
  return text.replace(/^schedule: .*$/m, `schedule: '${FAR_SLOT}'`);
}
