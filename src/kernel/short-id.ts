import { randomBytes } from 'node:crypto';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const CHARACTERS = 8;

/** 40 random bits in base32: 8 letters and digits, short enough to be read out and typed. */
export function newShortId(): string {
  // 32 divides 256, so every character is as likely as any other.
  return Array.from(randomBytes(CHARACTERS), (byte) => BASE32[byte % BASE32.length]).join('');
}

/** Whether a text can be an incident's id, as opposed to the beginning of a run's. */
export function looksLikeIncident(id: string): boolean {
  return /^(?=.*[g-z])[a-z2-7]{8}$/i.test(id.trim());
}
