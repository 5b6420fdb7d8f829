/** Deeper than anyone reads, and far from where a recursion would break. */
const MAX_DEPTH = 100;

/**
 * A value as canonical JSON (RFC 8785): the same text for the same value, whatever the order of its members.
 * Members that are undefined are left out. Throws a TypeError that says where, for what JSON or PostgreSQL's
 * jsonb cannot hold exactly: NaN and the infinities, lone surrogates, U+0000, bigints, functions, instances of
 * classes, more than 100 levels.
 */
export function canonicalJson(value: unknown): string {
  return textOf(value, '', 0);
}

function textOf(value: unknown, at: string, depth: number): string {
  if (depth > MAX_DEPTH) throw refused(at, `is more than ${MAX_DEPTH} levels deep`);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return numberText(value, at);
  if (typeof value === 'string') return stringText(value, at);
  if (Array.isArray(value)) {
    // Array.from also visits the holes of a sparse array.
    const items = Array.from(value, (item, index) => textOf(item, `${at}[${index}]`, depth + 1));
    return `[${items.join(',')}]`;
  }
  if (typeof value === 'object') return objectText(value, at, depth);
  throw refused(at, `is of type ${typeof value}`);
}

function objectText(value: object, at: string, depth: number): string {
  const { constructor: made } = value as { constructor?: unknown };
  // Told by its name: under jest, an object may be of another realm's class.
  if (Object.getPrototypeOf(value) !== null && typeof made === 'function' && made.name !== 'Object') {
    throw refused(at, `is a ${made.name}; write it as text or as a plain object`);
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    // RFC 8785 sorts by UTF-16 code units, which is how JavaScript compares strings.
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => {
      const path = at === '' ? key : `${at}.${key}`;
      return `${stringText(key, path)}:${textOf(member, path, depth + 1)}`;
    });
  return `{${members.join(',')}}`;
}

/** RFC 8785 writes numbers as ECMAScript does. */
function numberText(value: number, at: string): string {
  if (!Number.isFinite(value)) throw refused(at, `is ${value}, which JSON cannot hold`);
  return JSON.stringify(value);
}

/** ECMAScript's escapes are those of RFC 8785. */
function stringText(value: string, at: string): string {
  if (/\p{Surrogate}/u.test(value)) throw refused(at, 'holds half of a surrogate pair');
  if (value.includes('\0')) throw refused(at, 'holds the character U+0000');
  return JSON.stringify(value);
}

function refused(at: string, why: string): TypeError {
  return new TypeError(`${at === '' ? 'the value' : at} ${why}`);
}
