/** How many columns text takes on a terminal, and text cut or filled to a number of them. */

import stringWidth from 'fast-string-width';
import { PAINT } from './tone.js';

/** Made when it is needed: the first one in a process takes as long as a kill's statements. */
let graphemes: Intl.Segmenter | undefined;

/** What a terminal obeys instead of showing: control characters, and marks that turn the writing around. */
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text in which nothing moves the cursor or changes colours, whoever wrote it: such characters as `\x1b`. */
export function printable(text: string): string {
  return text.replace(OBEYED, escaped);
}

const OBEYED_OR_PAINT = new RegExp(`${PAINT.source}|${OBEYED.source}`, 'gu');

/**
 * A whole answer made printable, but for its lines, its tabs and, where it is painted, its own colours: what others
 * wrote (reasons, versions, names) stands in it, and is shown and not obeyed.
 */
export function printableLines(text: string, painted: boolean): string {
  return text.replace(OBEYED_OR_PAINT, (found) => {
    if (found === '\n' || found === '\t' || (painted && found.length > 1)) return found;
    return escaped(found.charAt(0)) + found.slice(1);
  });
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
}

/** The columns that printable text takes. */
export function displayWidth(text: string): number {
  return stringWidth(text);
}

/** The beginning of printable text that fits into so many columns, ending in `…` where something is cut. */
export function cutTo(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns < 1) return '';
  let kept = '';
  let width = 0;
  graphemes ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (const { segment } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** Printable text with spaces behind it, or before it, up to so many columns. */
export function padTo(text: string, columns: number, align: 'left' | 'right'): string {
  const spaces = ' '.repeat(Math.max(0, columns - displayWidth(text)));
  return align === 'left' ? text + spaces : spaces + text;
}

/**
 * Printable text in lines of so many columns, broken at spaces. A longer word keeps a line to itself and is
 * not broken, so that addresses and commands can be copied.
 */
export function wrapTo(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && displayWidth(longer) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}
