import type pg from 'pg';
import { lapsed } from './decide.js';
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
}

export type Passage =
  { readonly passed: true } | { readonly passed: false; readonly code: FenceCode; readonly reason: string };

export type FenceCode =
  'lease-lost' | 'all-stopped' | 'gate-killed' | 'gate-held' | 'gate-narrowed' | 'permit-lapsed';

/**
 * The fence: moves a lane's cursor over a stretch if, and only if, the run is still this attempt's and the
 * gate is open, of the epoch the run was admitted under, and permitted. Must be the first statement after
 * the gate's shared lock, in the transaction that writes the stretch; so the three commit together.
 */
export async function passFence(client: pg.PoolClient, leave: Leave, stretch: Stretch): Promise<Passage> {
  const { rowCount } = await client.query({
    name: 'portcullis fence',
    text: `
      with moved as (
        update portcullis_region.lane l
        set applied_seq = $4
        from portcullis_region.gate g
        where l.run = $1 and l.lane = $2 and l.applied_seq = $3 and l.attempt = $5
          and g.job = $6 and g.region = $7
          and not g.stopped
          and ($8::bigint is null or (g.state = 'open' and g.epoch = $8 and g.permit_until > clock_timestamp()))
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
    ],
  });
  return rowCount === 1 ? { passed: true } : whyNot(client, leave, stretch);
}

/**
 * The fence's conditions for a run that is about to begin, in a transaction that holds the gate's shared lock: whether
 * it is still this attempt's, and the gate open, of the epoch that it was admitted under, and permitted.
 */
export async function passGate(client: pg.PoolClient, leave: Leave, run: string): Promise<Passage> {
  const { rows } = await client.query<Standing>(
    `select r.attempt = $2 and r.status = 'planning' as owned, g.state, g.stopped, g.reason, g.epoch,
       nullif(g.permit_until, '-infinity') as permit_until, g.permit_until > clock_timestamp() as permitted
     from portcullis_region.run r, portcullis_region.gate g
     where r.id = $1 and g.job = $3 and g.region = $4`,
    [run, leave.attempt, leave.job, leave.region],
  );
  return passageOf(rows[0], leave);
}

interface Standing {
  readonly owned: boolean;
  readonly permitted: boolean;
  readonly state: string;
  readonly stopped: boolean;
  readonly reason: string;
  readonly epoch: number;
  readonly permit_until: Date | null;
}

async function whyNot(client: pg.PoolClient, leave: Leave, stretch: Stretch): Promise<Passage> {
  const { rows } = await client.query<Standing>(
    `select l.attempt = $3 and l.applied_seq = $4 as owned, g.state, g.stopped, g.reason, g.epoch,
       nullif(g.permit_until, '-infinity') as permit_until, false as permitted
     from portcullis_region.lane l, portcullis_region.gate g
     where l.run = $1 and l.lane = $2 and g.job = $5 and g.region = $6`,
    [stretch.run, stretch.lane, leave.attempt, stretch.from, leave.job, leave.region],
  );
  return passageOf(rows[0], leave);
}

function passageOf(standing: Standing | undefined, leave: Leave): Passage {
  const refuse = (code: FenceCode, reason: string): Passage => ({ passed: false, code, reason });
  if (!standing?.owned) return refuse('lease-lost', 'another worker took this run over');
  if (standing.stopped) return refuse('all-stopped', `everything is stopped: ${standing.reason}`);
  if (standing.state === 'killed') return refuse('gate-killed', `killed: ${standing.reason}`);
  if (standing.state === 'held') return refuse('gate-held', standing.reason);
  if (standing.epoch !== leave.epoch) {
    return refuse(
      'gate-narrowed',
      `the flag took back what this run was admitted under (epoch ${leave.epoch}, now ${standing.epoch})`,
    );
  }
  return standing.permitted ? { passed: true } : refuse('permit-lapsed', lapsed(standing.permit_until));
}
