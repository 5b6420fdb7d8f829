import type pg from 'pg';
import type { DropGate } from '../guard/bake/drop-gate.js';
import type { LoadedJob } from '../jobs/registry.js';
import type { RegionPlanes } from '../planes/region-plane.js';
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

/** A flag's state, as its source of truth has it. */
export interface FlagInfo {
  readonly name: string;
  readonly job: string;
  readonly region: string;
  readonly enabled: boolean;
  readonly variants: readonly { readonly version: string; readonly permille: number }[];
  readonly revision: number;
  readonly reason: string;
  readonly changedBy: string;
  readonly changedAt: string;
  /** What is wrong with what the source has; such a flag is closed. */
  readonly malformed?: string;
}

export interface FlagSetting {
  readonly job: string;
  readonly region: string;
  readonly enabled?: boolean;
  readonly variants?: readonly { readonly version: string; readonly permille: number }[];
  readonly reason: string;
  readonly changedBy: string;
  readonly ifRevision?: number;
}

/** What the API needs of flags. */
export interface FlagDesk {
  list(): Promise<readonly FlagInfo[]>;
  /** Throws JOB_UNKNOWN, REGION_UNKNOWN, POLICY_MISSING, POLICY_INVALID, FLAG_CHANGE_INVALID or FLAG_REVISION_STALE. */
  set(setting: FlagSetting): Promise<FlagInfo>;
  /** What this process would answer a gate about the flag now. */
  look(
    name: string,
  ): { readonly open: true } | { readonly open: false; readonly code: string; readonly reason: string };
}

export interface HttpDeps {
  /** The control plane. May read and touch API tokens: the owner's login. */
  readonly control: pg.Pool;
  readonly planes: RegionPlanes;
  /** Drops a gate for an alert. */
  readonly dropGate: DropGate;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly flags: FlagDesk;
  /** Whether flags come from elsewhere, where a rollout can't set them. Default: they don't. */
  readonly foreignFlags?: boolean;
  readonly jobs: () => readonly JobInfo[];
  /** The jobs themselves: their resources are what can be asked about as of a moment. */
  readonly installed: () => readonly LoadedJob[];
  /** Why this process is not ready; empty when it is. See `createReadiness`. */
  readonly readiness: () => Promise<readonly string[]>;
}
