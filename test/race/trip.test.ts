import { beforeAll, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../src/audit/verify.js';
import type { TripFaultPoint } from '../../src/kernel/fault-point.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { commitOrder, watchCommitOrder } from './commit-order.js';
import { changedRows, endLeases, runIn } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';

/** One conflict is one too many, and trips the run while its two lanes write. */
const GUARD = '{ caps: [], rules: [{ kind: rate, name: conflicts, of: conflicts, acceptable: 0% }] }';
const SMALL = 'apply: { lanes: 2, batch: 20, firstBatches: [] }';
const [REGION] = SAMPLE_REGIONS;

// A type-checked list: a fault point that is added is met here too.
const POINTS = Object.keys({
  'trip.written': true,
  'trip.fenced': true,
  'trip.quarantined': true,
  'trip.recorded': true,
  'trip.run-ended': true,
} satisfies Record<TripFaultPoint, true>) as TripFaultPoint[];

// A trip quarantines its version in every region, so that each needs a world of its own.
const databases = await Promise.all(POINTS.map(() => testDatabase()));

/**
 * As the first batch commits, somebody else changes the account of each lane's last claim but ten: the lane
 * meets it when some of its batches have committed.
 */
async function meddle({ database: { owner } }: SampleWorld): Promise<void> {
  await owner.query(`
    create function public.meddle() returns trigger language plpgsql security definer as $$
    begin
      update directory.account a set email = 'meddled-' || a.email
      from portcullis_region.lane l
      cross join lateral (
        select key from portcullis_region.change c
        where c.run = l.run and c.lane = l.lane and c.kind = 'claim' order by seq desc offset 10 limit 1) claim
      where l.run = new.run and a.id = claim.key;
      return null;
    end $$;
    create trigger meddle after insert on portcullis_region.batch
      for each row when (new.lane = 0 and new.from_seq = 0) execute function public.meddle()`);
}

/** All that a trip leaves behind, in its region and everywhere. */
async function leftBehind({ database: { owner } }: SampleWorld) {
  const ask = async (sql: string): Promise<Record<string, unknown>[]> =>
    (await owner.query<Record<string, unknown>>(sql)).rows;
  return {
    gate: await ask(`select state from portcullis_region.gate where region = '${REGION}'`),
    quarantined: await ask(`select count(*) as versions from portcullis_region.quarantine`),
    quarantinedIn: await ask(
      `select array(select unnest(quarantined) order by 1) as regions from portcullis_region.trip`,
    ),
    shares: await ask(`select distinct variants from portcullis_control.flag`),
    trips: await ask(
      `select t.stage, t.run is not null as of_a_run, c.id is not null as recorded
       from portcullis_region.trip t left join portcullis_control.trip c using (id)`,
    ),
    incidents: await ask(`select cause, version is not null as blamed from portcullis_control.incident`),
    notices: await ask(`select kind from portcullis_control.notice where kind = 'trip'`),
    audited: await ask(`select action from portcullis_control.audit where action = 'trip'`),
  };
}

const AFTER = {
  gate: [{ state: 'killed' }],
  quarantined: [{ versions: 1 }],
  quarantinedIn: [{ regions: [...SAMPLE_REGIONS].sort() }],
  shares: [{ variants: [] }],
  trips: [{ stage: 'apply', of_a_run: true, recorded: true }],
  incidents: [{ cause: 'trip', blamed: true }],
  notices: [{ kind: 'trip' }],
  audited: [{ action: 'trip' }],
};

describe('a trip whose process is killed', () => {
  const worlds: SampleWorld[] = [];
  const batchesAtDeath: number[] = [];

  beforeAll(async () => {
    // One world after the other: making one keeps a machine busy enough.
    for (const [at, point] of POINTS.entries()) {
      const database = databases[at];
      if (!database) throw new Error('there is no database');
      const world = await sampleWorld(database, SMALL, GUARD);
      await watchCommitOrder(database.owner);
      await meddle(world);
      worlds.push(world);
      const dies = portcullis(['run', 'domain-claim', '--region', REGION], {
        killAt: `${point}:1`,
        env: world.env,
      });
      expect(await dies.finished).toMatchObject({ signal: 'SIGKILL' });
      batchesAtDeath.push((await runIn(world, REGION)).batches);
      await endLeases(world);
      portcullis(['worker'], { env: { ...world.env, PORTCULLIS_LOG_LEVEL: 'warn' } });
    }
  }, 400_000);

  test.each(POINTS.map((point, at) => [point, at] as const))(
    'at %s is brought to its end by another',
    async (_point, at) => {
      const world = worlds[at];
      if (!world) throw new Error('there is no world');
      const { owner } = world.database;
      await until(
        'the trip is settled and its run is over',
        async () => {
          const { rows } = await owner.query(
            `select from portcullis_region.trip t join portcullis_region.run r on r.id = t.run
             where t.settled_at is not null and r.status not in ('planning', 'applying')`,
          );
          return rows.length === 1;
        },
        120_000,
      );
      expect(await leftBehind(world)).toEqual(AFTER);
      expect(await verifyAudit(owner)).toMatchObject({ ok: true });

      const run = await runIn(world, REGION);
      expect(run).toMatchObject({ status: 'killed' });
      expect(run.reason).toContain('; none is allowed');
      // It was in the midst of writing, and wrote no more: not until the fence, and not after it.
      expect(run.batches).toBeGreaterThan(0);
      expect(run.batches).toBe(batchesAtDeath[at]);
      const order = await commitOrder(owner, run.id);
      expect(order).toMatchObject({ late: 0, batches: run.batches });
      const { rows } = await owner.query<{ planned: number; conflicts: number; meddled: number }>(
        `select (select count(*) from portcullis_region.change where run = $1) as planned,
           (select count(*) from portcullis_region.conflict where run = $1) as conflicts,
           (select count(*) from directory.account
            where starts_with(email, 'meddled-') and state = 'UNMANAGED') as meddled`,
        [run.id],
      );
      expect(order.changes).toBeLessThan(rows[0]?.planned ?? 0);
      // One conflict for the batch that tripped. A lane that was ahead may have claimed its account before it
      // was meddled with: such a row has changed once.
      expect(rows[0]?.conflicts).toBe(1);
      expect(await changedRows(world, REGION)).toBe(order.changes - 1 + (rows[0]?.meddled ?? NaN));
    },
    180_000,
  );
});
