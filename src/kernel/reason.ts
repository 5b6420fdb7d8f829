import { unstorableIn } from './text.js';

/** The most letters that a reason or a conclusion may have, wherever it is given. */
export const REASON_LETTERS = 500;

/** A reason as it is kept, or what is wrong with it. */
export type ParsedReason = { readonly reason: string } | { readonly fault: string };

/**
 * Reads a reason or a conclusion, on the command line and over HTTP alike. It must say something: blanks and
 * characters that show nothing are not enough.
 */
export function parseReason(text: string): ParsedReason {
  const reason = text.trim();
  if (!VISIBLE.test(reason)) return { fault: 'A reason is required.' };
  if (reason.length > REASON_LETTERS) return { fault: `A reason has at most ${REASON_LETTERS} letters.` };
  const unstorable = unstorableIn(reason);
  if (unstorable !== undefined) return { fault: `A reason ${unstorable}.` };
  return { reason };
}

/** A letter, digit, sign or emoji; a joiner, a filler or a control character alone is none. */
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
