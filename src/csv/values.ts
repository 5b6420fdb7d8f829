import { nearest } from '../kernel/nearest.js';
import { shown } from './shown.js';

/** What a field's text means: a value as PostgreSQL's text (null: none), or why it means nothing. */
export type Reading = { readonly value: string | null } | { readonly fault: string };

/** Reads a field that is not empty. */
export type Reader = (text: string) => Reading;

/** PostgreSQL keeps no index entry above about 2,700 bytes, and the widest index here has two such columns. */
const INDEXED_BYTES = 1_000;

/** Any text. */
export const anyText: Reader = (text) => ({ value: text });

/** Text that an index has to hold. */
export const indexedText: Reader = (text) =>
  text.length * 3 <= INDEXED_BYTES || Buffer.byteLength(text) <= INDEXED_BYTES
    ? { value: text }
    : { fault: `is longer than ${INDEXED_BYTES} bytes` };

/** One of the given words, exactly. */
export function oneOf(words: readonly string[]): Reader {
  return (text) => {
    if (words.includes(text)) return { value: text };
    const close = nearest(text, words);
    const hint = close === undefined ? '' : `; did you mean ${close}?`;
    return { fault: `${shown(text)} is none of ${words.join(', ')}${hint}` };
  };
}

const BOOLEANS = new Map([
  ...['true', 't', '1'].map((word) => [word, 't'] as const),
  ...['false', 'f', '0'].map((word) => [word, 'f'] as const),
]);

/** true or false; t, f, 1 and 0 will do, in any case. */
export const boolean: Reader = (text) => {
  const value = BOOLEANS.get(text.toLowerCase());
  return value === undefined ? { fault: `${shown(text)} is neither true nor false` } : { value };
};

/** A whole number that fits 32 bits. */
export const integer: Reader = (text) => {
  const fits = /^-?\d{1,10}$/.test(text) && Math.abs(Number(text)) < 2 ** 31;
  return fits ? { value: text } : { fault: `${shown(text)} is not a whole number below 2,147,483,648` };
};

const TIMESTAMP =
  /^(\d{4,6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(?:Z|[+-](\d\d)(?::?(\d\d))?)?)?$/;

/** An ISO 8601 time, in UTC where it names no offset; a date alone is its midnight. Also ±infinity. */
export const timestamp: Reader = (text) => {
  if (text === 'infinity' || text === '-infinity') return { value: text };
  const parts = TIMESTAMP.exec(text)
    ?.slice(1)
    .map((part: string | undefined) => Number(part ?? 0));
  if (parts === undefined) {
    return { fault: `${shown(text)} is not a time such as 2026-03-01T09:30:00Z` };
  }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offsetHour = 0, offsetMinute = 0] =
    parts;
  const exists =
    year >= 1 &&
    year <= 294_275 &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= daysIn(year, month) &&
    hour < 24 &&
    minute < 60 &&
    second < 60 &&
    offsetHour < 16 &&
    offsetMinute < 60;
  return exists ? { value: text } : { fault: `there is no such time as ${shown(text)}` };
};

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}
