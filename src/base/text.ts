/** Text from outside, made storable and cut. No other code may cut text: test/unit/text-cuts.test.ts. */

const UNSTORABLE = /[\u0000\p{Surrogate}]/gu;
const REPLACEMENT = '\ufffd';

/**
 * The text as PostgreSQL's `text` and `jsonb` can hold it: U+0000 and halves of surrogate pairs become U+FFFD. For
 * whatever comes from outside and must not be lost over one bad character.
 */
export function storable(text: string): string {
  return text.replace(UNSTORABLE, REPLACEMENT);
}

/** Every escape in a JSON text, so that a backslash that is itself escaped is passed over. */
const ESCAPES = /\\(?:u0000|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)/g;

/**
 * A value as JSON that `jsonb` takes, its strings and keys made {@link storable}. JSON.stringify writes a pair of
 * surrogates as one character, and escapes only what stands alone.
 */
export function storableJson(value: object): string {
  return JSON.stringify(value).replace(ESCAPES, (escape) =>
    escape.length > 2 && (escape === '\\u0000' || /^\\u[dD]/.test(escape)) ? REPLACEMENT : escape,
  );
}

const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });
/** What is looked at beyond the cut: enough for the emoji there to be recognised as one. */
const BEYOND = 64;

/**
 * The text {@link storable}, in at most `most` UTF-16 code units: a longer one is cut between two characters as a
 * person sees them, and ends in `…`. The cost does not depend on how long the text is.
 */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return storable(text);
  const near = text.slice(0, most + BEYOND);
  const end = most - 1;
  const { index = end } = GRAPHEMES.segment(near).containing(end) ?? {};
  return `${storable(near.slice(0, index > 0 ? index : pairStart(near, end)))}…`;
}

/** For one character that is longer than all the room: at least no pair is split. */
function pairStart(text: string, end: number): number {
  return (text.codePointAt(end - 1) ?? 0) > 0xffff ? end - 1 : end;
}
