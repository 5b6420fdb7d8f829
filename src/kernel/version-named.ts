import { PortcullisError } from './errors.js';

/**
 * Stands between a version's number and its digest. It is legal in the names of Unleash's variants, URLs, image tags and
 * Kubernetes labels, and never part of a semantic version.
 */
const SEPARATOR = '_';
/** What stood there in releases before: people, scripts and the audit log still say it. */
const OLD_SEPARATOR = '+';

/** A digest, or a build ID in its place. */
const DIGEST = /^[0-9A-Za-z][0-9A-Za-z.-]*$/;
/** So that a digest alone is not taken for a number. */
const LEAST_DIGITS = 4;

/** A job's own version: semantic, without build metadata. */
const NUMBER = /^\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;
const WHOLE = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?_[0-9A-Za-z][0-9A-Za-z.-]*$/;

/** `1.1.0_9f3c2a1b`, of a job's own version and the digest of its code. Throws JOB_INVALID. */
export function versionName(job: string, number: string, digest: string): string {
  if (NUMBER.test(number)) return `${number}${SEPARATOR}${digest}`;
  throw new PortcullisError(
    'JOB_INVALID',
    number.includes(OLD_SEPARATOR)
      ? `${job}: its version ${number} contains build metadata (+): Portcullis adds the digest of the code itself`
      : `${job}: its version ${number} is not a semantic version`,
    { hint: 'give it a semantic version without build metadata, such as 1.0.0 or 1.0.0-rc.1' },
  );
}

/** The digest, or the build ID, of a full version. */
export function digestOfVersion(version: string): string {
  return version.slice(version.indexOf(SEPARATOR) + 1);
}

/** Where a text names a version, of either spelling: its number and what stands before its digest. */
const NAMED = /(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)[+_](?=[0-9A-Za-z])/g;

/** A version, or a text that names some, as it is written now: `1.1.0_9f3c2a1b` for `1.1.0+9f3c2a1b`. */
export function currentSpelling(text: string): string {
  return text.replace(NAMED, `$1${SEPARATOR}`);
}

/** Both spellings of a version or a text, the current one first: for what was written before names changed. */
export function spellingsOf(text: string): readonly string[] {
  return [...new Set([currentSpelling(text), text.replace(NAMED, `$1${OLD_SEPARATOR}`)])];
}

/** Whether a name, in the current spelling, is a full version. */
export function isWholeVersion(name: string): boolean {
  return WHOLE.test(name);
}

/**
 * The versions that a name means, of those that are known: exactly that one; `1.1.0` for `1.1.0_9f3c2a1b`; the
 * beginning of a digest, behind its number, or alone with four digits or more. Never a part of a number: `1.1` means
 * neither `1.1.0` nor `1.10.0`. The old spelling `1.1.0+9f3c2a1b` means the same, on either side.
 */
export function versionsNamed(name: string, known: readonly string[]): readonly string[] {
  if (known.includes(name)) return [name];
  const wanted = currentSpelling(name);
  const exact = known.find((version) => currentSpelling(version) === wanted);
  if (exact !== undefined) return [exact];
  const [number = '', digest, ...more] = wanted.split(SEPARATOR);
  if (more.length > 0) return [];
  return known.filter((version) => {
    const [itsNumber, itsDigest = ''] = currentSpelling(version).split(SEPARATOR);
    if (digest !== undefined)
      return number === itsNumber && DIGEST.test(digest) && itsDigest.startsWith(digest);
    return (
      number === itsNumber ||
      (wanted.length >= LEAST_DIGITS && DIGEST.test(wanted) && itsDigest.startsWith(wanted))
    );
  });
}

/** What names the version that is installed where a command runs, or in the process that answers. */
export const INSTALLED = 'installed';

/** How a version may be named, for a hint. */
export const VERSION_NAMES = `use the full version, its number, a unique prefix of its digest, or ${INSTALLED}`;

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
    hint:
      known.length === 0
        ? 'workers announce the versions that they can run: start one that has it'
        : `${VERSION_NAMES}; there is ${known.slice(0, 10).join(', ')}`,
    details: { job, version: meant, known: known.slice(0, 100) },
  });
}
