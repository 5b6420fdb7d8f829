import type pg from 'pg';
import { requireSeen } from '../kernel/seen.js';
import { storable, storableJson } from '../kernel/text.js';
import { recordAudit } from '../audit/record.js';
import type { RolloutDocument } from '../flags/rollout-document.js';
import { type RolloutPolicy, typedRollout } from '../flags/rollout-policy.js';
import type { Part, SkippedBake } from './plan-advance.js';
import { type RolloutStatus, UNDER_WAY } from './rollout-states.js';
import type { Variant } from '../flags/variant.js';

/** Who moves a rollout, on the record. */
export const ROLLOUT_PRINCIPAL = 'system:rollout';

/** A region's part of a rollout, as it is kept. */
export interface StoredPart extends Part {
  /** The flag's revision that gave the share. Null before the first step. */
  readonly flagRevision: number | null;
  /** What the flag gave to other versions before. Null before the first step. */
  readonly base: readonly Variant[] | null;
}

export interface Rollout {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  readonly status: RolloutStatus;
  /** As the policy was when it started. */
  readonly document: RolloutDocument;
  readonly policy: RolloutPolicy;
  readonly reason: string;
  readonly startedBy: string;
  /** The people who know the token that started it: see `Principal.hands`. */
  readonly startedHands: readonly string[];
  readonly startedAt: Date;
  readonly lookedAt: Date;
  readonly watchedSince: Date;
  readonly endedAt: Date | null;
  readonly endedBy: string | null;
  readonly endReason: string | null;
  readonly parts: readonly StoredPart[];
}

/** Something that happened to a rollout. */
export interface RolloutEvent {
  readonly at: Date;
  readonly action: string;
  readonly by: string;
  readonly reason: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

interface RolloutRow {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  readonly status: RolloutStatus;
  readonly policy: RolloutDocument;
  readonly reason: string;
  readonly started_by: string;
  readonly started_hands: readonly string[];
  readonly started_at: Date;
  readonly looked_at: Date;
  readonly watched_since: Date;
  readonly ended_at: Date | null;
  readonly ended_by: string | null;
  readonly end_reason: string | null;
}

interface PartRow {
  readonly region: string;
  readonly step: number;
  readonly since: Date | null;
  readonly flag_revision: number | null;
  readonly base: readonly Variant[] | null;
  readonly done_at: Date | null;
  readonly waived_by: string | null;
  readonly waived_reason: string | null;
  readonly waived_approved: string | null;
  readonly skipped: readonly SkippedBake[];
}

const COLUMNS = `id, job, version, status, policy, reason, started_by, started_hands, started_at,
  looked_at, watched_since, ended_at, ended_by, end_reason`;

/** How long a process that stands still in the middle of a step may keep the others from it. */
const STANDSTILL_MS = 30_000;

/**
 * Locks a rollout until the client's transaction ends: whoever moves it holds this. `skip`: answers undefined
 * where somebody else has it, or where it is over. A process that stands still loses the lock after 30 s, and
 * with it whatever it was about to commit.
 */
export async function lockRollout(
  client: pg.PoolClient,
  id: string,
  skip: boolean,
): Promise<Rollout | undefined> {
  await client.query(`set local idle_in_transaction_session_timeout = ${STANDSTILL_MS}`);
  const { rows } = await client.query<RolloutRow>(
    `select ${COLUMNS} from portcullis_control.rollout where id = $1 and status = any($2)
     for update ${skip ? 'skip locked' : ''}`,
    [id, UNDER_WAY],
  );
  return rows[0] && withParts(client, rows[0]);
}

/** The rollouts that are under way, of all jobs or one, by id. */
export async function rolloutsUnderWay(control: pg.Pool | pg.PoolClient, job?: string): Promise<string[]> {
  const { rows } = await control.query<{ id: string }>(
    `select id from portcullis_control.rollout
     where status = any($1) and ($2::text is null or job = $2) order by job`,
    [UNDER_WAY, job ?? null],
  );
  return rows.map(({ id }) => id);
}

/** The jobs, all or one, whose rollout is under way. */
export async function jobsRollingOut(control: pg.Pool, job?: string): Promise<string[]> {
  const { rows } = await control.query<{ job: string }>(
    `select distinct job from portcullis_control.rollout
     where status = any($1) and ($2::text is null or job = $2) order by job`,
    [UNDER_WAY, job ?? null],
  );
  return rows.map((row) => row.job);
}

/** The jobs that ever had a rollout. */
export async function jobsRolledOut(control: pg.Pool): Promise<string[]> {
  const { rows } = await control.query<{ job: string }>(
    'select distinct job from portcullis_control.rollout order by job',
  );
  return rows.map(({ job }) => job);
}

/** The job's rollout that is under way, or else its last one. */
export async function newestRollout(
  control: pg.Pool | pg.PoolClient,
  job: string,
): Promise<Rollout | undefined> {
  const { rows } = await control.query<RolloutRow>(
    `select ${COLUMNS} from portcullis_control.rollout where job = $1
     order by status = any($2) desc, started_at desc, id limit 1`,
    [job, UNDER_WAY],
  );
  return rows[0] && withParts(control, rows[0]);
}

/** The newest rollout of one version. */
export async function newestRolloutOf(
  control: pg.Pool,
  job: string,
  version: string,
): Promise<Rollout | undefined> {
  const { rows } = await control.query<RolloutRow>(
    `select ${COLUMNS} from portcullis_control.rollout where job = $1 and version = $2
     order by started_at desc, id limit 1`,
    [job, version],
  );
  return rows[0] && withParts(control, rows[0]);
}

/** What happened to a rollout, newest first. */
export async function rolloutEvents(
  control: pg.Pool,
  rollout: string,
  limit: number,
): Promise<RolloutEvent[]> {
  const { rows } = await control.query<RolloutEvent>(
    `select at, action, by, reason, evidence from portcullis_control.rollout_event
     where rollout = $1 order by seq desc limit $2`,
    [rollout, limit],
  );
  return rows;
}

/** How much has happened in all rollouts of a job: another number after each change of any of them. */
export async function rolloutRevision(control: pg.Pool | pg.PoolClient, job: string): Promise<number> {
  const { rows } = await control.query<{ revision: number }>(
    `select count(*) as revision from portcullis_control.rollout_event e
     join portcullis_control.rollout r on r.id = e.rollout where r.job = $1`,
    [job],
  );
  return rows[0]?.revision ?? 0;
}

/** Throws REVISION_STALE where a job's rollouts have another revision than the one that somebody saw. */
export async function requireRolloutSeen(
  control: pg.Pool | pg.PoolClient,
  job: string,
  seen: number | undefined,
): Promise<void> {
  if (seen !== undefined) requireSeen(`the rollout of ${job}`, await rolloutRevision(control, job), seen);
}

/** Notes what happened in the rollout's own history and in the audit log, in the client's transaction. Last. */
export async function recordEvent(
  client: pg.PoolClient,
  rollout: Pick<Rollout, 'id' | 'job' | 'version'>,
  event: RolloutEvent,
): Promise<void> {
  const { at, action, by, reason, evidence } = event;
  await client.query(
    `insert into portcullis_control.rollout_event (rollout, seq, at, action, by, reason, evidence)
     select $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, $6
     from portcullis_control.rollout_event where rollout = $1`,
    [rollout.id, at, action, by, storable(reason), storableJson(evidence)],
  );
  await recordAudit(client, {
    principal: by,
    action: `rollout-${action}`,
    subject: `${rollout.job} ${rollout.version}`,
    evidence: { rollout: rollout.id, reason, ...evidence },
  });
}

async function withParts(control: pg.Pool | pg.PoolClient, row: RolloutRow): Promise<Rollout> {
  const { rows } = await control.query<PartRow>(
    `select region, step, since, flag_revision, base, done_at, waived_by, waived_reason, waived_approved, skipped
     from portcullis_control.rollout_part where rollout = $1`,
    [row.id],
  );
  const policy = typedRollout(row.policy);
  const regions = policy.waves.flatMap((wave) => wave.regions);
  const parts = regions.flatMap((region) => rows.find((each) => each.region === region) ?? []).map(partOf);
  return {
    id: row.id,
    job: row.job,
    version: row.version,
    status: row.status,
    document: row.policy,
    policy,
    reason: row.reason,
    startedBy: row.started_by,
    startedHands: row.started_hands,
    startedAt: row.started_at,
    lookedAt: row.looked_at,
    watchedSince: row.watched_since,
    endedAt: row.ended_at,
    endedBy: row.ended_by,
    endReason: row.end_reason,
    parts,
  };
}

function partOf(row: PartRow): StoredPart {
  const {
    region,
    step,
    since,
    base,
    done_at,
    waived_by: by,
    waived_reason: reason,
    waived_approved,
    skipped,
  } = row;
  return {
    region,
    step,
    since,
    flagRevision: row.flag_revision,
    base,
    done: done_at !== null,
    skipped,
    ...(by !== null &&
      reason !== null && {
        waived: { by, reason, ...(waived_approved !== null && { approvedBy: waived_approved }) },
      }),
  };
}
