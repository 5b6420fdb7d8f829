import type pg from 'pg';
import { CopyIn, copyField } from '../../postgres/copy-in.js';
import type { FileShape } from './columns.js';
import type { Faults } from '../../csv/faults.js';
import { type CsvFile, type Row, readRows } from '../../csv/rows.js';

/** Characters sent at a time; a row each would cost a message each. */
const BATCH = 65_536;

/** How often progress is told. In rows. */
const TOLD_EVERY = 10_000;

/** Makes a shape's temporary table: its columns and the line they stood on. Dropped when the transaction ends. */
export async function createStaging(client: pg.PoolClient, shape: FileShape): Promise<void> {
  const columns = shape.columns.map(({ name, type }) => `${name} ${type}`).join(', ');
  await client.query(`create temporary table ${shape.staging} (line integer, ${columns}) on commit drop`);
}

export interface Listener {
  /** The rows so far, now and then. */
  readonly onRows: (rows: number) => void;
  readonly onRow?: ((row: Row) => void) | undefined;
  /** Told which columns the file has. */
  readonly onColumns?: ((names: ReadonlySet<string>) => void) | undefined;
}

/**
 * Reads a file into its staging table; memory stays flat. Answers whether the file could be read to its end; what is
 * wrong in it is in `faults`. Throws FILE_UNREADABLE.
 */
export async function stage(
  client: pg.PoolClient,
  file: CsvFile,
  shape: FileShape,
  faults: Faults,
  { onRows, onRow, onColumns }: Listener,
): Promise<boolean> {
  const copy = new CopyIn(client, `copy ${shape.staging} from stdin`);
  let whole: boolean;
  try {
    const rows = readRows(file, shape, faults, onColumns);
    let batch = '';
    let count = 0;
    let next = await rows.next();
    for (; next.done !== true; next = await rows.next()) {
      batch += copyLine(next.value);
      onRow?.(next.value);
      count += 1;
      if (count % TOLD_EVERY === 0) onRows(count);
      if (batch.length < BATCH) continue;
      await copy.write(batch);
      batch = '';
    }
    whole = next.value;
    if (count === 0 || count % TOLD_EVERY !== 0) onRows(count);
    await copy.write(batch);
    await copy.end();
  } catch (error) {
    await copy.abort(error);
    throw error;
  }
  // Nothing gathers statistics of a temporary table by itself, and the checks join them.
  await client.query(`analyze ${shape.staging}`);
  return whole;
}

/** A row in the text format of PostgreSQL's COPY. */
function copyLine({ line, values }: Row): string {
  let text = String(line);
  for (const value of values) text += `\t${copyField(value)}`;
  return `${text}\n`;
}
