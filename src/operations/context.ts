import type pg from 'pg';
import type { Workflows } from '../access/workflows.js';
import type { Finding } from '../doctor/patient.js';
import type { EventFeed } from '../events/follow.js';
import type { FlagAnswer } from '../flags/definition.js';
import type { FlagDesk } from '../flags/flag-desk.js';
import type { Policy } from '../flags/policy.js';
import type { DropGate } from '../containment/drop-gate.js';
import { unknownName } from '../kernel/unknown-name.js';
import type { KnownJob } from '../worker/registry.js';
import type { JobFiles } from './job-files.js';
import type { RegionDatabases } from '../regions/region-database.js';
import type { Log } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface JobInfo {
  readonly name: string;
  readonly version: string;
  /** Cron in UTC; null where no policy schedules the job. */
  readonly schedule: string | null;
  readonly regions: readonly string[];
  readonly kinds: readonly string[];
}

/** The installed jobs, with what their policies say of them. */
export function jobInfos(jobs: readonly KnownJob[], policies: readonly Policy[]): JobInfo[] {
  return jobs.map(({ definition: { name, kinds }, version }) => {
    const { schedule = null, regions = [] } = policies.find(({ job }) => job === name) ?? {};
    return { name, version, schedule, regions, kinds: Object.keys(kinds) };
  });
}

/** A job whose code is here. Throws JOB_UNKNOWN with the nearest name. */
export function installedJob({ installed }: Pick<OperationContext, 'installed'>, name: string): KnownJob {
  const jobs = installed();
  const names = jobs.map(({ definition }) => definition.name);
  const found = jobs[names.indexOf(name)];
  if (found === undefined) throw unknownName('JOB_UNKNOWN', 'job', name, names);
  return found;
}

/** What operations need of flags. */
export interface OperationFlags extends FlagDesk {
  /** What this process would answer a gate about the flag now. */
  look(name: string): FlagAnswer;
  /** The version that the flag gives to one unit, or `hold`, with why where it cannot be evaluated. */
  evaluate(name: string, unit: string): Promise<{ readonly value: string; readonly errorMessage?: string }>;
}

/** What operations work on. */
export interface OperationContext {
  /** The control database. May read and touch API tokens: the owner's login. */
  readonly control: pg.Pool;
  readonly regionDatabases: RegionDatabases;
  /** Tells what changes to all who follow it. */
  readonly feed: EventFeed;
  /** The workflows that are given tokens; absent: none. */
  readonly workflows?: Workflows | undefined;
  /** Where the installation's Grafana is; absent: it names none. */
  readonly grafanaUrl?: string | undefined;
  /** To how many addresses this process sends notifications; undefined: it sends none, another does. */
  readonly receivers: number | undefined;
  /** Drops a gate for an alert. */
  readonly dropGate: DropGate;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Whether whoever calls has the databases' addresses anyhow, and is told why one cannot be reached. */
  readonly showsReasons?: boolean | undefined;
  readonly flags: OperationFlags;
  /** Where flags are, if not in the control database. */
  readonly flagsAt?: string | undefined;
  readonly jobs: () => readonly JobInfo[];
  /** The jobs themselves: their resources are what can be asked about as of a moment. */
  readonly installed: () => readonly KnownJob[];
  /** The jobs that bring files of their own. */
  readonly files: readonly JobFiles[];
  /** The longest upload. */
  readonly uploadBytes: number;
  /** Why this process is not ready; empty when it is. See `createReadiness`. */
  readonly readiness: () => Promise<readonly string[]>;
  /** What the doctor finds, as far as whoever calls may know it. See `examine`. */
  readonly examine: () => Promise<readonly Finding[]>;
}
