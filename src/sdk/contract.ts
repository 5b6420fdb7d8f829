/**
 * What a job is. A job proposes changes; it never writes. It declares the rows it may touch and yields
 * what it would change, and the platform judges, fences, writes and journals the changes.
 */
import type { Change, Image, Resource } from '../journal/change.js';

export type {
  Change,
  Image,
  Key,
  ProductUse,
  Requirement,
  Resource,
  UniqueAcross,
  Value,
} from '../journal/change.js';

/** What percentages are bucketed on, and where the platform finds all of a region's units. */
export interface UnitSource {
  /** Schema-qualified: `public.tenants`. */
  readonly table: string;
  /** The column that identifies a unit. */
  readonly key: string;
  /** The column with the unit's home region. */
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

/**
 * Reads rows, in the journal's form (see {@link Value}), streamed: memory stays flat however many there are. As a tag,
 * what is inserted is bound as a parameter and never becomes SQL: `` rows`select id from t where region = ${region}` ``.
 * As a function, it takes SQL with `$1`, `$2` and their values. The role can only read: an attempt to write fails and
 * refuses the run.
 */
export interface Rows {
  <Row extends Image = Image>(sql: TemplateStringsArray, ...values: readonly unknown[]): AsyncIterable<Row>;
  <Row extends Image = Image>(sql: string, values?: readonly unknown[]): AsyncIterable<Row>;
}

/** A value that a row of another region's database has. */
export interface HeldElsewhere {
  /** The regions of that database, in which the row has its home. */
  readonly regions: readonly string[];
  /** When it was last seen there, by the control database's clock. */
  readonly asOf: Date;
}

/** What a plan works with. All of its queries read one snapshot, which the guard judges the plan against too. */
export interface PlanContext<Clients extends object = object> {
  readonly region: string;
  readonly units: AdmittedUnits;
  readonly rows: Rows;
  /** What the job's `clients` made. */
  readonly clients: Clients;
  /** The database's clock. */
  readonly clock: { now(): Date };
  /** Aborted when the run must stop: lease lost, gate closed, shutdown. */
  readonly signal: AbortSignal;
  /**
   * Whether a row of another region's database has a value that the resource declares with `uniqueAcross` (of several
   * columns, their values). Undefined: none is known to, or the control database is away. A plan tells with it what
   * happened; it need not ask before it takes a value, which is reserved before it is written.
   */
  heldElsewhere(resource: string, value: string | readonly string[]): Promise<HeldElsewhere | undefined>;
  /**
   * Tells that the plan goes on. Rows that arrive and changes that are yielded tell it by themselves; a job that waits
   * for other servers for longer calls this at each answer, or the run is ended as one that hangs.
   */
  progressed(): void;
}

export const FINDING_MARKS = ['ok', 'warn', 'fail'] as const;

/** Something that was looked at: `fail` needs a fix, `warn` is worth knowing and may be meant. */
export interface Finding {
  readonly mark: (typeof FINDING_MARKS)[number];
  /** What was found, in a sentence. It is shown to whoever may read: no secrets. */
  readonly found: string;
  /** What to do about it. */
  readonly hint?: string | undefined;
}

/** What a job's `doctor` works with. */
export interface DoctorContext<Clients extends object = object> {
  /** What the job's `clients` made. */
  readonly clients: Clients;
  /** Aborted after 15 seconds. */
  readonly signal: AbortSignal;
}

/**
 * The tables that a job brings. `portcullis migrate` makes them where the job's policy has regions, and so does a process
 * that serves one of them; a file that ran is never edited.
 */
export interface JobMigrations {
  /** Files such as `001-tables.sql`, each run once, in order, as the owner: `new URL('./migrations/', import.meta.url)`. */
  readonly folder: URL;
  /**
   * The schemas that they make, with nothing else in them. The job's plan and the policy's invariants may read all of
   * these, its changes may write them, and `portcullis uninstall --with-data` drops them.
   */
  readonly schemas: readonly [string, ...string[]];
}

/**
 * Runs SQL as the owner of the tables, in one transaction with all else of the sample or command. As a tag, what is inserted is bound:
 * `` sql`insert into tenants (id, region) values (${id}, ${region})` ``. As a function, it takes SQL with `$1`, `$2` and
 * their values.
 */
export interface OwnerSql {
  <Row extends object = Record<string, unknown>>(
    text: TemplateStringsArray,
    ...values: readonly unknown[]
  ): Promise<Row[]>;
  <Row extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** What the rows of a sample are made of. */
export interface SampleContext {
  readonly sql: OwnerSql;
  /** The regions of the job's policy in this database. */
  readonly regions: readonly string[];
  /** The same seed should make the same rows. */
  readonly seed: string;
  /** When it is. */
  readonly now: Date;
}

/** Made-up rows to try a job on. They are only written where its tables are empty. */
export interface JobSample {
  /**
   * What the key of each unit of the sample begins with, as text: `sample-`, or for a uuid `5a3b1e00-`. A database in which
   * every unit's key does is a sample; one with any other is somebody's.
   */
  readonly units: string;
  /** Writes the rows, in less than two minutes. Anything but the job's tables is left alone. */
  fill(context: SampleContext): Promise<void>;
  /** Lets a few minutes pass in a region, so that the next run finds something to do. */
  goOn?(context: { readonly sql: OwnerSql; readonly region: string }): Promise<void>;
}

/** What a command works with, in one database. */
export interface CommandContext {
  readonly sql: OwnerSql;
  /** Those of the job's policy in this database, or the one that was asked for. Rows of others are left alone. */
  readonly regions: readonly string[];
}

/**
 * Something that people do with a job's own tables besides its runs: `portcullis job do JOB COMMAND`, or over HTTP. It is an
 * edit like any other of the application's, and no run's: nothing of it is judged, journaled or restored.
 */
export interface JobCommand {
  /** What it does, in a sentence. */
  readonly summary: string;
  /** What it must be given: by name, what that is. Each is a text of 1 to 1,000 characters. */
  readonly takes: Readonly<Record<string, string>>;
  /** What is wrong with what it was given, and what to do about it; undefined: nothing. */
  refuses?(
    given: Readonly<Record<string, string>>,
  ): { readonly why: string; readonly hint?: string | undefined } | undefined;
  /** Does it, in less than eight seconds. Answers what it did, a row for each; none: there was nothing to do. */
  run(
    context: CommandContext,
    given: Readonly<Record<string, string>>,
  ): Promise<readonly Readonly<Record<string, string>>[]>;
}

export interface JobDefinition {
  readonly name: string;
  /** Semantic version, without build metadata. The full version also has the digest of the job's code: `1.0.0_9f3c2a1b`. */
  readonly version: string;
  readonly unit: UnitSource;
  readonly resources: Readonly<Record<string, Resource>>;
  /** The kinds of change it may propose, each with the resource it changes. */
  readonly kinds: Readonly<Record<string, string>>;
  /** Absent: its tables are there without it. */
  readonly migrations?: JobMigrations;
  /**
   * A page in Markdown of what its changes mean and whom they reach, for whoever is in an incident:
   * `new URL('./runbook.md', import.meta.url)`. It is shown below the steps of each incident of the job.
   */
  readonly runbook?: URL;
  /** Made-up rows for `portcullis start --sample`, `check`, `dev` and tests. */
  readonly sample?: JobSample;
  /** What people may do with its tables besides, by name. */
  readonly commands?: Readonly<Record<string, JobCommand>>;
  /**
   * Makes what the plan asks besides the database, such as an HTTP client: once in a process, when the job first plans.
   * What it makes is closed with the process, where it has `close`.
   */
  clients?(): object | Promise<object>;
  /**
   * Looks whether what the plan asks besides the database answers, for `portcullis doctor`. It changes nothing. What it
   * throws, or that it does not end in time, is shown as a warning.
   */
  doctor?(context: DoctorContext): Promise<readonly Finding[]>;
  plan(context: PlanContext): AsyncIterable<Change>;
}
