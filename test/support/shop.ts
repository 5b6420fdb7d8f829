import type { Change, Image, JobDefinition, Resource } from '../../src/sdk/contract.js';
import { elect } from '../../src/runs/election.js';
import { loadJob } from '../../src/worker/registry.js';
import { previewRestores, restoreRuns, type RestoreReport } from '../../src/worker/restore-runs.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import type { TestDatabase } from './database.js';
import { testPlatform, testPolicy } from './platform.js';
import type { Policy } from '../../src/flags/policy.js';

const { signal } = new AbortController();

/** A database of another team's: a schema `shop` with a table of units, which every login may read and write. */
export async function testShop(database: TestDatabase) {
  const { owner } = database;
  const platform = testPlatform(database);
  await owner.query(`
    create schema shop;
    create table shop.tenant (id text primary key, region text not null);
    insert into shop.tenant select 't' || n, 'here' from generate_series(1, 3) n`);
  let slot = 0;

  /** Lets every login do everything with what the schema has by now. */
  const grant = async (): Promise<void> => {
    const { rows } = await owner.query<{ role: string }>(
      `select role from portcullis_store.login where login in ('worker', 'planner')`,
    );
    for (const { role } of rows)
      await owner.query(
        `grant usage on schema shop to ${role}; grant select, insert, update, delete on all tables in schema shop to ${role};
         grant usage on all sequences in schema shop to ${role}`,
      );
  };

  /** A job with these resources; each is a kind of change. */
  const job = (
    resources: Readonly<Record<string, Resource>>,
    plan: JobDefinition['plan'] = async function* () {},
  ): JobDefinition => ({
    name: 'shop',
    version: '1.0.0',
    unit: { table: 'shop.tenant', key: 'id', region: 'region' },
    resources,
    kinds: Object.fromEntries(Object.keys(resources).map((name) => [name, name])),
    plan,
  });

  const load = (definition: JobDefinition) =>
    loadJob(owner, { definition, folder: new URL('.', import.meta.url), build: 'test' });

  const run = async (definition: JobDefinition, changes: Partial<Policy> = {}): Promise<RunReport> => {
    const loaded = await load(definition);
    platform.flags.open('shop', 'here', { version: loaded.version, permille: 1000 });
    slot += 1;
    const election = await elect(platform.region, {
      ...{ job: 'shop', version: loaded.version, region: 'here', slot: new Date(slot) },
      ...{ trigger: 'manual', worker: 'test', leaseMs: 20_000 },
    });
    if (!election.elected) throw new Error(election.why);
    const policy = testPolicy('shop', ['here'], {
      apply: { lanes: 2, batch: 3, firstBatches: [1] },
      ...changes,
    });
    const report = await executeRun(platform, loaded, policy, election.run, 'planning', { signal });
    if (!report) throw new Error('the run was given up');
    return report;
  };

  return {
    platform,
    grant,
    job,
    load,
    run,
    preview: async (id: string) => (await previewRestores(platform.region, [id]))[0]?.preview,
    restore: async (id: string, batch = 3): Promise<RestoreReport | undefined> =>
      (await restoreRuns(platform, [id], { signal, paceOf: () => ({ leaseMs: 20_000, batch }) }))[0],
    /** Every row of a table, as text, in order. */
    rowsOf: async (table: string): Promise<string[]> => {
      const { rows } = await owner.query<{ row: string }>(
        `select t::text as row from ${table} t order by t::text collate "C"`,
      );
      return rows.map(({ row }) => row);
    },
  };
}

/** A change of a shop's row. */
export function change(
  resource: string,
  key: Change['key'],
  before: Image | null,
  after: Image | null,
  unit = 't1',
): Change {
  return { resource, key, before, after, kind: resource, unit, evidence: {} };
}
