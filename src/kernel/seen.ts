import { PortcullisError } from './errors.js';

/** A state that somebody looked at: a number or a text that is another one after each change. */
export type Revision = number | string;

/** Throws REVISION_STALE where what somebody looked at has changed since; `seen` undefined: they do not say. */
export function requireSeen(what: string, now: Revision, seen: Revision | undefined): void {
  if (seen === undefined || seen === now) return;
  throw new PortcullisError('REVISION_STALE', `${what} is at revision ${now}, not ${seen}`, {
    hint: 'look at what it is now and decide again',
    details: { revision: now, given: seen },
  });
}
