import type { JobDefinition } from './contract.js';

/** Registered symbols: what one copy of this package made is known to another. */
const ENV = Symbol.for('portcullis.env');
const CONFIG = Symbol.for('portcullis.config');

/** An environment variable, by name. It is read when the configuration is loaded, and its value is kept nowhere else. */
export interface EnvReference {
  readonly [ENV]: string;
}

/** A database that regions stand in. */
export interface DatabaseConfig {
  /**
   * The owner's URL: `env('PORTCULLIS_DATABASE_URL_CRM')`. Only a variable, never the URL itself: a policy places a
   * region by the variable's name, and a kill reads the variable without running this file.
   */
  readonly url: EnvReference;
}

/** What `portcullis check` and `portcullis dev` try jobs on, by paths from the configuration file. */
export interface DevelopmentConfig {
  /** SQL that makes the tables, and then rows to plan on. */
  readonly schema: string | readonly string[];
  /** SQL that lets Portcullis' roles use the tables; absent: what the jobs' declarations ask for. */
  readonly grants?: string;
}

/** What an installation of Portcullis runs. */
export interface ConfigDefinition {
  /** The jobs, each defined in a file of a folder of its own. */
  readonly jobs: readonly JobDefinition[];
  /** The databases that policies place regions in, by a name for people. None: all regions are in the control database. */
  readonly databases?: Readonly<Record<string, DatabaseConfig>>;
  /** Absent: `check` looks at the databases themselves, and `dev` has nothing to plan on. */
  readonly development?: DevelopmentConfig;
}

/** Names an environment variable. Nothing is read yet: every variable that is missing is reported at once, at load. */
export function env(name: string): EnvReference {
  return Object.freeze({ [ENV]: name });
}

/** What `portcullis.config.ts` exports as its default. */
export function defineConfig(definition: ConfigDefinition): ConfigDefinition {
  return Object.freeze({ ...definition, [CONFIG]: true });
}

/** Whether a value is what {@link defineConfig} made, in whichever copy of this package. */
export function isConfig(value: unknown): value is ConfigDefinition {
  return typeof value === 'object' && value !== null && CONFIG in value;
}

/** The name of the variable that {@link env} was given; undefined for anything else. */
export function variableOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !(ENV in value)) return undefined;
  return (value as EnvReference)[ENV];
}
