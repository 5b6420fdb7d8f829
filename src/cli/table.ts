import { cutTo, displayWidth, padTo, printable, wrapTo } from './display-width.js';
import type { Paint, Tone } from './tone.js';
import { number } from '../kernel/words.js';

export interface Column {
  readonly title: string;
  /** Numbers stand on the right by themselves; this is for text that should. */
  readonly align?: 'left' | 'right';
  /** Left out where the terminal is too narrow for all: the lowest number first. Absent: never. */
  readonly dropped?: number;
}

/** A number is written with thousands separators; text is made printable. */
export type Cell = string | number | { readonly text: string; readonly tone: Tone };

export type Row = readonly Cell[];

export interface TableOptions {
  readonly paint: Paint;
  /** The most columns of the terminal; the last column of the table is cut to fit. Infinity: no limit. */
  readonly columns: number;
}

/** The fewest columns that a last column is cut to; a terminal too narrow even for that wraps. */
const LAST_AT_LEAST = 20;
const GAP = '  ';

/**
 * A table of aligned columns. The rows it is made with settle the widths, so that rows which come later, one
 * by one, stand under the same heads.
 */
export class Table {
  readonly #columns: readonly Column[];
  readonly #widths: readonly number[];
  readonly #aligns: readonly ('left' | 'right')[];
  /** The places of the columns that are shown. */
  readonly #shown: readonly number[];
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
    this.#shown = shownColumns(columns, this.#widths, options.columns);
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
    const last = this.#shown.at(-1);
    const before = widthBeforeLast(this.#shown, this.#widths);
    return this.#shown
      .map((at) => {
        const text = texts[at] ?? '';
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

/** The places of the columns that fit the terminal, or of those that are never dropped. */
function shownColumns(
  columns: readonly Column[],
  widths: readonly number[],
  terminalColumns: number,
): readonly number[] {
  let shown = columns.map((_, at) => at);
  const droppable = shown
    .filter((at) => columns[at]?.dropped !== undefined)
    .sort((a, b) => (columns[a]?.dropped ?? 0) - (columns[b]?.dropped ?? 0));
  for (const drop of droppable) {
    const lastWidth = Math.min(LAST_AT_LEAST, widths[shown.at(-1) ?? 0] ?? 0);
    if (widthBeforeLast(shown, widths) + lastWidth <= terminalColumns) break;
    shown = shown.filter((at) => at !== drop);
  }
  return shown;
}

function widthBeforeLast(shown: readonly number[], widths: readonly number[]): number {
  return shown.slice(0, -1).reduce((sum, at) => sum + (widths[at] ?? 0) + GAP.length, 0);
}

/** A whole table as lines, each with its line end. */
export function renderTable(columns: readonly Column[], rows: readonly Row[], options: TableOptions): string {
  const table = new Table(columns, rows, options);
  return [table.head(), ...rows.map((row) => table.row(row))].map((line) => `${line}\n`).join('');
}

/** Facts under each other: names on the left, values aligned behind them and wrapped to the terminal. */
export function renderFacts(facts: readonly (readonly [string, Cell])[], options: TableOptions): string {
  const width = Math.max(0, ...facts.map(([name]) => displayWidth(name)));
  return facts
    .map(([name, cell]) =>
      wrapTo(textOf(cell), Math.max(LAST_AT_LEAST, options.columns - width - GAP.length))
        .map((line, at) => {
          const label = options.paint(padTo(at === 0 ? name : '', width, 'left'), 'quiet');
          return `${label}${GAP}${options.paint(line, toneOfCell(cell))}`.trimEnd() + '\n';
        })
        .join(''),
    )
    .join('');
}

function textOf(cell: Cell): string {
  if (typeof cell === 'number') return number(cell);
  return printable(typeof cell === 'string' ? cell : cell.text);
}

function toneOfCell(cell: Cell): Tone {
  return typeof cell === 'object' ? cell.tone : 'plain';
}
