/**
 * The types of `portcullis/testing`. They rest on what the package exports, and on no library: whoever checks types need
 * not have those of the libraries that it is made with.
 */
import type { Verdict } from '../containment/verdict.js';
import type { RunStatus } from '../runs/run-states.js';
import type { ChangeOf, Kinds, Tables as Resources } from '../sdk/define-job.js';

/** A file, by its URL, or by its path from the working folder. */
export type SqlFile = URL | string;

/** A table's rows, to the last byte. */
export interface TableState {
  readonly rows: number;
  readonly checksum: string;
}

/** Every table of the author's, by its schema-qualified name. */
export type Tables = Readonly<Record<string, TableState>>;

/** Numbers of changes by kind; a kind that is left out has none. */
export type CountsOf<Kind extends string> = Readonly<Partial<Record<Kind, number>>>;

/** What a test expects of a run; what is left out is not looked at. */
export interface Expected<Kind extends string> {
  readonly status?: RunStatus;
  /** A part of the reason, such as the name of a rule. */
  readonly reason?: string | RegExp;
  readonly planned?: CountsOf<Kind>;
  readonly applied?: CountsOf<Kind>;
  readonly conflicts?: number;
  /** What rules of the policy's guard said, by their names. */
  readonly verdicts?: Readonly<Record<string, Verdict>>;
}

/** A change as the job proposed it; the key is text, as subjects name it. */
export type ProposedChange<R extends Resources, Of extends Kinds<R>> =
  ChangeOf<R, Of> extends infer Each
    ? Each extends { readonly key: unknown }
      ? Omit<Each, 'key'> & { readonly key: string }
      : never
    : never;

/** How a run of a test ended. */
export interface TestRun<R extends Resources, Of extends Kinds<R>> {
  readonly id: string;
  readonly status: RunStatus;
  readonly reason: string;
  readonly planned: CountsOf<keyof Of & string>;
  readonly applied: CountsOf<keyof Of & string>;
  readonly conflicts: number;
  readonly verdicts: readonly { readonly rule: string; readonly verdict: Verdict; readonly reason: string }[];
  /** The changes that the job proposed, in the order of application. */
  readonly changes: readonly ProposedChange<R, Of>[];
  /** The author's tables before the run. */
  readonly before: Tables;
  /** Throws an AssertionError with everything that is not as expected. */
  expect(expected: Expected<keyof Of & string>): void;
}

/** A run that is said to have been, for rules that compare with history. */
export interface PastRun<Kind extends string> {
  readonly planned: CountsOf<Kind>;
  /** By kind, how many units had changes; absent: not counted. */
  readonly plannedUnits?: CountsOf<Kind>;
  /** Absent: a day before the next one of the list, or before now. */
  readonly at?: Date;
}

export interface BatchOptions {
  /** Changes in each batch; default 1. */
  readonly batch?: number;
}

/** What a test does with its job, on a database of the test's own. */
export interface JobTest<R extends Resources = Resources, Of extends Kinds<R> = Kinds<R>> {
  /** The database's URL, as its owner. */
  readonly url: string;
  readonly region: string;
  /** Runs SQL as the tables' owner; what is inserted is bound: `` sql`update t set n = ${5} returning id` ``. */
  sql<Row extends object = Record<string, unknown>>(
    text: TemplateStringsArray,
    ...values: readonly unknown[]
  ): Promise<Row[]>;
  /** Sets the clock that the plan is given; it stands still there. */
  setTime(now: Date | string): void;
  /** Runs of the past, oldest first, that count as accepted: for the guard's count rules. */
  history(runs: readonly PastRun<keyof Of & string>[]): Promise<void>;
  /** Plans and judges, and writes nothing. */
  plan(): Promise<TestRun<R, Of>>;
  /** Runs the job to its end, in the policy's batches unless another size is given. */
  run(options?: BatchOptions): Promise<TestRun<R, Of>>;
  /** Runs the job, and kills its gate as soon as so many batches are written. Throws where the run ends before. */
  killAfter(batches: number, options?: BatchOptions): Promise<TestRun<R, Of>>;
  /**
   * Runs the job on a worker that is lost after so many batches: its next batch is written, not committed, and its
   * connections break. Another worker takes the run over and ends it. Throws where the run ends before.
   */
  crashAfter(batches: number, options?: BatchOptions): Promise<TestRun<R, Of>>;
  /** Restores a run; answers in how many rows it found later changes, which it left alone. */
  restore(run: Pick<TestRun<R, Of>, 'id'>): Promise<{ readonly conflicts: number }>;
  /**
   * Restores a run, and throws an AssertionError unless every row of every table is as it was before the run. `except`
   * names tables, such as `public.audit`, that triggers write besides.
   */
  restoreExactly(run: TestRun<R, Of>, options?: { readonly except?: readonly string[] }): Promise<void>;
  /** Every table but Portcullis' own, with a checksum of its rows. */
  tables(): Promise<Tables>;
}
