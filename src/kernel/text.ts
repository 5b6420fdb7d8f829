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

/** What keeps a text from being stored as it is, for whoever wrote it; undefined: nothing does. */
export function unstorableIn(text: string): string | undefined {
  if (text.includes('\0')) return 'must not hold the character U+0000';
  if (HALF.test(text)) return 'must not hold half a character (a lone surrogate)';
  return undefined;
}

const HALF = /\p{Surrogate}/u;

/** Plain JSON with every text and every member's name made {@link storable}. Whatever else it holds stays as it is. */
export function storableValue(value: unknown): unknown {
  if (typeof value === 'string') return storable(value);
  if (Array.isArray(value)) return value.map(storableValue);
  if (!isPlain(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [storable(key), storableValue(member)]),
  );
}

/** Told by the name of its class: under jest, an object may be of another realm's. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const { constructor: made } = value as { constructor?: unknown };
  return Object.getPrototypeOf(value) === null || (typeof made === 'function' && made.name === 'Object');
}

/** Every escape in a JSON text, so that a backslash that is itself escaped is passed over. */
const ESCAPES = /\\(?:u0000|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)/g;

/**
 * A value as JSON that `jsonb` takes, its strings and keys made {@link storable}. JSON.stringify writes a pair of
 * surrogates as one character, and escapes only what stands alone.
 */
export function storableJson(value: object): string {
  const json = JSON.stringify(value);
  if (!json.includes('\\u')) return json;
  return json.replace(ESCAPES, (escape) =>
    escape.length > 2 && (escape === '\\u0000' || /^\\u[dD]/.test(escape)) ? REPLACEMENT : escape,
  );
}

/** Made when it is needed: the first one in a process takes as long as all statements of a kill. */
let graphemes: Intl.Segmenter | undefined;
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
  graphemes ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  const { index = end } = graphemes.segment(near).containing(end) ?? {};
  return `${storable(near.slice(0, index > 0 ? index : pairStart(near, end)))}…`;
}

/** For one character that is longer than all the room: at least no pair is split. */
function pairStart(text: string, end: number): number {
  return (text.codePointAt(end - 1) ?? 0) > 0xffff ? end - 1 : end;
}

/** Orders texts by their UTF-16 units, as PostgreSQL's collation "C" orders ASCII: the same on every machine. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text that may stand in HTML and SVG, in an attribute too. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => ENTITIES[letter] ?? letter);
}
