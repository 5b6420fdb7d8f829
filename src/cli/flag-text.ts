import type { FlagState } from '../flags/flag-store.js';
import { toneOf, type Tone } from './tone.js';

/** `on`, `off`, `held` (on, but no version has a share) or `malformed`. */
export function flagStateText(flag: Pick<FlagState, 'enabled' | 'variants' | 'malformed'>): {
  text: string;
  tone: Tone;
} {
  const state =
    flag.malformed !== undefined
      ? 'malformed'
      : !flag.enabled
        ? 'off'
        : flag.variants.length === 0
          ? 'held'
          : 'on';
  return { text: state, tone: toneOf(state) };
}
