import pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import { PortcullisError } from '../kernel/errors.js';
import { LOCKS } from '../postgres/locks.js';
import { inTransaction } from '../postgres/pool.js';
import type { JobDefinition, JobSample, SampleContext, OwnerSql } from '../sdk/contract.js';

/** A job that brings a sample. */
export type SampledJob = JobDefinition & { readonly sample: JobSample };

export function bringsSample(definition: JobDefinition): definition is SampledJob {
  return definition.sample !== undefined;
}

/** `absent`: a table is not there. `others`: there are rows that no sample of the job made. */
export type SampleState = 'absent' | 'empty' | 'sample' | 'others';

type Database = pg.Pool | pg.PoolClient;

const FILL_MS = 120_000;

/** What a database has of a job's sample. */
export async function sampleState(
  database: Database,
  { unit, resources, sample }: SampledJob,
): Promise<SampleState> {
  const tables = tablesOf({ unit, resources });
  const { rows: there } = await database.query<{ all: boolean }>(
    `select bool_and(to_regclass(name) is not null) as "all" from unnest($1::text[]) name`,
    [tables],
  );
  if (there[0]?.all !== true) return 'absent';
  const { rows } = await database.query<{ units: boolean | null; rows: boolean }>(
    `select (select bool_and(starts_with(${pg.escapeIdentifier(unit.key)}::text, $1)) from ${quoteTable(unit.table)}) as units,
       ${tables.map((table) => `exists (select from ${table})`).join(' or ')} as rows`,
    [sample.units],
  );
  const [found] = rows;
  if (found?.rows === false) return 'empty';
  return found?.units === true ? 'sample' : 'others';
}

/**
 * Fills the tables of a job with its sample where they are empty. Answers whether it did; several at once fill them once.
 * Throws JOB_INVALID, and leaves nothing behind, where what it made is not what the job's declaration says.
 */
export async function fillSample(
  owner: pg.Pool,
  job: SampledJob,
  context: Omit<SampleContext, 'sql'>,
): Promise<boolean> {
  const filled = await inTransaction(owner, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [LOCKS.sample]);
    if ((await sampleState(client, job)) !== 'empty') return false;
    await client.query(`set local statement_timeout = ${FILL_MS}`);
    await job.sample.fill({ ...context, sql: ownerSql(client) });
    if ((await sampleState(client, job)) === 'sample') return true;
    throw new PortcullisError(
      'JOB_INVALID',
      `${job.name}: its sample must make units, each with a key that begins with ${JSON.stringify(job.sample.units)}`,
      { hint: 'correct the job’s sample; nothing was written' },
    );
  });
  if (filled) await owner.query(`analyze ${tablesOf(job).join(', ')}`);
  return filled;
}

/** Has a sample go on in a region, where the database is one. Answers whether it did. */
export function goOnSample(owner: pg.Pool, job: SampledJob, region: string): Promise<boolean> {
  if (!('goOn' in job.sample)) return Promise.resolve(false);
  return inTransaction(owner, async (client) => {
    if ((await sampleState(client, job)) !== 'sample') return false;
    await job.sample.goOn?.({ sql: ownerSql(client), region });
    return true;
  });
}

export function ownerSql(client: pg.PoolClient): OwnerSql {
  return async (text: string | TemplateStringsArray, ...rest: readonly unknown[]) => {
    const [query, values] =
      typeof text === 'string'
        ? [text, rest[0] ?? []]
        : [text.reduce((all, part, at) => `${all}$${at}${part}`), rest];
    return (await client.query<object>(query, values as unknown[])).rows;
  };
}

function tablesOf({ unit, resources }: Pick<JobDefinition, 'unit' | 'resources'>): string[] {
  return [...new Set([unit, ...Object.values(resources)].map(({ table }) => quoteTable(table)))];
}
