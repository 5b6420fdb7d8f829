import { cutTo, displayWidth, padTo, printable } from './display-width.js';
import type { Paint, Tone } from './tone.js';
import { number } from './wording.js';

export interface Column {
  readonly title: string;
  /** Numbers stand on the right by themselves; this is for text that should. */
  readonly align?: 'left' | 'right';
}

/** A number is written with thousands separators; text is made printable. */
export type Cell = string | number | { readonly text: string; readonly tone: Tone };

export type Row = readonly Cell[];

export interface TableOptions {
  readonly paint: Paint;
  /** The most columns of the terminal; the last column of the table is cut to fit. Infinity: no limit. */
  readonly columns: number;
}

/** The fewest columns that a last column is cut to; a narrower terminal wraps. */
const LAST_AT_LEAST = 12;
const GAP = '  ';

/**
 * A table of aligned columns. The rows it is made with settle the widths, so that rows which come later, one
 * by one, stand under the same heads.
 */
export class Table {
  readonly #columns: readonly Column[];
  readonly #widths: readonly number[];
  readonly #aligns: readonly ('left' | 'right')[];
  readonly #options: TableOptions;

  constructor(columns: readonly Column[], rows: readonly Row[], options: TableOptions) {
    this.#columns = columns;
    this.#options = options;
    this.#widths = columns.map(({ title }, at) =>
      Math.max(displayWidth(title), ...rows.map((row) => displayWidth(textOf(row[at] ?? '')))),
    );
    this.#aligns = columns.map(
      ({ align }, at) => align ?? (rows.some((row) => typeof row[at] === 'number') ? 'right' : 'left'),
    );
  }

  /** The line of titles. */
  head(): string {
    return this.#line(
      this.#columns.map(({ title }) => title),
      () => 'quiet',
    );
  }

  row(cells: Row): string {
    return this.#line(cells.map(textOf), (at) => toneOfCell(cells[at] ?? ''));
  }

  #line(texts: readonly string[], tone: (at: number) => Tone): string {
    const last = this.#columns.length - 1;
    const before = this.#widths.slice(0, last).reduce((sum, width) => sum + width + GAP.length, 0);
    return texts
      .map((text, at) => {
        const align = this.#aligns[at] ?? 'left';
        const shown =
          at === last ? cutTo(text, Math.max(LAST_AT_LEAST, this.#options.columns - before)) : text;
        const width = at === last && align === 'left' ? 0 : (this.#widths[at] ?? 0);
        const padded = padTo(shown, width, align);
        return padded.replace(shown, () => this.#options.paint(shown, tone(at)));
      })
      .join(GAP)
      .trimEnd();
  }
}

/** A whole table as lines, each with its line end. */
export function renderTable(columns: readonly Column[], rows: readonly Row[], options: TableOptions): string {
  const table = new Table(columns, rows, options);
  return [table.head(), ...rows.map((row) => table.row(row))].map((line) => `${line}\n`).join('');
}

/** Facts under each other: names on the left, values aligned behind them. */
export function renderFacts(facts: readonly (readonly [string, Cell])[], options: TableOptions): string {
  const width = Math.max(0, ...facts.map(([name]) => displayWidth(name)));
  return facts
    .map(([name, cell]) => {
      const value = options.paint(textOf(cell), toneOfCell(cell));
      return `${options.paint(padTo(name, width, 'left'), 'quiet')}${GAP}${value}`.trimEnd() + '\n';
    })
    .join('');
}

function textOf(cell: Cell): string {
  if (typeof cell === 'number') return number(cell);
  return printable(typeof cell === 'string' ? cell : cell.text);
}

function toneOfCell(cell: Cell): Tone {
  return typeof cell === 'object' ? cell.tone : 'plain';
}
