import type pg from 'pg';
import type { AdminToken } from '../access/admin-token.js';
import type { RegionDatabases } from '../regions/region-database.js';
import type { PolicyDiff } from '../flags/policy-diff.js';
import type { PolicyDrift } from '../flags/policy-drift.js';
import type { FlagDesk } from '../flags/flag-desk.js';
import type { Policy } from '../flags/policy.js';
import type { TriedPlan } from '../testing/try-job.js';
import type { PlacedJob } from '../worker/worker.js';

import type { InstalledJob, KnownJob } from '../worker/registry.js';
import type { Platform, WorkerContext } from '../worker/platform.js';
import type { RunProgress, RunReport } from '../worker/run-loop.js';
import type { Run } from '../runs/election.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import type { Finding } from '../doctor/patient.js';

/**
 * What a command opens the databases for.
 *
 * - `look`: reads whatever schema there is. Migrates and writes nothing, and waits for no lock.
 * - `kill`: the same, and writes to gates. Needs neither the control database nor any schema but a gate's.
 * - `change`: refuses a database whose schema is not this program's.
 * - `serve`: migrates and makes the logins, where something is to be done.
 * - `set-up`: opens nothing by itself; `portcullis migrate` does the rest.
 */
export type Purpose = 'look' | 'kill' | 'change' | 'serve' | 'set-up';

export type { TriedPlan } from '../testing/try-job.js';

export interface Opening {
  /** The configuration file, in place of the one that is named or stands in the working folder. */
  readonly config?: string | undefined;
  /** False: the code of jobs that a configuration file lists is not run, and they are not known. */
  readonly jobs?: boolean;
}

/** An opened installation: its database is reached and found fit for the purpose. */
export interface Installation {
  readonly purpose: Purpose;
  /** PORTCULLIS_CONCURRENT_RUNS. */
  readonly concurrentRuns: number;
  /** The databases that were opened, or tried to be. */
  readonly databases: readonly DatabaseSetup[];
  /** Portcullis' own folder. */
  readonly home: string;
  /** The folder of policy files that `flags apply` reads by default. */
  readonly flagsFolder: string;
  /** The database's address, without its password. */
  readonly database: string;
  /** Where the database is the embedded one: whether it was running already, and how to start it again if it is gone. */
  readonly embedded: false | { readonly adopted: boolean; revive(): Promise<boolean> };
  /** The control plane, over the owner's login. */
  readonly control: pg.Pool;
  /** The region databases: which database each region has. */
  readonly regionDatabases: RegionDatabases;
  /** Puts each region where the policies in force say it is. */
  place(policies: readonly Policy[]): void;
  /** The jobs of this program, with their versions; none where this was opened to kill, or without them. */
  readonly jobs: readonly KnownJob[];
  /** The jobs of this program, whatever the databases say. None where a kill would have to run a configuration file. */
  installed(): Promise<readonly InstalledJob[]>;
  /** The control database's URL by login, with its password: never shown, never logged. */
  readonly urls: { readonly owner: string; readonly worker: string };
  /** Closes the pools, and stops the embedded database where no other process uses it. */
  close(): Promise<void>;
}

/** What a process needs to run jobs: fresh flags and look-ups, on top of an installation. */
export interface OpenPlatform {
  /** What is the same in every region. */
  readonly workerContext: WorkerContext;
  /** What a worker has for a region. */
  platformOf(region: string): Platform;
  /** The version that a flag gives to one unit, or `hold`, with why where it cannot be evaluated. */
  evaluate(flag: string, unit: string): Promise<{ readonly value: string; readonly errorMessage?: string }>;
  close(): Promise<void>;
}

export interface ServeOptions {
  /**
   * Act as the control plane: on an embedded database, hold its folder; on a database without any policy, put the
   * policy files in force.
   */
  readonly control: boolean;
  /** Fill the empty tables of jobs that bring a sample, and set their flags so that gating shows. */
  readonly sample: boolean;
  /** Serve HTTP. */
  readonly http: boolean;
  /** Only these regions; absent: those of the configuration, or all. */
  readonly regions?: readonly string[];
  /** Log lines for a person instead of JSON. */
  readonly quiet: boolean;
  readonly onRun: (report: RunReport) => void;
  readonly onProgress: (run: Run, progress: RunProgress) => void;
}

/**
 * What a start did with its policy files: put them in force on a database that had no policy yet, or left what is in
 * force as it is, and how the files differ from that.
 */
export type StartPolicies = { readonly applied: readonly PolicyDiff[] } | { readonly drift: PolicyDrift };

/** A database that was not reached, so that its regions have no sample of the job. */
export interface SampleAway {
  readonly job: string;
  readonly database: string;
  readonly regions: readonly string[];
}

/** A running control plane and worker. */
export interface Service {
  /** Absent where HTTP is not served. */
  readonly httpUrl?: string;
  /** Where the admin token stands. */
  readonly adminToken?: AdminToken;
  /** The file with the token of the sample world's second person, where this start made it. */
  readonly demoToken?: string;
  readonly seeded: boolean;
  readonly sampleAway: readonly SampleAway[];
  /** What this start did with the policy files; undefined for a worker, which reads none. */
  readonly policies?: StartPolicies;
  readonly served: readonly PlacedJob[];
  /**
   * A code that signs the holder of the admin token in to the console, once, within 30 s; undefined where this user may
   * not read that token.
   */
  signInCode(): Promise<string | undefined>;
  /** The time by the control database's clock; by this machine's where that does not answer. */
  now(): Promise<Date>;
  /** Runs every job at once in each served region. Resolves when those runs are over. */
  runAllNow(): Promise<void>;
  stop(): Promise<void>;
}

/** What the configuration said, as far as commands show or check it. `Config` of src/config.ts fits. */
export interface Settings {
  /** The token to act with on the command line; absent: see `actingPrincipal`. Never shown, never logged. */
  readonly token: string | undefined;
  /** PORTCULLIS_URL: the server to work on. */
  readonly serverUrl: string | undefined;
  /** Where `portcullis login` keeps an address and a token. */
  readonly credentialsFile: string;
  /** Whether a database is configured, or an embedded one is here. */
  readonly hasDatabase: boolean;
  readonly home: string;
  readonly flagsFolder: string;
  /** Whether those are the policy files that Portcullis ships, and nobody's own. */
  readonly flagsShipped: boolean;
  /** What is odd about the configuration, and does no harm. */
  readonly warnings: readonly string[];
  readonly http: { readonly host: string; readonly port: number };
  /** Where people open the console; absent: where HTTP is served. */
  readonly publicUrl: string | undefined;
  /** Where the installation's Grafana is. */
  readonly grafanaUrl: string | undefined;
  readonly logLevel: string;
  /** Where flags come from. */
  readonly flagSource: { readonly kind: 'embedded' | 'unleash'; readonly url?: string };
  /** The control database past a connection pooler. Has a password: never shown, never logged. */
  readonly directDatabaseUrl: string | undefined;
}

/** Names that a person may type, for completion. */
export interface Names {
  readonly jobs: readonly string[];
  readonly regions: readonly string[];
  readonly versions: readonly { readonly job: string; readonly version: string }[];
}

/** Something that is wrong with the jobs of a configuration file. */
export interface TrialFault {
  /** A job, a job in a region, or a file. */
  readonly what: string;
  readonly message: string;
  readonly hint?: string;
}

/** What came of trying the jobs of a configuration file. */
export interface TriedJobs {
  /** The configuration file. */
  readonly file: string;
  /** The jobs that it lists; none where it cannot be loaded. */
  readonly jobs: readonly string[];
  /** Each job's plan in each region, as far as they could be made. */
  readonly plans: readonly TriedPlan[];
  readonly faults: readonly TrialFault[];
  readonly policies: readonly { readonly file: string; readonly text: string }[];
  /** Whether the configuration file names a schema to plan on. */
  readonly onSchema: boolean;
}

/** What a build wrote. */
export interface BuiltJobs {
  /** The configuration file. */
  readonly file: string;
  /** How many files. */
  readonly files: number;
  readonly jobs: readonly { readonly job: string; readonly version: string }[];
}

/** What `portcullis init` was told, and how it asks for the rest. */
export interface InitOrder {
  readonly name?: string | undefined;
  /** The variable that holds the URL of the team's database. */
  readonly database?: string | undefined;
  /** The table whose rows percentages are of, and its column with their region. */
  readonly unit?: string | undefined;
  readonly region?: string | undefined;
  /** The table whose rows the job changes or deletes, and its column with the unit. */
  readonly table?: string | undefined;
  readonly unitColumn?: string | undefined;
  /** `set` or `delete`; the column that it looks at, and the values that it looks for and sets. */
  readonly action?: string | undefined;
  readonly column?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Overwrite files that are there. */
  readonly force: boolean;
  /**
   * Asks a person, and answers what was typed, or what is likely; undefined where the input has ended. `fault`: what was
   * wrong with the last answer. Absent: nobody is there, and what is likely is taken.
   */
  readonly ask?: (
    question: string,
    likely: string,
    options: readonly string[],
    fault: string | undefined,
  ) => Promise<string | undefined>;
}

/** What `portcullis init` wrote. */
export interface InitReport {
  readonly job: string;
  readonly variable: string;
  /** Whether the tables are those of the team's database, and not an example's. */
  readonly introspected: boolean;
  readonly written: readonly string[];
  /** Files that were there, and were left as they are. */
  readonly kept: readonly string[];
  /** What a package.json that was there lacked. */
  readonly completed: readonly string[];
  /** What a person must know or do besides. */
  readonly cautions: readonly string[];
}

/** What is done with the code of jobs before it is served. */
export interface Authoring {
  /** Writes a new project into the working folder: see src/app/init-project.ts. */
  init(order: InitOrder): Promise<InitReport>;
  /** Plans the jobs of a configuration file on a database of its own: see src/app/try-jobs.ts. */
  tryJobs(config: string | undefined): Promise<TriedJobs>;
  /** The same in a process of its own, which loads the jobs' code again. */
  tryJobsApart(config: string | undefined, signal: AbortSignal): Promise<TriedJobs>;
  /** Writes the jobs of a configuration file as JavaScript: see src/app/build-jobs.ts. */
  build(config: string | undefined, out: string): Promise<BuiltJobs>;
}

/** What `app.ts` wires, and the commands use. */
export interface App {
  readonly settings: Settings;
  /**
   * Opens what there is. Without the control database nothing is opened, except to kill: then regions are where the
   * policy files say.
   */
  open(purpose: Purpose, options?: Opening): Promise<Installation>;
  /** `quiet`: log only warnings, and for a person. */
  platform(installation: Installation, quiet?: boolean): Promise<OpenPlatform>;
  /** Flags as their source has them now. One that does not answer within seconds is named by `source()`. */
  flags(installation: Installation): Promise<FlagDesk & { close(): Promise<void> }>;
  serve(installation: Installation, options: ServeOptions): Promise<Service>;
  /** What the doctor finds in the databases, the jobs, the flags and the runs. */
  examine(installation: Installation): Promise<readonly Finding[]>;
  /** What names there are, where that can be read within so many milliseconds. Starts nothing. */
  names(ms: number): Promise<Names>;
  /** The policies in force, by job. One that is malformed is left out: its job is closed. */
  policies(installation: Installation): Promise<readonly Policy[]>;
  readonly authoring: Authoring;
}
