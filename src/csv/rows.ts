import { createReadStream } from 'node:fs';
import { pipeline, Transform } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import type { Column, RowShape } from './columns.js';
import type { Faults } from './faults.js';
import { fileError } from '../postgres/file-error.js';
import { nearest } from '../kernel/nearest.js';
import { shown } from './shown.js';
import { isUtf8 } from 'node:buffer';

/** One line as it goes into staging: a value for each of the shape's columns, as PostgreSQL's text. */
export interface Row {
  /** The line on which it begins. */
  readonly line: number;
  readonly values: readonly (string | null)[];
}

export interface CsvFile {
  readonly path: string;
  /** What it is called in messages; absent: its path. */
  readonly name?: string;
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
 * `onColumns` is told which columns the file has. Answers at its end whether the file could be read to its own end: a bad header or a broken quote cuts it off.
 * Throws FILE_UNREADABLE.
 */
export async function* readRows(
  { path, name = path }: CsvFile,
  shape: RowShape,
  faults: Faults,
  onColumns: (names: ReadonlySet<string>) => void = () => undefined,
): AsyncGenerator<Row, boolean> {
  let line = 1;
  let header: Header | undefined;
  const onRecord = (record: string[]): Row | null => {
    const at = line;
    line += 1 + newlinesIn(record);
    if (record.length === 1 && record[0] === '') return null;
    if (header !== undefined)
      return readRow(record, at, header, shape, (reason) => faults.add(name, at, reason));
    const read = readHeader(record, shape);
    if ('faults' in read) {
      for (const reason of read.faults) faults.add(name, at, reason);
      throw new HeaderRefused();
    }
    header = read;
    onColumns(new Set(record));
    return null;
  };
  const rows = pipeline(
    createReadStream(path, { highWaterMark: 262_144 }),
    textCheck((at, reason) => faults.add(name, at, reason)),
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
      name,
      line,
      `${UNREADABLE[error.code] ?? error.message}; the lines from here on were not read`,
    );
    return false;
  }
  if (header !== undefined) return true;
  faults.add(name, 1, `the file is empty; its first line names the columns: ${names(shape.columns)}`);
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

/** Where each of a file's columns stands in its lines; undefined: it was left out. */
type Header = readonly (number | undefined)[];

/** Reads a header row. Answers the places of the shape's columns, in its order, or what is wrong with the row. */
function readHeader(row: readonly string[], shape: RowShape): Header | { faults: string[] } {
  const known = shape.columns.map((column) => column.name);
  const separator = [';', '\t', '|'].find((letter) => row.length === 1 && row[0]?.includes(letter));
  if (separator !== undefined) {
    return { faults: [`the columns are separated by ${shown(separator)}; separate them by commas`] };
  }
  const faults = row.flatMap((name, index) => {
    if (row.indexOf(name) < index) return [`the column ${shown(name)} is there twice`];
    if (known.includes(name)) return [];
    const missing = known.filter((column) => !row.includes(column));
    const close = nearest(name, missing);
    const hint = close === undefined ? `the columns are ${known.join(', ')}` : `did you mean ${close}?`;
    return [`there is no column ${shown(name)}; ${hint}`];
  });
  for (const { name, needs } of shape.columns) {
    if (needs === 'nothing' || row.includes(name)) continue;
    faults.push(`the column ${name} is missing`);
  }
  if (faults.length > 0) return { faults };
  return known.map((name) => (row.includes(name) ? row.indexOf(name) : undefined));
}

const NEWLINE = 0x0a;

/**
 * Passes text through and reports each line that is not UTF-8, or holds a NUL, which PostgreSQL cannot keep.
 * What is wrong is replaced by U+FFFD on its way, so that the rest of the file can still be read.
 */
export function textCheck(onFault: (line: number, reason: string) => void): Transform {
  let line = 1;
  let lastFaulty = 0;
  let rest: Buffer = Buffer.alloc(0);

  const checked = (chunk: Buffer): Buffer => {
    const sound = isUtf8(chunk) && !chunk.includes(0);
    if (!sound) name(chunk);
    line += newlineBytes(chunk);
    return sound ? chunk : Buffer.from(chunk.toString('utf8').replaceAll('\0', '\uFFFD'));
  };
  const name = (chunk: Buffer): void => {
    let at = line;
    for (let from = 0; from < chunk.length; at += 1) {
      const newline = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline);
      from += piece.length + 1;
      const reason = !isUtf8(piece)
        ? 'is not valid UTF-8'
        : piece.includes(0)
          ? 'holds a NUL character'
          : undefined;
      if (reason !== undefined && at !== lastFaulty) onFault((lastFaulty = at), reason);
    }
  };

  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = wholeCharacters(all);
      rest = all.subarray(end);
      done(null, checked(all.subarray(0, end)));
    },
    flush(done) {
      done(null, checked(rest));
    },
  });
}

/** How many of the bytes remain when a character that is cut off at the end is left for the next chunk. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function newlineBytes(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
