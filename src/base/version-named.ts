const DIGEST = /^[0-9a-f]+$/;
/** So that a digest alone is not taken for a number. */
const LEAST_DIGITS = 4;

/**
 * The versions that a name means, of those that are known: exactly that one; `1.1.0` for `1.1.0+9f3c2a1b`; the
 * beginning of a digest, behind its number, or alone with four digits or more. Never a part of a number: `1.1` means
 * neither `1.1.0` nor `1.10.0`.
 */
export function versionsNamed(name: string, known: readonly string[]): readonly string[] {
  if (known.includes(name)) return [name];
  const [number = '', digest, ...more] = name.split('+');
  if (more.length > 0) return [];
  return known.filter((version) => {
    const [itsNumber, itsDigest = ''] = version.split('+');
    if (digest !== undefined)
      return number === itsNumber && DIGEST.test(digest) && itsDigest.startsWith(digest);
    return (
      number === itsNumber || (name.length >= LEAST_DIGITS && DIGEST.test(name) && itsDigest.startsWith(name))
    );
  });
}

/** How a version may be named, for a hint. */
export const VERSION_NAMES = 'use the full version, its number, a unique prefix of its digest, or current';
