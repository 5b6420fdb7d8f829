import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import type { Column, RowShape } from './columns.js';
import type { Faults } from './faults.js';
import { fileError } from '../postgres/file-error.js';
import { type Header, readHeader } from './header.js';
import { textCheck } from './text-check.js';

/** One line as it goes into staging: a value for each of the shape's columns, as PostgreSQL's text. */
export interface Row {
  /** The line on which it begins. */
  readonly line: number;
  readonly values: readonly (string | null)[];
}

/** A record longer than this is a quote that was never closed. In characters. */
const LONGEST_RECORD = 1_048_576;

const UNREADABLE: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote is opened and never closed',
  CSV_MAX_RECORD_SIZE: `the record is longer than ${LONGEST_RECORD} characters: is a quote not closed?`,
  CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote; write a quote within a quoted field twice',
  INVALID_OPENING_QUOTE: 'a quote stands within an unquoted field; quote the field and write the quote twice',
};

/**
 * Reads a file's rows, streaming. What is wrong with a row goes to `faults`; the row still comes, with null for
 * what could not be read, so that what refers to it is not at fault too; only a row without an id does not.
 * Answers at its end whether the file could be read to its own end: a bad header or a broken quote cuts it off.
 * Throws FILE_UNREADABLE.
 */
export async function* readRows(path: string, shape: RowShape, faults: Faults): AsyncGenerator<Row, boolean> {
  let line = 1;
  let header: Header | undefined;
  const onRecord = (record: string[]): Row | null => {
    const at = line;
    line += 1 + newlinesIn(record);
    if (record.length === 1 && record[0] === '') return null;
    if (header !== undefined)
      return readRow(record, at, header, shape, (reason) => faults.add(path, at, reason));
    const read = readHeader(record, shape);
    if ('faults' in read) {
      for (const reason of read.faults) faults.add(path, at, reason);
      throw new HeaderRefused();
    }
    header = read;
    return null;
  };
  const rows = pipeline(
    createReadStream(path, { highWaterMark: 262_144 }),
    textCheck((at, reason) => faults.add(path, at, reason)),
    parse({
      bom: true,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      max_record_size: LONGEST_RECORD,
      // What it answers comes out of the parser as it is; csv-parse's types know records alone.
      on_record: onRecord as unknown as (record: string[]) => string[] | null,
    }),
    () => undefined, // what fails is thrown by the loop below
  );
  try {
    for await (const row of rows) yield row as Row;
  } catch (error) {
    if (error instanceof HeaderRefused) return false;
    if (!(error instanceof CsvError))
      throw fileError('FILE_UNREADABLE', error, `check that ${path} is a file, is there and may be read`);
    faults.add(
      path,
      line,
      `${UNREADABLE[error.code] ?? error.message}; the lines from here on were not read`,
    );
    return false;
  }
  if (header !== undefined) return true;
  faults.add(path, 1, `the file is empty; its first line names the columns: ${names(shape.columns)}`);
  return false;
}

class HeaderRefused extends Error {}

function readRow(
  record: readonly string[],
  line: number,
  header: Header,
  shape: RowShape,
  onFault: (reason: string) => void,
): Row | null {
  const wanted = header.filter((index) => index !== undefined).length;
  if (record.length !== wanted) {
    onFault(`there are ${record.length} fields, and the header has ${wanted}`);
    return null;
  }
  const textOf = (index: number): string => record[header[index] ?? -1] ?? '';
  const values = shape.columns.map((column, index) => readField(textOf(index), column, onFault));
  const given = (name: string): boolean =>
    textOf(shape.columns.findIndex((column) => column.name === name)) !== '';
  shape.lineFaults(given).forEach(onFault);
  return values[0] === null ? null : { line, values };
}

function readField(text: string, column: Column, onFault: (reason: string) => void): string | null {
  if (text === '') {
    if (column.needs === 'column') return '';
    if (column.needs === 'value') onFault(`${column.name} is empty`);
    return column.otherwise ?? null;
  }
  const reading = column.read(text);
  if ('value' in reading) return reading.value;
  onFault(`${column.name}: ${reading.fault}`);
  return null;
}

function newlinesIn(record: readonly string[]): number {
  let count = 0;
  for (const field of record) {
    for (let at = field.indexOf('\n'); at !== -1; at = field.indexOf('\n', at + 1)) count += 1;
  }
  return count;
}

const names = (columns: readonly Column[]): string => columns.map((column) => column.name).join(', ');
