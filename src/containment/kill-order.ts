/** What to kill, where, who wants it and why. */
export interface KillOrder {
  readonly job: string;
  readonly region: string;
  readonly reason: string;
  readonly by: string;
  /** Stop restores too: `stop --all`. */
  readonly restoresToo?: boolean;
  /** For practice. */
  readonly drill?: boolean;
  /** Only this version: it is quarantined in the region, and the gate stays open for others. */
  readonly version?: string;
  /** The id (a UUID) of the row that the kill's own transaction leaves for the audit log; absent: it leaves none. */
  readonly record?: string;
}

/** A kill order as a table keeps it until it is carried out, or recorded. */
export interface KeptOrder {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  /** Null: the job, whatever its version. */
  readonly version: string | null;
  readonly restoresToo: boolean;
  readonly drill: boolean;
  readonly reason: string;
  readonly by: string;
  readonly at: Date;
}

/** A kept order as it was given. */
export function orderOf({ job, region, version, restoresToo, drill, reason, by }: KeptOrder): KillOrder {
  return { job, region, restoresToo, drill, reason, by, ...(version !== null && { version }) };
}
