import { InvalidArgumentError } from 'commander';
import { PortcullisError } from '../kernel/errors.js';
import {
  currentSpelling,
  INSTALLED,
  isWholeVersion,
  VERSION_NAMES,
  versionsNamed,
} from '../kernel/version-named.js';
import { share } from './wording.js';
import type { Variant } from '../flags/variant.js';

const SHARE = /^(100(?:\.0+)?|\d{1,2}(?:\.\d)?)\s*%$/;

/** Reads a share of units such as `25%` or `0.1%` into thousandths. For commander: throws its own error. */
export function parseShare(text: string): number {
  const match = SHARE.exec(text.trim());
  // Rounded, since 0.7 * 10 is not 7 in binary.
  const permille = match ? Math.round(Number(match[1]) * 10) : 0;
  if (permille === 0) {
    throw new InvalidArgumentError(
      'A share is a percentage from 0.1% to 100% in steps of 0.1%, with its sign; to give nothing, leave the version out or use --hold.',
    );
  }
  return permille;
}

/**
 * The version that a person means: `installed` for the one that is installed, an installed one (see `versionsNamed`), or
 * a whole version, which may be installed elsewhere. Throws FLAG_CHANGE_INVALID.
 */
export function resolveVersion(text: string, installed: readonly string[]): string {
  const [only, ...others] = text === INSTALLED ? installed : versionsNamed(text, installed);
  if (only !== undefined && others.length === 0) return only;
  if (isWholeVersion(currentSpelling(text))) return currentSpelling(text);
  const there = installed.length === 0 ? 'none is installed' : `installed is ${installed.join(', ')}`;
  throw new PortcullisError(
    'FLAG_CHANGE_INVALID',
    only === undefined ? `no installed version is ${text}` : `${text} may be any of several versions`,
    { hint: `${VERSION_NAMES}; ${there}`, details: { version: text, installed } },
  );
}

/** Pairs each version with its share, in the order given. Throws FLAG_CHANGE_INVALID. */
export function pairShares(
  versions: readonly string[],
  permilles: readonly number[],
  installed: readonly string[],
): Variant[] {
  if (versions.length !== permilles.length) {
    throw new PortcullisError(
      'FLAG_CHANGE_INVALID',
      `${versions.length} × --version and ${permilles.length} × --share`,
      { hint: 'give each version its share: --version installed --share 25%' },
    );
  }
  return versions.map((text, at) => ({
    version: resolveVersion(text, installed),
    permille: permilles[at] ?? 0,
  }));
}

/** `1.0.0_9f3c2a1b 25%, 0.9.0_11aa22bb 75%`. */
export function sharesText(variants: readonly Variant[]): string {
  const text = ({ version, permille, rule }: Variant): string =>
    `${version} ${share(permille)}${rule === undefined ? '' : ' (by its strategies)'}`;
  return variants.map(text).join(', ');
}
