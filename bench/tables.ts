import type pg from 'pg';
import type { Change } from '#dist/sdk/contract.js';
import { claimFlag, claimJob } from './claim-job.js';
import { fillRegion, WARM_UP } from './directory.js';
import type { InstalledJob } from '#dist/worker/registry.js';

/** A table that the job of the benches changes: plain, with triggers, or by a key of several columns. */
export interface BenchTable {
  /** Behind a bench's name: `-triggers`. */
  readonly suffix: '' | '-triggers' | '-composite';
  /** Behind what a bench says that it measures. */
  readonly what: string;
  /** Whether a row's key is its region and its id. */
  readonly composite: boolean;
  /** Made on the filled directory, for both sides. */
  readonly sql: string;
}

export const PLAIN: BenchTable = { suffix: '', what: '', composite: false, sql: '' };

/** One trigger alters the row before it is stored, so that it is stored otherwise than planned; one writes another table. */
export const TRIGGERS: BenchTable = {
  suffix: '-triggers',
  what: ', on a table with two triggers',
  composite: false,
  sql: `
    create table directory.account_log (account text, state text);
    create function directory.rounds() returns trigger language plpgsql as
      $$ begin new.claimed_at := date_trunc('second', new.claimed_at); return new; end $$;
    create function directory.tells() returns trigger language plpgsql as
      $$ begin insert into directory.account_log values (new.id, new.state); return null; end $$;
    create trigger rounds before update on directory.account for each row execute function directory.rounds();
    create trigger tells after update on directory.account for each row execute function directory.tells()`,
};

export const COMPOSITE: BenchTable = {
  suffix: '-composite',
  what: ', by a key of two columns',
  composite: true,
  sql: 'create unique index account_by_region on directory.account (home_region, id)',
};

/** The job of the benches on such a table. */
export function claimJobOn({ composite }: BenchTable): InstalledJob {
  const plain = claimJob();
  if (!composite) return plain;
  const { account } = plain.definition.resources;
  if (!account) throw new Error('the job has no accounts');
  return {
    ...plain,
    definition: {
      ...plain.definition,
      resources: { account: { ...account, key: ['home_region', 'id'] } },
      plan: (context) => keyed(context.region, plain.definition.plan(context)),
    },
  };
}

async function* keyed(region: string, changes: AsyncIterable<Change>): AsyncGenerator<Change> {
  for await (const change of changes) yield { ...change, key: [region, String(change.key)] };
}

/** Fills a directory that has such a table, and a region to warm up with. */
export async function fillOn(
  owner: pg.Pool,
  table: BenchTable,
  region: string,
  changes: number,
): Promise<void> {
  const flag = await claimFlag();
  await fillRegion(owner, region, changes, flag);
  await fillRegion(owner, WARM_UP.region, WARM_UP.accounts, flag);
  if (table.sql !== '') await owner.query(table.sql);
}

/** A template's name: of a bench, its table, and in lower case without hyphens. */
export function named(bench: string, { suffix }: BenchTable): string {
  return `${bench}${suffix.replace('-', '_')}`;
}
