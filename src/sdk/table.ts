import type { ProductUse, Resource, UniqueAcross } from '../journal/change.js';

/** The columns that identify a row. */
export type TableKey = string | readonly [string, ...string[]];

/** What a job may do to a table's rows. */
export interface TableOptions<Changes extends string, Compares extends string> {
  /** The column that identifies a row, or the columns that do together; they have a unique index. */
  readonly key: TableKey;
  /** Columns that a change may set. They are always compared too. None: the rows can only be required or deleted. */
  readonly changes?: readonly Changes[];
  /** Columns that a change never sets but that must still be as they were read when it is applied. */
  readonly compares?: readonly Compares[];
  /** Whether the job deletes rows. A deleted row is compared and restored whole; a table's rows are changed or deleted. */
  readonly deletes?: boolean;
  /** Tables, such as `public.events`, whose rows the database deletes or changes with those that are deleted: see {@link Resource}. */
  readonly cascades?: readonly string[];
  /** The column with the row's home region. A cap on a share of the region lets nothing through without it. */
  readonly region?: string;
  /** By what an impact is told by product. Its rows count for no product without it. */
  readonly usedIn?: ProductUse;
  /**
   * What no two rows may have in all regions' databases together; in one database, a unique index sees to that. A value is
   * reserved in the control database before a run writes it. `'regions'`: the key.
   */
  readonly uniqueAcross?: 'regions' | UniqueAcross;
}

/** A table that a job may change, with the names of its columns as types. */
export interface Table<
  Changes extends string = string,
  Compares extends string = string,
  Deletes extends boolean = boolean,
  Key extends TableKey = TableKey,
> extends Resource {
  readonly key: Key;
  readonly changes: readonly Changes[];
  readonly compares: readonly Compares[];
  readonly deletes: Deletes;
}

const OPTIONS: ReadonlySet<string> = new Set([
  'key',
  'changes',
  'compares',
  'deletes',
  'cascades',
  'region',
  'usedIn',
  'uniqueAcross',
] satisfies (keyof TableOptions<string, string>)[]);

/**
 * Declares a table that a job may change: `table('public.customers', { key: 'id', changes: ['status'] })`. Throws
 * TypeError for what is not supported; whether table and columns are there is asked of the database at load.
 */
export function table<
  const Changes extends string = never,
  const Compares extends string = never,
  const Deletes extends boolean = false,
  const Key extends TableKey = TableKey,
>(
  name: string,
  options: TableOptions<Changes, Compares> & { readonly deletes?: Deletes; readonly key: Key },
): Table<Changes, Compares, Deletes, Key> {
  const refuse = (why: string): never => {
    throw new TypeError(`table ${name}: ${why}`);
  };
  const surplus = Object.keys(options).find((option) => !OPTIONS.has(option));
  if (surplus !== undefined) {
    refuse(`option ${surplus} is not supported; there is ${[...OPTIONS].join(', ')}`);
  }
  const { key, changes = [], compares = [], deletes = false, ...others } = options;
  if (typeof key !== 'string' && key.length === 0) refuse('its key names no column');
  if (!deletes && options.cascades !== undefined) refuse('cascades goes with deletes: true');
  if (deletes && changes.length + compares.length > 0) {
    refuse(
      'a row is deleted whole, so leave out changes and compares; declare a second resource to change rows',
    );
  }
  return Object.freeze({ table: name, key, changes, compares, deletes: deletes as Deletes, ...others });
}
