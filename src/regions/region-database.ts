import type pg from 'pg';
import type { Planner } from '../worker/planner-database.js';
import type { LoadedJob } from '../worker/registry.js';

/** A region database, by each of its logins. Several regions may share one. */
export interface RegionDatabase {
  /** How people know it: `control`, or the variable that holds its address. Never the address. */
  readonly name: string;
  /** May do everything: it migrates, kills and re-arms. */
  readonly owner: pg.Pool;
  /** The owner's login for kills; of a process that serves, connections that nothing else uses. */
  readonly kills: pg.Pool;
  /** Runs jobs: gates, runs, the journal and the jobs' own tables. */
  readonly worker: pg.Pool;
  /** Can only read: jobs plan through it. */
  readonly planner: Planner;
  /** Whether it has been reached and prepared. */
  readonly open: boolean;
  /**
   * A job of this program, checked against this database's tables: asked for where its policy has regions here, and
   * nowhere else. Throws JOB_INVALID, or JOB_UNKNOWN.
   */
  job(name: string): Promise<LoadedJob>;
  /** Resolves once the database has been reached and prepared. Until then all but the owner's login is refused. */
  prepare(): Promise<void>;
}

/** Which database each region has. */
export interface RegionDatabases {
  /** The region database of a region. One that no policy places stands beside the control plane. */
  of(region: string): RegionDatabase;
  /** Every region database, once. */
  all(): readonly RegionDatabase[];
}
