/**
 * What a job is. A job proposes changes; it never writes. It declares the rows it may touch and yields
 * what it would change, and the platform judges, fences, writes and journals the changes.
 */
import type { Dns } from './lookup/dns.js';
import type { Https } from './lookup/https.js';

/**
 * A column's value as the journal keeps it: what JavaScript holds exactly (text, boolean, whole numbers up
 * to 2^31) as itself, and everything else (timestamps, numerics, bigints, JSON, arrays) as PostgreSQL's own
 * text. `PlannerDatabase` answers rows in this form, so a value that was read is a value that compares equal.
 */
export type Value = string | number | boolean | null;
export type Image = Readonly<Record<string, Value>>;

/** A table that a job may change, and how. */
export interface Resource {
  /** Schema-qualified: `directory.account`. */
  readonly table: string;
  /** The single column that identifies a row. */
  readonly key: string;
  /** Columns that a change may set. They are always compared too. */
  readonly changes: readonly string[];
  /** Columns that a change never sets but that must still be as they were read when it is applied. */
  readonly compares?: readonly string[];
  /** The column that holds the row's home region, for caps that count a share of the region. */
  readonly region: string;
}

/** What percentages are bucketed on, and where the platform finds all of a region's units. */
export interface UnitSource {
  readonly table: string;
  readonly key: string;
  readonly region: string;
}

/**
 * One proposed change of one row. `before: null` inserts, `after: null` deletes. An update's `before` has
 * every column of `changes` and `compares`; its `after` has every column of `changes`.
 */
export interface Change {
  readonly resource: string;
  readonly key: string;
  readonly before: Image | null;
  readonly after: Image | null;
  /** What the change means, from the job's vocabulary: `claim`, `verify`. Counted and capped by kind. */
  readonly kind: string;
  /** The unit on whose behalf the change is made; it must be one of those admitted. */
  readonly unit: string;
  /** Why: whatever lets a person check the decision later. Kept in the journal. */
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** The units that the region's flag gives to this version. */
export interface AdmittedUnits {
  readonly size: number;
  has(unit: string): boolean;
  [Symbol.iterator](): IterableIterator<string>;
}

/** A connection whose role can only read. An attempt to write fails and refuses the run. */
export interface PlannerDatabase {
  /** Rows in the journal's form (see {@link Value}), streamed: memory stays flat however many there are. */
  rows<Row extends Image = Image>(sql: string, params?: readonly unknown[]): AsyncIterable<Row>;
}

export interface PlanContext {
  readonly region: string;
  readonly units: AdmittedUnits;
  readonly db: PlannerDatabase;
  readonly dns: Dns;
  readonly https: Https;
  /** The database's clock. */
  readonly clock: { now(): Date };
  /** Aborted when the run must stop: lease lost, gate closed, shutdown. */
  readonly signal: AbortSignal;
}

export interface JobDefinition {
  readonly name: string;
  /** Semantic version. The full version also has the digest of the job's code: `1.0.0+9f3c2a1b`. */
  readonly version: string;
  readonly unit: UnitSource;
  readonly resources: Readonly<Record<string, Resource>>;
  /** The kinds of change it may propose, each with the resource it changes. */
  readonly kinds: Readonly<Record<string, string>>;
  plan(context: PlanContext): AsyncIterable<Change>;
}

/** Declares a job. Promises nothing yet: the platform checks the declaration against the database at start. */
export function defineJob(definition: JobDefinition): JobDefinition {
  return Object.freeze(definition);
}
