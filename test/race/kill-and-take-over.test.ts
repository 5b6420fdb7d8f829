import { beforeAll, describe, expect, test } from '@jest/globals';
import type { RunFaultPoint } from '../../src/kernel/fault-point.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { endLeases } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';

/** Batches small enough that every fault point is met several times. */
const SMALL = 'apply: { lanes: 2, batch: 20, firstBatches: [1] }';

/** Where a run's process dies, and how often it has met the place by then. */
const POINTS: readonly [point: RunFaultPoint, nth: number][] = [
  ['run.elected', 1],
  ['plan.started', 1],
  ['plan.copied', 1],
  ['plan.judged', 1],
  ['plan.before-commit', 1],
  ['plan.committed', 1],
  ['run.reserved', 1],
  ['plan.before-begin', 1],
  ['apply.before-fence', 1],
  ['apply.before-fence', 7],
  ['apply.fenced', 5],
  ['apply.written', 5],
  ['apply.committed', 1],
  ['apply.committed', 9],
  ['run.before-finish', 1],
];
// A type-checked reminder: a fault point that is added must be added here, or to the test of finished runs.
const covered: Record<RunFaultPoint, true> = {
  'run.elected': true,
  'plan.started': true,
  'plan.copied': true,
  'plan.judged': true,
  'plan.before-commit': true,
  'plan.committed': true,
  'run.reserved': true,
  'plan.before-begin': true,
  'apply.before-fence': true,
  'apply.fenced': true,
  'apply.written': true,
  'apply.committed': true,
  'run.before-finish': true,
  'run.finished': true,
};

const databases = [await testDatabase(), await testDatabase(), await testDatabase()];

interface RunRow {
  readonly id: string;
  readonly status: string;
  readonly reason: string;
  readonly attempt: number;
  readonly planned: Record<string, number>;
  readonly applied: Record<string, number>;
}

async function onlyRun({ database }: SampleWorld, region: string): Promise<RunRow> {
  const { rows } = await database.owner.query<RunRow>(
    `select id, status, reason, attempt, planned, applied from portcullis_region.run
     where region = $1 and not dry_run`,
    [region],
  );
  expect(rows).toHaveLength(1);
  const [row] = rows;
  if (!row) throw new Error('there is no run');
  return row;
}

/** What a person would check by hand: the journal against the tables, both ways, row by row. */
async function expectAgreement({ database }: SampleWorld, run: RunRow, region: string): Promise<void> {
  const count = async (sql: string): Promise<number> => {
    const { rows } = await database.owner.query<{ n: number }>(
      sql,
      sql.includes('$2') ? [run.id, region] : [run.id],
    );
    return rows[0]?.n ?? -1;
  };
  // Each lane was applied in stretches that follow on one another, from its first change to its last.
  expect(
    await count(`select count(*) as n from (
      select b.*, lag(to_seq, 1, 0) over (partition by lane order by to_seq) as previous
      from portcullis_region.batch b where run = $1) b
      where from_seq <> previous`),
  ).toBe(0);
  expect(
    await count(`select count(*) as n from portcullis_region.lane l
      where run = $1 and (applied_seq <> last_seq
        or last_seq <> (select max(to_seq) from portcullis_region.batch b where b.run = l.run and b.lane = l.lane)
        or last_seq <> (select count(*) from portcullis_region.change c where c.run = l.run and c.lane = l.lane))`),
  ).toBe(0);
  for (const table of ['account', 'domain']) {
    // Every change that is not a conflict is in its row, timestamps compared as the same moment.
    expect(
      await count(`select count(*) as n from portcullis_region.change c
        join directory.${table} t on t.id = c.key
        where c.run = $1 and c.resource = '${table}'
          and not exists (select from portcullis_region.conflict x where (x.run, x.lane, x.seq) = (c.run, c.lane, c.seq))
          and to_jsonb(jsonb_populate_record(t, c.after)) <> to_jsonb(t)`),
    ).toBe(0);
    // Every row that is not as it was has a change in this run, whose before-image is what it was.
    expect(
      await count(`select count(*) as n from directory.${table} t
        join directory.${table}_before b using (id)
        left join portcullis_region.change c on c.run = $1 and c.resource = '${table}' and c.key = t.id
        where t.home_region = $2 and to_jsonb(t) <> to_jsonb(b)
          and (c.run is null or to_jsonb(jsonb_populate_record(b, c.before)) <> to_jsonb(b))`),
    ).toBe(0);
  }
}

describe('a run whose process is killed', () => {
  const worlds: SampleWorld[] = [];
  beforeAll(async () => {
    for (const database of databases) worlds.push(await sampleWorld(database, SMALL));
    const cases = POINTS.map(([point, nth], at) => ({
      point,
      nth,
      world: worlds[at % worlds.length],
      region: SAMPLE_REGIONS[Math.floor(at / worlds.length)] ?? '',
    }));
    // Two at a time, in two worlds: they die by themselves.
    for (let at = 0; at < cases.length; at += 2) {
      await Promise.all(
        cases.slice(at, at + 2).map(async ({ world, region, point, nth }) => {
          const dead = await portcullis(['run', 'domain-claim', '--region', region], {
            killAt: `${point}:${nth}`,
            env: world?.env ?? {},
          }).finished;
          expect(dead).toMatchObject({ signal: 'SIGKILL' });
        }),
      );
    }
    for (const world of worlds) await endLeases(world);
    // One real worker for each world takes them all over.
    for (const { env } of worlds) portcullis(['worker'], { env: { ...env, PORTCULLIS_LOG_LEVEL: 'warn' } });
    // Fourteen processes, one after the other where the machine is busy.
  }, 600_000);

  test('is met at every fault point there is', () => {
    expect(Object.keys(covered).sort()).toEqual(
      [...new Set([...POINTS.map(([point]) => point), 'run.finished'])].sort(),
    );
  });

  test.each(POINTS.map(([point, nth], at) => [point, nth, at] as const))(
    'at %s (%i) is finished by another, each change exactly once',
    async (_point, _nth, at) => {
      const world = worlds[at % worlds.length];
      const region = SAMPLE_REGIONS[Math.floor(at / worlds.length)] ?? '';
      if (!world) throw new Error('there is no world');
      const run = await until(`the run in ${region} is over`, async () => {
        const row = await onlyRun(world, region);
        return row.status === 'planning' || row.status === 'applying' ? undefined : row;
      });
      expect(run).toMatchObject({ status: 'succeeded', attempt: 2 });
      expect(run.planned['claim']).toBeGreaterThan(100);
      expect(run.applied).toEqual(run.planned);
      await expectAgreement(world, run, region);
    },
    180_000,
  );
});
