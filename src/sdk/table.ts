import type { ProductUse, Resource } from '../journal/change.js';

/** What a job may do to a table's rows. */
export interface TableOptions<Changes extends string, Compares extends string> {
  /** The column that identifies a row; it has a unique index. */
  readonly key: string;
  /** Columns that a change may set. They are always compared too. None: the rows can only be required or deleted. */
  readonly changes?: readonly Changes[];
  /** Columns that a change never sets but that must still be as they were read when it is applied. */
  readonly compares?: readonly Compares[];
  /** Whether the job deletes rows. A deleted row is compared and restored whole; a table's rows are changed or deleted. */
  readonly deletes?: boolean;
  /** The column with the row's home region. A cap on a share of the region lets nothing through without it. */
  readonly region?: string;
  /** By what an impact is told by product. Its rows count for no product without it. */
  readonly usedIn?: ProductUse;
}

/** A table that a job may change, with the names of its columns as types. */
export interface Table<
  Changes extends string = string,
  Compares extends string = string,
  Deletes extends boolean = boolean,
> extends Resource {
  readonly changes: readonly Changes[];
  readonly compares: readonly Compares[];
  readonly deletes: Deletes;
}

const OPTIONS: ReadonlySet<string> = new Set([
  'key',
  'changes',
  'compares',
  'deletes',
  'region',
  'usedIn',
] satisfies (keyof TableOptions<string, string>)[]);

/**
 * Declares a table that a job may change: `table('public.customers', { key: 'id', changes: ['status'] })`. Throws
 * TypeError for what is not supported; whether table and columns are there is asked of the database at load.
 */
export function table<
  const Changes extends string = never,
  const Compares extends string = never,
  const Deletes extends boolean = false,
>(
  name: string,
  options: TableOptions<Changes, Compares> & { readonly deletes?: Deletes },
): Table<Changes, Compares, Deletes> {
  const refuse = (why: string): never => {
    throw new TypeError(`table ${name}: ${why}`);
  };
  const surplus = Object.keys(options).find((option) => !OPTIONS.has(option));
  if (surplus !== undefined) {
    refuse(`option ${surplus} is not supported; there is ${[...OPTIONS].join(', ')}`);
  }
  const { key, changes = [], compares = [], deletes = false, ...others } = options;
  if (typeof key !== 'string')
    refuse('a key of several columns is not supported yet; name one unique column');
  if (deletes && changes.length + compares.length > 0) {
    refuse(
      'a row is deleted whole, so leave out changes and compares; declare a second resource to change rows',
    );
  }
  return Object.freeze({ table: name, key, changes, compares, deletes: deletes as Deletes, ...others });
}
