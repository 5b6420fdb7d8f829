import type { Reader } from './values.js';

/** A column of a CSV file. */
export interface Column {
  readonly name: string;
  readonly read: Reader;
  /** Its type in PostgreSQL. */
  readonly type: 'text' | 'timestamptz' | 'boolean' | 'integer' | 'jsonb';
  /**
   * `value`: the column must be there and no field empty. `column`: it must be there, and an empty field is an
   * empty text. `nothing`: it may be left out, and an empty field is `otherwise`, or no value.
   */
  readonly needs: 'value' | 'column' | 'nothing';
  readonly otherwise?: string;
}

/** What each line of a file has. */
export interface RowShape {
  /** The first column is the one that no line is without. */
  readonly columns: readonly Column[];
  /** What is wrong between the columns of one line; `given` says whether a column's field is not empty. */
  readonly lineFaults: (given: (column: string) => boolean) => string[];
}
