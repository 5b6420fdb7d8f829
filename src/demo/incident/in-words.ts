import { formatDurationMs } from '../../kernel/duration.js';
import { countOf, number } from '../../kernel/words.js';
import type { Span, WorldOutcome } from './result.js';

/** `24 min *`: the star says that it is by the world's clock. */
function spanInWords(span: Span | null, none = '–'): string {
  if (span === null) return none;
  return span.ms === 0 ? 'at once' : `${formatDurationMs(span.ms)}${span.clock === 'virtual' ? ' *' : ''}`;
}

/** How long it took to detect, to stop and to restore. */
export function spansInWords({ detect, stop, restore }: WorldOutcome): readonly [string, string, string] {
  return [spanInWords(detect), spanInWords(stop), spanInWords(restore, 'nothing to do')];
}

/** Whether all is as it was before, with users' edits on top. */
export function asBeforeInWords({ rowsNotAsBefore }: WorldOutcome): string {
  return rowsNotAsBefore === 0 ? 'exactly' : `but ${countOf(rowsNotAsBefore, 'row')}`;
}

/** `53,231 rows in 3.6 s, 14,778 a second`; undefined where there was nothing to put back. */
export function rowsPutBack({ restore, rowsRestored }: WorldOutcome): string | undefined {
  if (restore === null) return undefined;
  const perSecond = Math.round((rowsRestored * 1_000) / Math.max(1, restore.ms));
  return `${countOf(rowsRestored, 'row')} in ${formatDurationMs(restore.ms)}, ${number(perSecond)} a second`;
}
