import type pg from 'pg';
import { CONFIRMED } from './database.js';
import { lapsed, UNCONFIRMED } from './decide.js';
import type { Stretch } from '../journal/write-batch.js';

/** What a batch was allowed under: it must all still be so, or the batch does not commit. */
export interface Leave {
  readonly job: string;
  readonly region: string;
  readonly attempt: number;
  /**
   * The gate's epoch under which a job's run was admitted. Null for a restore: a closed or killed gate stops the
   * job and lets the cure through; only `stop --all` stops both.
   */
  readonly epoch: number | null;
  readonly version: string;
  /** The version's own epoch under which the run was admitted. */
  readonly versionEpoch: number;
  /** When the break-glass ends that the run rests on; null: it rests on none. */
  readonly until: Date | null;
}

export type Passage =
  { readonly passed: true } | { readonly passed: false; readonly code: FenceCode; readonly reason: string };

export type FenceCode =
  | 'lease-lost'
  | 'all-stopped'
  | 'gate-killed'
  | 'version-quarantined'
  | 'database-unconfirmed'
  | 'gate-held'
  | 'gate-narrowed'
  | 'break-glass-ended'
  | 'permit-lapsed';

/** A version's own epoch now; of these parameters of the statement. */
const versionEpoch = (job: string, region: string, version: string): string => `coalesce((
  select v.epoch from portcullis_region.version_epoch v
  where v.job = ${job} and v.region = ${region} and v.version = ${version}), 0)`;

/**
 * The fence: moves a lane's cursor over a stretch if, and only if, the run is still this attempt's, the database is
 * one that a person has confirmed, and the gate is open, of the epochs (its own and the version's) that the run was
 * admitted under, and permitted. Must be the first statement after the gate's shared lock, in the transaction that
 * writes the stretch; so the three commit together.
 */
export async function passFence(client: pg.PoolClient, leave: Leave, stretch: Stretch): Promise<Passage> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (await moveCursor(client, leave, stretch)) return { passed: true };
    const passage = await whyNot(client, leave, stretch);
    if (!passage.passed) return passage;
    // What was in the way is gone: a permit was renewed, or a database confirmed, between the two statements.
  }
  const reason = `it was refused ${TRIES} times, each time for something that was over a moment later`;
  return { passed: false, code: 'permit-lapsed', reason };
}

const TRIES = 3;

async function moveCursor(client: pg.PoolClient, leave: Leave, stretch: Stretch): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'portcullis fence',
    text: `
      with moved as (
        update portcullis_region.lane l
        set applied_seq = $4
        from portcullis_region.gate g
        where l.run = $1 and l.lane = $2 and l.applied_seq = $3 and l.attempt = $5
          and g.job = $6 and g.region = $7
          and not g.stopped and ${CONFIRMED}
          and ($8::bigint is null or (g.state = 'open' and g.epoch = $8 and g.permit_until > clock_timestamp()
               and ${versionEpoch('$6', '$7', '$9')} = $10
               and ($11::timestamptz is null or $11 > clock_timestamp())))
        returning l.attempt
      )
      insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt)
      select $1, $2, $3, $4, attempt from moved`,
    values: [
      stretch.run,
      stretch.lane,
      stretch.from,
      stretch.to,
      leave.attempt,
      leave.job,
      leave.region,
      leave.epoch,
      leave.version,
      leave.versionEpoch,
      leave.until,
    ],
  });
  return rowCount === 1;
}

/**
 * The fence's conditions for a run that is about to begin, in a transaction that holds the gate's shared lock: whether
 * it is still this attempt's, and the gate open, of the epoch that it was admitted under, and permitted.
 */
export async function passGate(client: pg.PoolClient, leave: Leave, run: string): Promise<Passage> {
  const { rows } = await client.query<Standing>(
    `select r.attempt = $2 and r.status = 'planning' as owned, ${standingOf('$3', '$4', '$5')},
       g.permit_until > clock_timestamp() as permitted,
       coalesce((select p.break_glass_until from portcullis_region.plan p where p.run = r.id), 'infinity')
         > clock_timestamp() as within
     from portcullis_region.run r, portcullis_region.gate g
     where r.id = $1 and g.job = $3 and g.region = $4`,
    [run, leave.attempt, leave.job, leave.region, leave.version],
  );
  return passageOf(rows[0], leave);
}

/** SQLSTATE of a batch that would commit once its break-glass has ended. */
const TOO_LATE = 'PCBGE';

/**
 * Commits the transaction that has passed the fence, unless the break-glass that it rests on has ended meanwhile: then
 * it is rolled back. The end is compared in the message that commits, so a process that stood still in the middle of
 * its batch commits nothing afterwards. Throws what the database says to the commit.
 */
export async function commitBatch(client: pg.PoolClient, { until }: Leave): Promise<Passage> {
  if (until === null) {
    await client.query('commit');
    return { passed: true };
  }
  try {
    await client.query(
      `do $$ begin
         if clock_timestamp() >= '${until.toISOString()}'::timestamptz then
           raise exception 'break-glass ended' using errcode = '${TOO_LATE}';
         end if;
       end $$; commit`,
    );
    return { passed: true };
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== TOO_LATE) throw error;
    await client.query('rollback');
    return { passed: false, code: 'break-glass-ended', reason: breakGlassEnded(until) };
  }
}

/** Why a run stops that rested on break-glass. */
export function breakGlassEnded(until: Date | null): string {
  return `the break-glass that admitted this run ended${until === null ? '' : ` at ${until.toISOString()}`}`;
}

interface Standing {
  readonly owned: boolean;
  readonly permitted: boolean;
  /** Whether the break-glass that the run rests on has not ended; also where it rests on none. */
  readonly within: boolean;
  readonly confirmed: boolean;
  readonly version_epoch: number;
  /** Why the version is quarantined; null where it is not. */
  readonly quarantined: string | null;
  readonly state: string;
  readonly stopped: boolean;
  readonly reason: string;
  readonly epoch: number;
  readonly permit_until: Date | null;
}

/** How a gate `g` stands to a version; of these parameters of the statement. */
const standingOf = (job: string, region: string, version: string): string => `
  ${CONFIRMED} as confirmed, ${versionEpoch(job, region, version)} as version_epoch,
  (select q.reason from portcullis_region.quarantine q where q.job = ${job} and q.version = ${version}) as quarantined,
  g.state, g.stopped, g.reason, g.epoch, nullif(g.permit_until, '-infinity') as permit_until`;

/**
 * The gate's reasons come before the lane's attempt: a kill raises that too, and the run's own worker must learn that
 * it was killed. Whoever has lost the run and is told another reason cannot end it all the same.
 */
async function whyNot(client: pg.PoolClient, leave: Leave, stretch: Stretch): Promise<Passage> {
  const { rows } = await client.query<Standing>(
    `select l.attempt = $4 and l.applied_seq = $3 as owned, ${standingOf('$5', '$6', '$7')},
       $8::boolean or g.permit_until > clock_timestamp() as permitted,
       $9::timestamptz is null or $9 > clock_timestamp() as within
     from portcullis_region.lane l, portcullis_region.gate g
     where l.run = $1 and l.lane = $2 and g.job = $5 and g.region = $6`,
    [
      ...[stretch.run, stretch.lane, stretch.from, leave.attempt, leave.job, leave.region, leave.version],
      leave.epoch === null,
      leave.until,
    ],
  );
  return passageOf(rows[0], leave);
}

function passageOf(standing: Standing | undefined, leave: Leave): Passage {
  const refuse = (code: FenceCode, reason: string): Passage => ({ passed: false, code, reason });
  if (!standing) return refuse('lease-lost', 'another worker took this run over');
  if (standing.stopped) return refuse('all-stopped', `everything is stopped: ${standing.reason}`);
  const isJob = leave.epoch !== null;
  if (isJob && standing.state === 'killed') return refuse('gate-killed', `killed: ${standing.reason}`);
  if (!standing.confirmed) return refuse(UNCONFIRMED.code, UNCONFIRMED.reason);
  if (isJob && !standing.within && standing.quarantined === null)
    return refuse('break-glass-ended', breakGlassEnded(leave.until));
  if (isJob && standing.state === 'held') return refuse('gate-held', standing.reason);
  if (isJob && standing.version_epoch !== leave.versionEpoch) {
    return standing.quarantined === null
      ? refuse('gate-narrowed', `the flag took units from ${leave.version} that this run was admitted for`)
      : refuse('version-quarantined', `${leave.version} is quarantined: ${standing.quarantined}`);
  }
  if (isJob && standing.epoch !== leave.epoch) {
    return refuse(
      'gate-narrowed',
      `the gate closed after this run was admitted (epoch ${leave.epoch}, now ${standing.epoch})`,
    );
  }
  if (!standing.owned) return refuse('lease-lost', 'another worker took this run over');
  return standing.permitted ? { passed: true } : refuse('permit-lapsed', lapsed(standing.permit_until));
}
