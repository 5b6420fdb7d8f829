import type { UnreachableDatabase } from '../regions/query-regions.js';
import type { Voice } from './context.js';

/** Says to a person, beside the result, which region databases it is without. */
export function noteUnreachable(voice: Voice, unreachable: readonly UnreachableDatabase[]): void {
  for (const { database, reason } of unreachable) {
    voice.note(`without ${database}, which cannot be reached: ${reason}`);
  }
}
