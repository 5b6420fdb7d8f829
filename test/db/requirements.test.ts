import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Change, JobDefinition } from '../../src/sdk/contract.js';
import { executeRun, type RunReport } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';

const database = await testDatabase();
const platform = testPlatform(database);
afterAll(() => platform.planner.close());

let region = '';
let regions = 0;
beforeEach(async () => {
  regions += 1;
  region = `region-${regions}`;
  await seedAccounts(database.owner, region, 4, 10);
});

const resting = (change: Change, image: Readonly<Record<string, string | null>>): Change => ({
  ...change,
  requires: [{ resource: 'organisation', key: change.unit, image }],
});

/** A job whose claims rest on their organisation's row; `meanwhile` happens when all is planned. */
function job(meanwhile: string | undefined, image = { suspended_at: null, consent: 'none' }): JobDefinition {
  const definition = claimEverything('claims', async function* (_, claims) {
    for await (const claim of claims) yield resting(claim, image);
    if (meanwhile !== undefined) await database.owner.query(meanwhile, [`${region}-org-2`]);
  });
  return {
    ...definition,
    resources: {
      ...definition.resources,
      organisation: {
        table: 'directory.organisation',
        key: 'id',
        changes: [],
        compares: ['suspended_at', 'consent', 'consent_at'],
      },
    },
  };
}

async function run(definition: JobDefinition): Promise<RunReport | undefined> {
  const loaded = await loadTestJob(platform, definition);
  platform.flags.open('claims', region, { version: loaded.version, permille: 1000 });
  const claim = {
    job: 'claims',
    version: loaded.version,
    region,
    trigger: 'manual',
    worker: 'test',
    leaseMs: 20_000,
  } as const;
  const election = await elect(platform.region, claim);
  if (!election.elected) throw new Error(election.why);
  return executeRun(platform, loaded, testPolicy('claims', [region]), election.run, 'planning', {
    signal: new AbortController().signal,
  });
}

describe('a change that rests on another row', () => {
  test('is applied while that row is as it was read', async () => {
    expect(await run(job(undefined))).toMatchObject({
      status: 'succeeded',
      applied: { claim: 40 },
      conflicts: 0,
    });
  });

  test('may go on when a column changes that it does not rest on', async () => {
    const other = `update directory.organisation set consent_at = now() where id = $1`;
    expect(await run(job(other))).toMatchObject({ applied: { claim: 40 } });
  });

  test.each([
    ['changes', `update directory.organisation set suspended_at = now() where id = $1`],
    ['changes back to nothing', `update directory.organisation set consent = 'all' where id = $1`],
    ['is gone', `delete from directory.organisation where id = $1`],
  ])('is a conflict when that row %s, which the conflict says', async (_, meanwhile) => {
    const report = await run(job(meanwhile));
    expect(report).toMatchObject({ status: 'succeeded', applied: { claim: 30 }, conflicts: 10 });
    const { rows } = await database.owner.query<{ refusal: string; state: string }>(
      `select distinct refusal, found->>'state' as state from portcullis_region.conflict where run = $1`,
      [report?.run.id],
    );
    expect(rows).toEqual([
      { refusal: `organisation ${region}-org-2 is no longer as it was read`, state: 'UNMANAGED' },
    ]);
  });

  test('is refused when the job did not declare what it rests on', async () => {
    const report = await run(job(undefined, { name: 'x' } as never));
    expect(report).toMatchObject({ status: 'refused', code: 'PLAN_INVALID' });
    expect(report?.reason).toMatch(/requires column name of organisation, which is not declared/);
  });
});
