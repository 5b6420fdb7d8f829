import { z } from 'zod';
import type { TokenHolder } from '../access/tokens.js';
import { PortcullisError } from '../kernel/errors.js';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';
import { within } from '../kernel/within.js';
import { databaseTime } from '../postgres/database-clock.js';
import { isUnreachable } from '../postgres/pool.js';
import type { OperationContext } from './context.js';

/** How long the control database may take to answer before a kill goes past it; the same for who calls and for what to kill. */
const CONTROL_MS = 2_000;
/** A reading waits longer: what it shows would be less. */
export const VERIFIED_MS = 5_000;
const READING_MS = 10_000;
const LOOK_MS = 50;
/** How long a region's database may take to tell which gates it has. */
const GATES_MS = 1_000;

/**
 * What the control database answers. Throws DATABASE_UNREACHABLE once it has been silent for two seconds, or as long as
 * `ms` says. They are counted in short looks: while this process itself stands still, the database is not silent.
 */
export async function answerOfControl<T>(ask: () => Promise<T>, ms = CONTROL_MS): Promise<T> {
  let looks = 0;
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, fail) => {
    timer = setInterval(() => {
      looks += 1;
      if (looks * LOOK_MS >= ms) fail(controlSilent(ms));
    }, LOOK_MS);
  });
  try {
    return await Promise.race([ask(), silence]);
  } finally {
    clearInterval(timer);
  }
}

function controlSilent(ms: number): PortcullisError {
  return new PortcullisError(
    'DATABASE_UNREACHABLE',
    `the control database did not answer within ${ms / 1_000} s`,
  );
}

/** What a kill asks of the control database; undefined where that does not answer: then the kill goes past it. */
export async function askControl<T>(
  caller: TokenHolder,
  ask: () => Promise<T>,
  ms = CONTROL_MS,
): Promise<T | undefined> {
  if (caller.remembered === true) return undefined;
  try {
    return await answerOfControl(ask, ms);
  } catch (error) {
    if (isUnreachable(error)) return undefined;
    throw error;
  }
}

/** What a reading asks of the control database; undefined where that does not answer: then the regions alone answer. */
export function readControl<T>(caller: TokenHolder, ask: () => Promise<T>): Promise<T | undefined> {
  return askControl(caller, ask, READING_MS);
}

/** Said of an answer that the region databases alone gave. */
export const regionsAlone = z
  .boolean()
  .describe(
    'the control database did not answer: flags, rollouts, pending kills and whether workers serve a version are not known; policies are as this process read them last',
  );

/** A region database's time, for an answer that the regions alone give. Throws DATABASE_UNREACHABLE where none answers. */
export async function timeWithoutControl({
  regionDatabases,
}: Pick<OperationContext, 'regionDatabases'>): Promise<Date> {
  const asked = regionDatabases.all().map(async ({ worker }) =>
    within(
      GATES_MS,
      () => databaseTime(worker),
      () => new Error('too late'),
    ),
  );
  return Promise.any(asked).catch((error: unknown) => {
    throw new PortcullisError('DATABASE_UNREACHABLE', 'no database answered', {
      hint: 'check that the servers run and that the network reaches them',
      cause: error,
    });
  });
}

/** The policies as this process read them last. */
export function policiesWithoutControl({
  jobs,
}: Pick<OperationContext, 'jobs'>): { job: string; regions: readonly string[]; schedule: string | null }[] {
  return jobs().map(({ name: job, regions, schedule }) => ({ job, regions, schedule }));
}

/** For ever on the gate, its runs, the incident and the record: that the kill went past the control database. */
export function passingControl(reason: string): string {
  return `break-glass, without the control database: ${reason}`;
}

/**
 * The regions of every job that can be known without the control database: of the policies as this process has them, and
 * of the gates in the region databases that answer.
 */
export async function gatesWithoutControl({
  jobs,
  regionDatabases,
}: Pick<OperationContext, 'jobs' | 'regionDatabases'>): Promise<Map<string, string[]>> {
  const found = jobs().flatMap(({ name, regions }) => regions.map((region) => ({ job: name, region })));
  const asked = regionDatabases.all().map((regionDatabase) =>
    within(
      GATES_MS,
      async () => {
        const { rows } = await regionDatabase.kills.query<{ job: string; region: string }>(
          'select job, region from portcullis_region.gate',
        );
        return rows.filter(({ region }) => regionDatabases.of(region) === regionDatabase);
      },
      () => new Error('too late'),
    ),
  );
  for (const answer of await Promise.allSettled(asked))
    if (answer.status === 'fulfilled') found.push(...answer.value);
  const gates = new Map<string, string[]>();
  for (const { job, region } of found)
    gates.set(job, [...new Set([...(gates.get(job) ?? []), region])].sort());
  return gates;
}

/** The regions of a job that a kill is meant for. Throws JOB_UNKNOWN or REGION_UNKNOWN. */
export async function regionsWithoutControl(
  context: Pick<OperationContext, 'jobs' | 'regionDatabases'>,
  job: string,
  region: string | undefined,
): Promise<readonly string[]> {
  const gates = await gatesWithoutControl(context);
  const known = gates.get(job);
  if (known === undefined) throw unknownName('JOB_UNKNOWN', 'job', job, [...gates.keys()]);
  if (region === undefined) return known;
  requireRegion(region, known);
  return [region];
}
