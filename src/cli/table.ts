import { displayWidth, padTo, printable, wrapTo } from './display-width.js';
import type { Paint, Tone } from './tone.js';
import { number } from '../kernel/words.js';

export interface Column {
  readonly title: string;
  /** Numbers stand on the right by themselves; this is for text that should. */
  readonly align?: 'left' | 'right';
  /**
   * Where the terminal is too narrow for all columns, values go on lines below their row, the lowest number first;
   * then those of the columns without a number, from the right. The first column always stays.
   */
  readonly below?: number;
  /** Left out altogether where the terminal is too narrow, before anything else: nobody decides by it. */
  readonly minor?: true;
}

/** A number is written with thousands separators; text is made printable. */
export type Cell = string | number | { readonly text: string; readonly tone: Tone };

export type Row = readonly Cell[];

export interface TableOptions {
  readonly paint: Paint;
  /** The columns of the terminal, which the last column of the table is wrapped to. Infinity: no limit. */
  readonly columns: number;
}

/** The fewest columns that the last column is wrapped to. */
const LAST_AT_LEAST = 20;
const GAP = '  ';
const INDENT = '  ';

/**
 * A table of aligned columns, in which nothing is cut: what does not fit is wrapped, or goes below its row. The rows
 * it is made with settle the widths, so that rows which come later, one by one, stand under the same heads.
 */
export class Table {
  readonly #columns: readonly Column[];
  readonly #widths: readonly number[];
  readonly #aligns: readonly ('left' | 'right')[];
  /** The places of the columns that stand beside each other; the others go below. */
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
    this.#shown = shownColumns(columns, this.#widths, rows, options.columns);
  }

  /** The line of titles. */
  head(): string {
    return this.#lines(
      this.#columns.map(({ title }) => title),
      () => 'quiet',
    );
  }

  /** The lines of a row, without the last line's end. */
  row(cells: Row): string {
    const row = this.#lines(cells.map(textOf), (at) => toneOfCell(cells[at] ?? ''));
    return [row, ...this.#below(cells)].join('\n');
  }

  #lines(texts: readonly string[], tone: (at: number) => Tone): string {
    const last = this.#shown.at(-1);
    const { paint, columns } = this.#options;
    const before = widthBeforeLast(this.#shown, this.#widths);
    const wrapped = this.#shown.map((at) => {
      const text = texts[at] ?? '';
      return at === last && this.#aligns[at] === 'left'
        ? wrapTo(text, Math.max(LAST_AT_LEAST, columns - before))
        : [text];
    });
    const height = Math.max(...wrapped.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      this.#shown
        .map((at, place) => {
          const text = wrapped[place]?.[line] ?? '';
          const align = this.#aligns[at] ?? 'left';
          const padded = padTo(text, at === last && align === 'left' ? 0 : (this.#widths[at] ?? 0), align);
          return padded.replace(text, () => paint(text, tone(at)));
        })
        .join(GAP)
        .trimEnd(),
    ).join('\n');
  }

  /** What did not fit beside the others, each with its title; nothing is said of what is empty. */
  #below(cells: Row): string[] {
    const { paint, columns } = this.#options;
    const lines: string[] = [];
    let line = '';
    for (const [at, cell] of cells.entries()) {
      const text = textOf(cell);
      if (this.#shown.includes(at) || this.#columns[at]?.minor || text === '' || text === '–') continue;
      const titled = `${this.#columns[at]?.title ?? ''} ${text}`;
      const longer = line === '' ? titled : `${line} · ${titled}`;
      if (line !== '' && displayWidth(longer) > columns - INDENT.length) {
        lines.push(line);
        line = titled;
      } else {
        line = longer;
      }
    }
    return [...lines, ...(line === '' ? [] : [line])].flatMap((each) =>
      wrapTo(each, columns - INDENT.length).map((part) => INDENT + paint(part, 'quiet')),
    );
  }
}

/** The places of the columns that fit the terminal beside each other. */
function shownColumns(
  columns: readonly Column[],
  widths: readonly number[],
  rows: readonly Row[],
  terminalColumns: number,
): readonly number[] {
  let shown = columns.map((_, at) => at);
  const order = (at: number): number =>
    columns[at]?.minor ? 0 : (columns[at]?.below ?? columns.length + (columns.length - at));
  for (const next of shown.slice(1).sort((a, b) => order(a) - order(b))) {
    const last = shown.at(-1) ?? 0;
    const beside = widthBeforeLast(shown, widths);
    if (beside + (widths[last] ?? 0) <= terminalColumns) break;
    const least = Math.max(LAST_AT_LEAST, longestWord(rows, last));
    if (beside + least <= terminalColumns) break;
    shown = shown.filter((at) => at !== next);
  }
  return shown;
}

function longestWord(rows: readonly Row[], at: number): number {
  const longest = (text: string): number =>
    text.split(' ').reduce((most, word) => Math.max(most, displayWidth(word)), 0);
  return rows.reduce((most, row) => Math.max(most, longest(textOf(row[at] ?? ''))), 0);
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
