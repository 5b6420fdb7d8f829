import type pg from 'pg';
import type { OutcomeRule } from '../../flags/guard-policy.js';
import { inTransaction } from '../../postgres/pool.js';
import { startOutcome, stepOutcome, type OutcomeState } from '../outcome.js';
import type { Judged } from '../../containment/verdict.js';
import { Cohorts } from './cohorts.js';
import { noteUnitChanges, readUnitChanges } from './unit-changes.js';

/** Whom an outcome rule judges, and where. */
export interface Candidate {
  readonly job: string;
  readonly region: string;
  readonly version: string;
}

export interface OutcomeJudgement {
  readonly judged: Judged;
  readonly state: OutcomeState;
}

/** Outcomes read in one transaction. */
const MOST_READ = 500;
/** An outcome is read only when so old: a batch that committed with an earlier time has come to be seen by then. */
const SETTLE_MS = 2_000;

/**
 * Judges a candidate in one region by the outcomes that have come since it was last asked. What was read and
 * what was made of it are written together, so that a process that ends midway leaves nothing half done; each
 * outcome is a look of its own, so that it makes no difference how many are read at a time. The same outcomes
 * behind the same changes come to the bit-identical state. `regions`: how many share the rule's alpha.
 */
export async function judgeOutcome(
  owner: pg.Pool,
  rule: OutcomeRule,
  candidate: Candidate,
  regions: number,
  settleMs = SETTLE_MS,
): Promise<OutcomeJudgement> {
  for (;;) {
    const { read, ...judgement } = await inTransaction(owner, (client) =>
      readOn(client, rule, candidate, regions, settleMs),
    );
    if (read < MOST_READ) return judgement;
  }
}

interface Outcome {
  readonly seq: number;
  readonly unit: string;
  readonly at: Date;
}

async function readOn(
  client: pg.PoolClient,
  rule: OutcomeRule,
  candidate: Candidate,
  regions: number,
  settleMs: number,
): Promise<OutcomeJudgement & { readonly read: number }> {
  const before = await lockState(client, rule, candidate, regions);
  const outcomes = await readOutcomes(client, rule, candidate, before.cursor, settleMs);
  let step = stepOutcome(before.state, []);
  const last = outcomes.at(-1);
  if (last === undefined) return { ...step, read: 0 };
  const cohorts = await cohortsOf(client, rule, candidate, before.cursor);
  const { begunAt } = cohorts;
  const versions: (string | null)[] = [];
  for (const outcome of outcomes) {
    versions.push(cohorts.versionOf(outcome.unit, outcome.at));
    if (begunAt === undefined || outcome.at < begunAt) continue;
    const look = cohorts.take(outcome);
    if (look) step = stepOutcome(step.state, [look]);
  }
  await noteVersions(client, candidate, outcomes, versions);
  await client.query(
    `update portcullis_region.outcome_state set cursor = $5, state = $6
     where job = $1 and region = $2 and version = $3 and rule = $4`,
    [candidate.job, candidate.region, candidate.version, rule.name, last.seq, JSON.stringify(step.state)],
  );
  return { ...step, read: outcomes.length };
}

/** How the rule stands, locked. A rule that is not what it was begins again. */
async function lockState(
  client: pg.PoolClient,
  rule: OutcomeRule,
  { job, region, version }: Candidate,
  regions: number,
): Promise<{ cursor: number; state: OutcomeState }> {
  const { name, event, alpha, tolerance } = rule;
  const options = JSON.stringify({ event, alpha, tolerance, regions });
  const fresh = JSON.stringify(startOutcome({ rule: name, alpha, tolerance, regions }));
  const { rows } = await client.query<{ cursor: number; state: OutcomeState }>(
    `insert into portcullis_region.outcome_state as s (job, region, version, rule, options, cursor, state)
     values ($1, $2, $3, $4, $5, 0, $6)
     on conflict (job, region, version, rule) do update
     set options = excluded.options,
         cursor = case when s.options = excluded.options then s.cursor else 0 end,
         state = case when s.options = excluded.options then s.state else excluded.state end
     returning cursor, state`,
    [job, region, version, name, options, fresh],
  );
  return rows[0] ?? { cursor: 0, state: JSON.parse(fresh) as OutcomeState };
}

async function readOutcomes(
  client: pg.PoolClient,
  rule: OutcomeRule,
  { job, region }: Candidate,
  cursor: number,
  settleMs: number,
): Promise<Outcome[]> {
  const { rows } = await client.query<Outcome & { settled: boolean }>(
    `select seq, unit, at, received_at <= clock_timestamp() - make_interval(secs => $6::float8 / 1000) as settled
     from portcullis_region.outcome
     where job = $1 and region = $2 and kind = $3 and seq > $4
     order by seq limit $5`,
    [job, region, rule.event, cursor, MOST_READ, settleMs],
  );
  // In their order: none behind one that is too young, whatever its own time says.
  const young = rows.findIndex(({ settled }) => !settled);
  return young === -1 ? rows : rows.slice(0, young);
}

/** Who has whose change by now, and who was struck before the cursor. */
async function cohortsOf(
  client: pg.PoolClient,
  rule: OutcomeRule,
  { job, region, version }: Candidate,
  cursor: number,
): Promise<Cohorts> {
  await noteUnitChanges(client, job, region);
  const changes = await readUnitChanges(client, job, region);
  const { begunAt } = new Cohorts(version, changes);
  if (begunAt === undefined) return new Cohorts(version, changes);
  const { rows } = await client.query<{ unit: string }>(
    `select distinct unit from portcullis_region.outcome
     where job = $1 and region = $2 and kind = $3 and seq <= $4 and at >= $5`,
    [job, region, rule.event, cursor, begunAt],
  );
  return new Cohorts(
    version,
    changes,
    rows.map(({ unit }) => unit),
  );
}

async function noteVersions(
  client: pg.PoolClient,
  { job, region }: Candidate,
  outcomes: readonly Outcome[],
  versions: readonly (string | null)[],
): Promise<void> {
  await client.query(
    `update portcullis_region.outcome o set version = told.version
     from unnest($3::bigint[], $4::text[]) as told (seq, version)
     where o.job = $1 and o.region = $2 and o.seq = told.seq and told.version is not null`,
    [job, region, outcomes.map(({ seq }) => seq), versions],
  );
}
