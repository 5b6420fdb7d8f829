import type { Random } from './random.js';

/**
 * What the sample world's zone holds at a domain's challenge. A token's last byte says which it is, so the
 * zone can be derived again from the directory's rows alone, whatever a run has made of them since.
 */
export const ZONE_SCENES = [
  /** The token, exactly. */
  'present',
  /** The token among other applications' records. */
  'crowded',
  /** The token, in two strings of one record. */
  'split',
  /** No such name. */
  'absent',
  /** The name, without a record. */
  'nodata',
  /** A token that was issued to another organisation. */
  'another',
  /** The token in quotes: close, and not the value. */
  'quoted',
  'servfail',
  'refused',
] as const;

export type ZoneScene = (typeof ZONE_SCENES)[number];

const HEX_DIGITS = 30;

/** A new token of 32 hexadecimal digits for a scene. */
export function mintToken(random: Random, scene: ZoneScene): string {
  let token = '';
  for (let digit = 0; digit < HEX_DIGITS; digit += 1) token += random.between(0, 15).toString(16);
  const turns = Math.floor(256 / ZONE_SCENES.length);
  const last = random.between(0, turns - 1) * ZONE_SCENES.length + ZONE_SCENES.indexOf(scene);
  return token + last.toString(16).padStart(2, '0');
}

/** The scene that a token was minted for. A text that is no token has none published. */
export function sceneOf(token: string): ZoneScene {
  const last = Number.parseInt(token.slice(-2), 16);
  return ZONE_SCENES[last % ZONE_SCENES.length] ?? 'absent';
}
