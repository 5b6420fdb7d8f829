import { PortcullisError } from './errors.js';

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

/** The one version of a job that a name means. Throws VERSION_UNKNOWN with those there are. */
export function onlyVersion(job: string, meant: string, known: readonly string[]): string {
  const found = versionsNamed(meant, known);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  const message =
    found.length === 0
      ? `${job} has no version ${meant}`
      : `${meant} may be any of several versions of ${job}: ${found.join(', ')}`;
  throw new PortcullisError('VERSION_UNKNOWN', message, {
    mend:
      known.length === 0
        ? 'workers announce the versions that they can run: start one that has it'
        : `${VERSION_NAMES}; there is ${known.slice(0, 10).join(', ')}`,
    details: { job, version: meant, known: known.slice(0, 100) },
  });
}
