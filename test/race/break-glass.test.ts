import { beforeAll, describe, expect, test } from '@jest/globals';
import { grantBreakGlass } from '../../src/flags/break-glass.js';
import { newShortId } from '../../src/kernel/short-id.js';
import type { FaultPoint } from '../../src/kernel/fault-point.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import type { Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { batchesIn, changedRows, runIn } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';
import { stopped, wake } from './standing-still.js';

const database = await testDatabase();
const { owner } = database;
const JOB = 'domain-claim';
const SLOW = 'apply: { lanes: 1, batch: 1, firstBatches: [] }';
/** A batch for each change: the fifth finds the run well under way. */
const NTH = 5;
/**
 * What a machine may need from a plan to its fifth batch. Tried in this order: a longer one makes a test longer, and a
 * batch in whose middle nothing is heard for 30 s is ended by the server.
 */
const LEFT_S = [12, 25, 120];
/** All of them, and the processes, on the busiest of machines. */
const LONG_MS = 600_000;

const runOf = (region: string): string[] => ['run', JOB, '--region', region, '--json'];

let world: SampleWorld;
let version = '';
beforeAll(async () => {
  world = await sampleWorld(database, SLOW);
  // A rollout has admitted it to nothing; the flags give it everything.
  const { rows } = await owner.query<{ version: string }>(
    `update portcullis_control.admission set permille = 0 where job = $1 returning version`,
    [JOB],
  );
  version = rows[0]?.version ?? '';
});

/** Two people have agreed that the version may act for a region, for so long. */
async function grant(region: string, seconds: number): Promise<string> {
  const id = newShortId();
  await inTransaction(owner, (client) =>
    grantBreakGlass(client, {
      ...{ id, job: JOB, version, regions: [region], permille: 1000, forMs: seconds * 1_000 },
      ...{ reason: 'urgent', requestedBy: 'ann', approvedBy: 'bob' },
    }),
  );
  return id;
}

const regions = [...SAMPLE_REGIONS];

function nextRegion(): string {
  const region = regions.shift();
  if (region === undefined) throw new Error('the sample has no further region');
  return region;
}

/**
 * A run's process that stands still at the point, in a region of its own, under break-glass that has a while left when
 * the run is planned, however long the process took to start.
 */
async function stoppedUnder(
  point: FaultPoint,
): Promise<{ readonly region: string; readonly zombie: Running }> {
  for (const seconds of LEFT_S) {
    const region = nextRegion();
    await grant(region, 3_600);
    await owner.query(`
      create or replace function portcullis_region.soon_over() returns trigger language plpgsql as
        $$ begin new.break_glass_until := clock_timestamp() + interval '${seconds} s'; return new; end $$;
      create or replace trigger soon_over before update of break_glass_until on portcullis_region.plan
        for each row when (new.break_glass_until is not null) execute function portcullis_region.soon_over()`);
    try {
      return { region, zombie: await stopped(world, runOf(region), point, NTH) };
    } catch (error) {
      // It was over before the process had come so far.
      if (seconds === LEFT_S.at(-1)) throw error;
    } finally {
      await owner.query('drop trigger soon_over on portcullis_region.plan');
    }
  }
  throw new Error('unreachable');
}

/** Waits until the break-glass that the region's run rests on has ended, by that database's clock. */
async function over(region: string): Promise<void> {
  await until(
    'its break-glass is over',
    async () => {
      const { rowCount } = await owner.query(
        `select from portcullis_region.plan p join portcullis_region.run r on r.id = p.run
         where r.region = $1 and p.break_glass_until < clock_timestamp()`,
        [region],
      );
      return rowCount === 1;
    },
    130_000,
  );
}

describe('a run that rests on break-glass, whose process stands still while that ends', () => {
  test(
    'writes nothing more when it goes on before the fence',
    async () => {
      const { region, zombie } = await stoppedUnder('apply.before-fence');
      const before = await batchesIn(world, region);
      await over(region);
      expect((await wake(zombie)).code).toBe(3);
      expect(await runIn(world, region)).toMatchObject({
        status: 'stopped',
        reason: expect.stringContaining('break-glass that admitted this run ended') as unknown,
        batches: before,
      });
      expect(await changedRows(world, region)).toBe(before);
    },
    LONG_MS,
  );

  test(
    'loses the batch in whose middle it stood',
    async () => {
      const { region, zombie } = await stoppedUnder('apply.written');
      const before = await batchesIn(world, region);
      await over(region);
      expect((await wake(zombie)).code).toBe(3);
      expect(await runIn(world, region)).toMatchObject({ status: 'stopped', batches: before });
      expect(await changedRows(world, region)).toBe(before);
    },
    LONG_MS,
  );
});
