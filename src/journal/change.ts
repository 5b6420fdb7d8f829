/** What the journal keeps: rows' images, the tables they belong to, and changes of single rows. */

/**
 * A column's value as the journal keeps it: what JavaScript holds exactly (text, boolean, whole numbers up
 * to 2^31) as itself, and everything else (timestamps, numerics, bigints, JSON, arrays) as PostgreSQL's own
 * text. The planner's database answers rows in this form, so a value that was read is a value that compares equal.
 */
export type Value = string | number | boolean | null;
export type Image = Readonly<Record<string, Value>>;

/** Where it stands which products rows are used in: a row, unique, for each of a row's products. */
export interface ProductUse {
  /** Schema-qualified: `directory.product_use`. */
  readonly table: string;
  /** The column with the key of a row of the resource. */
  readonly key: string;
  /** The column with the product's name. */
  readonly product: string;
}

/** A value that one row may have in all regions' databases. */
export interface UniqueAcross {
  /** The column, or the columns together; null is no value. */
  readonly regions: string | readonly string[];
  /** Only rows with one of these values have it: `{ state: ['VERIFIED'] }`. */
  readonly while?: Readonly<Record<string, readonly Value[]>>;
}

/** A table that a job may change, and how. */
export interface Resource {
  /** Schema-qualified: `directory.account`. */
  readonly table: string;
  /** The column that identifies a row, or the columns that do together. */
  readonly key: string | readonly string[];
  /** Columns that a change may set. They are always compared too. None: the resource can only be required. */
  readonly changes: readonly string[];
  /** Columns that a change never sets but that must still be as they were read when it is applied. */
  readonly compares?: readonly string[];
  /** Whether changes delete rows, and do nothing else. Every column but the key is compared then, and kept to restore. */
  readonly deletes?: boolean;
  /**
   * Tables whose rows the database deletes, or sets to null or a default, when a row is deleted that they reference: they
   * are counted by the plan and its caps, kept whole, and restored with it. Schema-qualified.
   */
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

/** A resource as a run's row keeps it. */
export interface KeptResource extends Resource {
  /** The types that the columns had, with their lengths; absent for runs of earlier programs. */
  readonly types?: Readonly<Record<string, string>>;
}

/** A row's key: of one column its value as text, of several the values of each. */
export type Key = string | readonly Value[];

/** Another row that a change rests on: the columns named must still have these values when it is applied. */
export interface Requirement {
  readonly resource: string;
  readonly key: Key;
  readonly image: Image;
}

/**
 * One proposed change of one row. `before: null` inserts, `after: null` deletes. An update's `before` has
 * every column of `changes` and `compares`; its `after` has every column of `changes`.
 */
export interface Change {
  readonly resource: string;
  /**
   * The row's key, of several columns their values in the order of the declaration; `generated` for a row that is inserted
   * with the next key that the column's default gives.
   */
  readonly key: Key;
  readonly before: Image | null;
  readonly after: Image | null;
  /** What the change means, from the job's vocabulary: `claim`, `verify`. Counted and capped by kind. */
  readonly kind: string;
  /** The unit on whose behalf the change is made; it must be one of those admitted. */
  readonly unit: string;
  /** Rows besides its own that must still be as they were read. One that is not makes the change a conflict. */
  readonly requires?: readonly Requirement[];
  /** Why: whatever lets a person check the decision later. Kept in the journal. */
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** A change whose keys are as the journal has them. */
export interface KeyedChange extends Change {
  readonly key: string;
}

/** Stands for the key of a row that the database is to give one. No row's key has a NUL. */
export const GENERATED = '\0generated';

/** A key as the journal has it: text; of several columns, a JSON array of texts. */
export function keyText(key: Key): string {
  // Also of what a job in JavaScript may give, so that its fault can name it.
  return Array.isArray(key) ? JSON.stringify(key.map(String)) : String(key);
}

/** The columns of a resource's key. */
export function keyColumns({ key }: Pick<Resource, 'key'>): readonly string[] {
  return typeof key === 'string' ? [key] : key;
}

/** What a change does to its row. */
export type Operation = 'insert' | 'update' | 'delete';

export function operationOf(change: Pick<Change, 'before' | 'after'>): Operation {
  if (change.before === null) return 'insert';
  return change.after === null ? 'delete' : 'update';
}

/** A resource whose rows have values that no row of another region's database may have. */
export type UniqueResource = Pick<Resource, 'table' | 'key'> & {
  readonly uniqueAcross: UniqueAcross | 'regions';
};

/** Whether a resource declares such values; those of an older run's row do not. */
export function isUnique<Of extends Resource>(resource: Of): resource is Of & UniqueResource {
  return resource.uniqueAcross !== undefined;
}

/** The columns whose values together are unique, and those that say whether a row's count. */
export function uniqueColumns(resource: UniqueResource): {
  readonly columns: readonly string[];
  readonly whiles: readonly (readonly [string, readonly string[]])[];
} {
  const { uniqueAcross } = resource;
  if (uniqueAcross === 'regions') return { columns: keyColumns(resource), whiles: [] };
  const { regions, while: condition = {} } = uniqueAcross;
  return {
    columns: typeof regions === 'string' ? [regions] : regions,
    whiles: Object.entries(condition).map(([name, values]) => [name, values.map(String)] as const),
  };
}
