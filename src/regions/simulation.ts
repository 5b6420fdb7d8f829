import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { requirePolicy } from '../flags/policy-store.js';
import type { KnownJob } from '../worker/registry.js';
import { type RegionFigures, simulateRollout, type Simulation } from '../rollout/simulate.js';
import { nthSlot } from '../runs/slots.js';
import { databaseTime } from '../postgres/database-clock.js';
import type { RegionDatabases } from './region-database.js';
import { countQuery } from '../worker/units.js';

/** Slots over which the schedule's usual distance is taken. */
const SLOTS = 50;

/** A rollout of the job on paper, by the figures of its directory and of its last runs. Throws ROLLOUT_UNPLANNED. */
export async function simulationOf(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  job: KnownJob,
): Promise<Simulation> {
  const { name } = job.definition;
  const policy = await requirePolicy(control, name);
  const { rollout } = policy;
  if (rollout === undefined) {
    throw new PortcullisError('ROLLOUT_UNPLANNED', `the policy of ${name} has no waves`, {
      hint: 'write `rollout:` with its waves into the policy, and run portcullis flags apply',
    });
  }
  const figures = new Map<string, RegionFigures>();
  for (const region of policy.regions) {
    const { worker, owner } = regionDatabases.of(region);
    const known = await figuresOf(worker, job, region);
    figures.set(region, { ...known, badPerUnitDay: await badOf(owner, name, region, known.units) });
  }
  const now = await databaseTime(control);
  const periodMs = periodOf(policy.schedule, now);
  const nothing: RegionFigures = {
    units: 0,
    rowsByKind: {},
    rowsByResource: {},
    changesPerRun: undefined,
  };
  return simulateRollout({ ...policy, rollout }, (region) => figures.get(region) ?? nothing, periodMs, now);
}

/** How often units have their first bad outcome, by its kind: by what was reported in the time that is kept. */
async function badOf(
  pool: pg.Pool,
  job: string,
  region: string,
  units: number,
): Promise<Record<string, number>> {
  if (units === 0) return {};
  const { rows } = await pool.query<{ kind: string; units: number; days: number }>(
    `select kind, count(distinct unit) as units,
       (greatest(1, extract(epoch from clock_timestamp() - min(received_at)) / 86400))::float8 as days
     from portcullis_region.outcome where job = $1 and region = $2 group by kind`,
    [job, region],
  );
  return Object.fromEntries(rows.map(({ kind, units: bad, days }) => [kind, bad / units / days]));
}

/** How far apart slots are, on average; of a schedule that is due so seldom that there are not enough, the next two. */
function periodOf(schedule: string, now: Date): number {
  const first = nthSlot(schedule, 1, now);
  for (const slots of [SLOTS, 2]) {
    const last = nthSlot(schedule, slots, now);
    if (first && last) return (last.getTime() - first.getTime()) / (slots - 1);
  }
  return Number.POSITIVE_INFINITY;
}

async function figuresOf(pool: pg.Pool, job: KnownJob, region: string): Promise<RegionFigures> {
  const { unit, resources, kinds, name } = job.definition;
  const countIn = async (table: string, column: string): Promise<number> => {
    const { rows } = await pool.query<{ n: number }>(countQuery({ table, region: column }), [region]);
    return rows[0]?.n ?? 0;
  };
  const rowsByResource: Record<string, number> = {};
  for (const [resource, { table, region: column }] of Object.entries(resources)) {
    if (column !== undefined) rowsByResource[resource] = await countIn(table, column);
  }
  const rowsByKind = Object.fromEntries(
    Object.entries(kinds).flatMap(([kind, resource]) => {
      const rows = rowsByResource[resource];
      return rows === undefined ? [] : [[kind, rows]];
    }),
  );
  // Scaled to the full share: a run that was admitted for a tenth of the units did a tenth of the work.
  const units = await countIn(unit.table, unit.region);
  const { rows } = await pool.query<{ usual: number | null }>(
    `select percentile_cont(0.5) within group (order by changes * $3::float8 / admitted_units) as usual
     from (select admitted_units, (select coalesce(sum(value::bigint), 0) from jsonb_each_text(applied)) as changes
           from portcullis_region.run
           where job = $1 and region = $2 and status = 'succeeded' and not dry_run and restores is null
             and admitted_units > 0
           order by created_at desc limit 30) last`,
    [name, region, units],
  );
  return { units, rowsByKind, rowsByResource, changesPerRun: rows[0]?.usual ?? undefined };
}
