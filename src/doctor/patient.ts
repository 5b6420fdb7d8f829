import type pg from 'pg';
import type { IdentitySettings } from '../access/identity-file.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import type { SourceView } from '../flags/flag-desk.js';
import type { Receiver } from '../notify/receivers.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import { isUnreachable } from '../postgres/pool.js';
import type { UnreachableDatabase } from '../regions/query-regions.js';
import type { RegionDatabases } from '../regions/region-database.js';
import type { Finding as JobFinding } from '../sdk/contract.js';
import type { WorkerContext } from '../worker/platform.js';
import type { KnownJob } from '../worker/registry.js';

/** What the doctor found, and the check that found it. */
export interface Finding extends JobFinding {
  readonly check: string;
}

/** A finding as a check answers it: where it names none, the check's own name is added. */
export type Found = JobFinding & Partial<Pick<Finding, 'check'>>;

/** One thing that can be wrong. A check that throws counts as failed, with what it threw. */
export interface Check<Of> {
  readonly name: string;
  examine(of: Of): Promise<readonly Found[]>;
}

/** An installation that could be opened. */
export interface Patient {
  readonly control: pg.Pool;
  readonly regionDatabases: RegionDatabases;
  readonly databases: readonly DatabaseSetup[];
  readonly jobs: readonly KnownJob[];
  /** PORTCULLIS_CONCURRENT_RUNS. */
  readonly concurrentRuns: number;
  /** Where flags come from. */
  readonly flagSource: { readonly kind: 'embedded' | 'unleash'; readonly url?: string };
  /** The control database past a connection pooler. Has a password: never shown, never logged. */
  readonly directDatabaseUrl: string | undefined;
  /** Who signs in by which provider, as configured here; absent: nobody does. Throws CONFIG_INVALID. */
  readonly identity?: (() => IdentitySettings) | undefined;
  /** Where notifications go, as configured here; absent: nowhere. Has secrets. Throws CONFIG_INVALID. */
  readonly receivers?: (() => readonly Receiver[]) | undefined;
  /** PORTCULLIS_PUBLIC_URL. */
  readonly publicUrl?: string | undefined;
  /** The control database, without its password. Absent: whoever asks is not told where databases are. */
  readonly address?: string | undefined;
}

/** What a process that runs jobs hears, and what its jobs ask. */
export interface Hearing extends Pick<WorkerContext, 'flags' | 'clients'> {
  /** The flag source as it was heard. */
  readonly source: SourceView;
}

/** An error as whoever asks may read it: one of a network or of a login names an address. */
export function reasonFor({ address }: Pick<Patient, 'address'>, error: unknown): string {
  const told = address !== undefined || !namesAddress(error);
  return told ? messageOf(error) : 'the server cannot reach its database; its log says why';
}

function namesAddress(error: unknown): boolean {
  return isUnreachable(error) || (error instanceof PortcullisError && error.code === 'DATABASE_REFUSED');
}

/** The region databases that could not be examined. */
export function unreachableFindings(
  { address }: Pick<Patient, 'address'>,
  unreachable: readonly UnreachableDatabase[],
): Found[] {
  return unreachable.map(({ database, reason }) => ({
    mark: 'fail',
    found: `${database} cannot be reached${address === undefined ? '' : `: ${reason}`}`,
    hint: 'check that its server runs and that it can be reached from here; its gates close by themselves meanwhile',
  }));
}

/** What could not be looked at, and what its error says to do. */
export function failed(check: string, found: string, error: unknown): Finding {
  const hint = error instanceof PortcullisError ? error.hint : undefined;
  return { check, mark: 'fail', found, ...(hint !== undefined && { hint }) };
}
