import { shorten } from '../kernel/text.js';

/** A field's text as a message may show it: quoted, its control characters escaped, and cut. */
export function shown(text: string): string {
  return JSON.stringify(shorten(text, 81));
}
