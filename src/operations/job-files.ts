import type pg from 'pg';
import { z } from 'zod';
import type { Principal } from '../access/roles.js';
import { count, named } from '../kernel/schema.js';

/** In which tables, and as whom. */
export interface FilesOrder {
  /** Where the audit log is. */
  readonly control: pg.Pool;
  /** The owner's login of the database with the job's tables. */
  readonly database: pg.Pool;
  readonly region: string | undefined;
  /** The regions of the policies in force; none before the first is. */
  readonly regions: readonly string[];
  readonly caller: Principal;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportOrder extends FilesOrder {
  readonly folder: string;
  /** Whether the folder is the caller's, and not one on the way to them: then the audit log names it. */
  readonly theirs?: boolean;
}

export interface ImportOrder extends FilesOrder {
  /** Paths, by file. */
  readonly files: Readonly<Record<string, string>>;
  /** What each is called in messages and in the audit log; absent: its path. */
  readonly names?: Readonly<Record<string, string>> | undefined;
  readonly replace: boolean;
  /** Rows that are there are brought up to date. */
  readonly update?: boolean | undefined;
  readonly onProgress?: (text: string) => void;
}

/** A job's own files: what it brings for whoever moves its tables' rows in and out. */
export interface JobFiles {
  readonly job: string;
  /** `accounts`: in the archive it is `accounts.csv`. */
  readonly files: readonly string[];
  /** Writes them into a folder, with an entry in the audit log before that. */
  write(order: ExportOrder): Promise<FilesExported>;
  /** Reads them, all or nothing, with an entry in the audit log. */
  read(order: ImportOrder): Promise<FilesImported>;
}

const FilesExported = z.strictObject({
  rows: z.record(z.string(), count).describe('how many rows each file has, without its header'),
  nothing: z
    .strictObject({ message: z.string(), hint: z.string() })
    .optional()
    .describe('there: the files have no rows'),
});
export type FilesExported = z.infer<typeof FilesExported>;

export const FilesImported = named(
  'FilesImported',
  z.strictObject({
    rows: z.record(z.string(), count).describe('how many rows were imported into each table'),
    notes: z
      .strictObject({
        total: count,
        first: z.array(z.strictObject({ file: z.string(), line: z.int().min(1), reason: z.string() })),
      })
      .describe('rows that were imported, and that no run will work on: the first fifty'),
  }),
);
export type FilesImported = z.infer<typeof FilesImported>;

/** The file of an exported archive that says how many rows the others have. An import passes it over. */
export const MANIFEST = 'export.json';

/** What the manifest says. Throws where it is none. */
export function readManifest(text: string): FilesExported {
  return FilesExported.parse(JSON.parse(text));
}
