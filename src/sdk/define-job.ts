import type { Image, Key, Value } from '../journal/change.js';
import type {
  DoctorContext,
  Finding,
  JobDefinition,
  JobCommand,
  JobMigrations,
  JobSample,
  PlanContext,
  UnitSource,
} from './contract.js';
import type { Table, TableKey } from './table.js';

/** A registered symbol: a job made by one copy of this package is a job to another. */
const JOB = Symbol.for('portcullis.job');

export type Tables = Readonly<Record<string, Table>>;

/** The kinds of change of a job, each with the resource it changes. */
export type Kinds<Resources> = Readonly<Record<string, keyof Resources & string>>;

/** The values of some columns. */
export type Columns<Names extends string> = Readonly<Record<Names, Value>>;

/** What a change does to a row of a table, before and after. */
type Images<Of> =
  Of extends Table<infer Changes, infer Compares, infer Deletes>
    ? Deletes extends true
      ? { readonly before: Image; readonly after: null }
      : { readonly before: Columns<Changes | Compares> | null; readonly after: Columns<Changes> | null }
    : never;

/** The key of a table's row: of several columns, the values in the order of the declaration. */
type KeyOf<Of extends Table> = TableKey extends Of['key']
  ? Key
  : Of['key'] extends readonly [string, ...infer Rest]
    ? readonly [Value, ...{ readonly [At in keyof Rest]: Value }]
    : string;

type ColumnsOf<Of> = Of extends Table<infer Changes, infer Compares> ? Changes | Compares : never;

/** Another row that a change rests on: the columns named must still have these values when it is applied. */
export type RequirementOf<Resources extends Tables> = {
  readonly [Name in keyof Resources & string]: {
    readonly resource: Name;
    readonly key: KeyOf<Resources[Name]>;
    readonly image: Partial<Columns<ColumnsOf<Resources[Name]>>>;
  };
}[keyof Resources & string];

/** A change that a job with these resources and kinds may propose: see {@link Change}. */
export type ChangeOf<Resources extends Tables, Of extends Kinds<Resources>> = {
  readonly [Kind in keyof Of & string]: {
    readonly kind: Kind;
    readonly resource: Of[Kind];
    /** As {@link Change} has it. */
    readonly key: KeyOf<Resources[Of[Kind]]>;
    /** The unit on whose behalf the change is made; it must be one of those admitted. */
    readonly unit: string;
    /** Rows besides its own that must still be as they were read. One that is not makes the change a conflict. */
    readonly requires?: readonly RequirementOf<Resources>[];
    /** Why: whatever lets a person check the decision later. Kept in the journal. */
    readonly evidence: Readonly<Record<string, unknown>>;
  } & Images<Resources[Of[Kind]]>;
}[keyof Of & string];

/** Refuses columns that the resource of a change does not declare: what is yielded is not checked for surplus ones. */
type Declared<Resources extends Tables, Proposed> = Proposed extends {
  readonly resource: infer Name extends keyof Resources;
  readonly before: infer Before;
  readonly after: infer After;
}
  ? Resources[Name] extends Table<infer Changes, infer Compares, infer Deletes>
    ? Deletes extends true
      ? unknown
      : {
          readonly before: Refused<Before, Changes | Compares>;
          readonly after: Refused<After, Changes>;
        }
    : never
  : never;

type Refused<Given, Known extends string> = Given extends null
  ? Given
  : { readonly [Name in Exclude<keyof Given, Known>]: never };

/** A job as it is declared; everything but the plan decides what the plan may yield. */
export interface JobDeclaration<
  Resources extends Tables,
  Of extends Kinds<Resources>,
  Clients extends object,
  Proposed,
> {
  readonly name: string;
  /** Semantic version, without build metadata. The full version also has the digest of the job's code: `1.0.0_9f3c2a1b`. */
  readonly version: string;
  readonly unit: UnitSource;
  readonly resources: Resources;
  readonly kinds: Of;
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
  clients?(): Clients | Promise<Clients>;
  /**
   * Looks whether what the plan asks besides the database answers, for `portcullis doctor`. It changes nothing. What it
   * throws, or that it does not end in time, is shown as a warning.
   */
  doctor?(context: DoctorContext<Clients>): Promise<readonly Finding[]>;
  /** Proposes changes. It never writes: the platform judges, fences, writes and journals what it yields. */
  plan(context: PlanContext<Clients>): AsyncIterable<Proposed>;
}

/** A job, with the types of its resources, kinds and clients. */
export type Job<
  Resources extends Tables = Tables,
  Of extends Kinds<Resources> = Kinds<Resources>,
  Clients extends object = object,
> = Omit<JobDefinition, 'resources' | 'kinds' | 'clients'> & {
  readonly resources: Resources;
  readonly kinds: Of;
  clients?(): Clients | Promise<Clients>;
};

/** Declares a job. Promises nothing yet: the platform checks the declaration against the database at load. */
export function defineJob<
  const Resources extends Tables,
  const Of extends Kinds<Resources>,
  Proposed extends ChangeOf<Resources, Of>,
  Clients extends object = object,
>(
  declaration: JobDeclaration<Resources, Of, Clients, Proposed & Declared<Resources, Proposed>>,
): Job<Resources, Of, Clients> {
  return Object.freeze({ ...(declaration as unknown as Job<Resources, Of, Clients>), [JOB]: true });
}

/** Whether a value is what {@link defineJob} made, in whichever copy of this package. */
export function isJob(value: unknown): value is JobDefinition {
  return typeof value === 'object' && value !== null && JOB in value;
}
