/**
 * What a job is. A job proposes changes; it never writes. It declares the rows it may touch and yields
 * what it would change, and the platform judges, fences, writes and journals the changes.
 */
import type { Change, Image, Resource } from '../journal/change.js';
import type { Dns } from '../lookup/dns.js';
import type { Https } from '../lookup/https.js';

export type { Change, Image, ProductUse, Requirement, Resource, Value } from '../journal/change.js';

/** What percentages are bucketed on, and where the platform finds all of a region's units. */
export interface UnitSource {
  readonly table: string;
  readonly key: string;
  readonly region: string;
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
  /** Semantic version, without build metadata. The full version also has the digest of the job's code: `1.0.0_9f3c2a1b`. */
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
