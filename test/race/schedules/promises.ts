import type pg from 'pg';
import { RUN_STATES, type RunStatus } from '../../../src/runs/run-states.js';
import { batchBreaches, laneBreaches, type Acknowledged, type Batch } from './batches.js';
import { approvalBreaches, gateBreaches, type Breach, type GateMoment, type Request } from './gates.js';
import type { Played } from './play.js';
import { alertBreaches } from './alerts.js';
import { APPLIED_BY, AS_PLANNED } from './world.js';

/** Compares what was played with what the database remembers, and answers every promise that was broken. */
export async function breachesOf(owner: pg.Pool, played: Played): Promise<Breach[]> {
  const { job, regions } = played.world;
  const rows = async <T extends pg.QueryResultRow>(sql: string, ...values: unknown[]): Promise<T[]> =>
    (await owner.query<T>(sql, values)).rows;
  // One after the other: a connection costs more than all of them.
  const gates = await rows<GateMoment>('select * from history.gate where job = $1 order by tick', job);
  const requests = await rows<Request>(
    REQUESTS,
    played.asked.map(({ id }) => id),
  );
  const batches = await rows<Batch>(BATCHES, job);
  const acknowledged = await rows<Acknowledged>('select * from history.acknowledged where job = $1', job);
  const moves = await rows<Move>('select * from history.run where job = $1 order by tick', job);
  const differences = await rows<Breach>(DIFFERENCES, job, regions);
  const misjudged = await rows<Breach>(MISJUDGED, job, AS_PLANNED.name);
  const audited = await rows<Audited>(AUDITED, [...played.asked.map(({ id }) => id), ...played.killed]);
  const changes = await rows<ControlChange>(
    'select what, by from history.control where job = $1 order by tick',
    job,
  );
  return [
    ...played.astray.map((how) => ({ promise: 'nothing goes astray', how })),
    ...batchBreaches(played, batches, acknowledged),
    ...laneBreaches(batches),
    ...regions.flatMap((region) =>
      gateBreaches(
        played,
        gates.filter((gate) => gate.region === region),
        requests,
      ),
    ),
    ...approvalBreaches(played),
    ...unkilled(acknowledged, gates),
    ...runBreaches(moves),
    ...cureBreaches(moves, acknowledged),
    ...differences,
    ...misjudged,
    ...(await editBreaches(owner, played)),
    ...unaudited(played, audited),
    ...restartBreaches(played, changes),
    ...(await alertBreaches(owner, played.world, played.alerts)),
  ];
}

interface ControlChange {
  readonly what: string;
  readonly by: string;
}

/** Policy and flags are as a person has put them in force, but for what a rule that trips takes from a flag. */
function restartBreaches({ misled }: Played, changes: readonly ControlChange[]): Breach[] {
  const promise = 'a restart changes nothing';
  return [
    ...misled.map((how) => ({ promise, how })),
    ...changes
      .filter(({ by }) => by !== APPLIED_BY && !by.startsWith('guard:'))
      .map(({ what, by }) => ({ promise, how: `${by} changed the ${what}` })),
  ];
}

interface Audited {
  readonly action: string;
  readonly principal: string;
  readonly subject: string;
}

const REQUESTS = `
  select id, action, region, request, carried_out_at is not null as carried
  from portcullis_control.approval where id = any($1)`;

const BATCHES = `
  select b.*, (select jsonb_agg(distinct c.unit) from portcullis_region.change c
               where c.run = b.run and c.lane = b.lane and c.seq > b.from_seq and c.seq <= b.to_seq) as units,
    (select count(*) from portcullis_region.change c where c.run = b.run) as planned,
    (select max(m.tick) from history.run m where m.id = b.run and m.status = 'applying') as planned_tick
  from history.batch b join portcullis_region.run r on r.id = b.run
  where r.job = $1 order by b.tick`;

const MISJUDGED = `
  select 'judged as it was planned' as promise, format('run %s: %s %s', v.run, v.verdict, v.reason) as how
  from portcullis_region.verdict v join portcullis_region.run r on r.id = v.run
  where r.job = $1 and v.rule = $2 and v.verdict <> 'pass'`;

const AUDITED = 'select action, principal, subject from portcullis_control.audit where subject = any($1)';

/** A row of the job's table, as the journal's images name its columns. */
const image = (row: string): string =>
  `(${row}->>'state', ${row}->>'organisation_id', (${row}->>'claimed_at')::timestamptz)`;

/**
 * Every row's history against the journal and the other way round:
 * - each change that the journal says was applied is a change of that very row, from and to those very values,
 *   in that batch's transaction; and no other change came from a worker;
 * - a change met the values that it was planned on, so it overwrote nothing that it did not know of;
 * - a row's versions lie end to end, up to the row as it is;
 * - what a restore that succeeded was to take back is taken back, unless someone came in between.
 */
const DIFFERENCES = `
with own as (
  select * from history.account where region = any($2)
), mine as (
  select b.*, r.restores from history.batch b join portcullis_region.run r on r.id = b.run where r.job = $1
), journal as (
  select m.txid, m.run, m.tick, c.key, c.before, c.after
  from mine m
  join portcullis_region.change c on c.run = m.run and c.lane = m.lane and c.seq > m.from_seq and c.seq <= m.to_seq
  left join portcullis_region.conflict x on x.run = c.run and x.lane = c.lane and x.seq = c.seq
  where x.run is null
), written as (
  select * from own where process not like '% people' and process not like 'portcullis test owner'
), followed as (
  select o.*, lag(now) over each as previous, lead(seq) over each as next, lead(now) over each as next_now,
    lead(txid) over each as next_txid
  from own o window each as (partition by id order by seq)
)
select 'nothing unjournaled' as promise, format('%s was changed by %s, and the journal has no such change', w.id, w.process) as how
from written w where not exists (select from journal j where j.txid = w.txid and j.key = w.id)
union all
select 'nothing unjournaled', format('run %s says that it has changed %s, and did not', j.run, j.key)
from journal j where not exists (select from written w where j.txid = w.txid and j.key = w.id)
union all
select 'no user edit is lost', format('run %s took %s for %s, and overwrote %s', j.run, j.key, j.before, w.was)
from journal j join written w on w.txid = j.txid and w.id = j.key
where ${image('j.before')} is distinct from ${image('w.was')}
   or (j.before ? 'email' and j.before->>'email' is distinct from w.was->>'email')
union all
select 'nothing unjournaled', format('run %s wrote to %s not %s but %s', j.run, j.key, j.after, w.now)
from journal j join written w on w.txid = j.txid and w.id = j.key
where ${image('j.after')} is distinct from ${image('w.now')} or w.was->>'email' is distinct from w.now->>'email'
union all
select 'nothing unjournaled', format('%s: a change between %s and %s left no trace', id, previous, was)
from followed where was is distinct from previous
union all
select 'nothing unjournaled', format('%s is not as it was left', f.id)
from followed f left join directory.account a using (id)
where f.next is null and f.now is distinct from to_jsonb(a)
union all
select 'a restore is exact', format('%s of run %s is not taken back by %s', f.id, m.run, r.id)
from mine m
join followed f on f.txid = m.txid
join portcullis_region.run r on r.restores = m.run and r.status = 'succeeded'
left join mine n on n.txid = f.next_txid and n.run = r.id
where m.tick < (select min(tick) from history.run where id = r.id)
  and (f.next is null or n.run is not null and ${image('f.next_now')} is distinct from ${image('f.was')})`;

interface Move {
  readonly tick: number;
  readonly id: string;
  readonly was: RunStatus | null;
  readonly status: RunStatus;
  /** Why it is that. */
  readonly code: string;
  readonly restore: boolean;
}

/** A run goes only where its states allow, and begins to apply at most once. */
function runBreaches(moves: readonly Move[]): Breach[] {
  const begun = new Set<string>();
  return moves.flatMap(({ id, was, status }) => {
    const breaches: Breach[] = [];
    const next: readonly string[] = was === null ? ['planning', 'skipped'] : RUN_STATES[was].next;
    if (!next.includes(status)) {
      breaches.push({
        promise: 'a slot runs once',
        how: `run ${id} went from ${was ?? 'nothing'} to ${status}`,
      });
    }
    if (status === 'applying') {
      if (begun.has(id)) breaches.push({ promise: 'a slot runs once', how: `run ${id} began twice` });
      begun.add(id);
    }
    return breaches;
  });
}

/**
 * A kill stops the job and lets the cure through: only a stop of everything ends a restore, or a database that nobody
 * has confirmed.
 */
function cureBreaches(moves: readonly Move[], acknowledged: readonly Acknowledged[]): Breach[] {
  if (acknowledged.some((kill) => kill.restores_too)) return [];
  return moves
    .filter(
      ({ restore, status, code }) =>
        restore && (status === 'killed' || status === 'stopped') && code !== 'database-unconfirmed',
    )
    .map(({ id, status, code }) => ({
      promise: 'a kill lets the cure through',
      how: `restore ${id} was ${status}: ${code}`,
    }));
}

/** A kill of a gate that was acknowledged had closed it by then. */
function unkilled(acknowledged: readonly Acknowledged[], gates: readonly GateMoment[]): Breach[] {
  return acknowledged
    .filter(
      (kill) =>
        kill.version === null &&
        !gates.some(
          ({ region, state, tick }) => region === kill.region && state === 'killed' && tick < kill.tick,
        ),
    )
    .map(({ region }) => ({
      promise: 'a kill is a fence',
      how: `the kill of ${region} was acknowledged before it was`,
    }));
}

async function editBreaches(owner: pg.Pool, { world, edited }: Played): Promise<Breach[]> {
  const { rows } = await owner.query<{ id: string; now: unknown }>(
    `select id, now from history.account
     where region = any($1) and process like '% people' and was is not null order by seq`,
    [world.regions],
  );
  const kept = rows.map(({ id, now }) => `${id} ${JSON.stringify(now)}`).sort();
  const made = [...edited].sort();
  const same = kept.length === made.length && kept.every((each, at) => each === made[at]);
  return same
    ? []
    : [{ promise: 'no user edit is lost', how: `${made.length} rows were edited, ${kept.length} kept` }];
}

function unaudited({ approved, killed }: Played, audited: readonly Audited[]): Breach[] {
  const missing = [
    ...approved
      .filter(
        ({ id, by }) =>
          !audited.some((e) => e.action === 'approve' && e.subject === id && e.principal === by),
      )
      .map(({ id }) => `approval ${id}`),
    ...killed
      .filter(
        (subject) =>
          audited.filter((e) => e.subject === subject && ['kill', 'quarantine'].includes(e.action)).length !==
          killed.filter((each) => each === subject).length,
      )
      .map((subject) => `kill of ${subject}`),
  ];
  return missing.map((what) => ({
    promise: 'on the record',
    how: `${what} is not in the audit log, or not as often as it happened`,
  }));
}
