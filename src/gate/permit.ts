import type pg from 'pg';
import type { FlagAnswer } from '../flags/definition.js';
import { inTransaction } from '../postgres/pool.js';
import { admissionRevisionOf, decideMove, type Gate, type Move, versionRevisionsOf } from './decide.js';
import { CONFIRMED } from './database.js';
import { lockGate } from './lock.js';

const GATE_COLUMNS = `job, region, state, epoch, ${CONFIRMED} as "databaseConfirmed",
  (select coalesce(jsonb_object_agg(v.version, v.epoch), '{}') from portcullis_region.version_epoch v
   where v.job = gate.job and v.region = gate.region) as "versionEpochs",
  (select coalesce(jsonb_object_agg(v.version, v.admission_revision), '{}') from portcullis_region.version_epoch v
   where v.job = gate.job and v.region = gate.region) as "versionAdmissions", nullif(permit_until, '-infinity') as "permitUntil",
  case when permit_until > clock_timestamp()
       then (extract(epoch from permit_until - clock_timestamp()) * 1000)::float8 else 0 end as "permitMs",
  clock_timestamp() as "readAt", flag_revision as "flagRevision", admission_revision as "admissionRevision", variants,
  reason_code as "reasonCode", reason,
  (select coalesce(jsonb_object_agg(q.version, q.reason), '{}') from portcullis_region.quarantine q
   where q.job = gate.job) as quarantined`;

interface GateRow extends Gate {
  /** By the database's clock. */
  readonly readAt: Date;
}

/** A permit that ended before it reached the gate does not shorten the one that another process gave. */
const laterThanNow = (until: string): string =>
  `case when ${until}::timestamptz > clock_timestamp() then ${until} else permit_until end`;

/** The gate of a job in a region, made (held, never permitted) where there is none yet. */
export async function readGate(pool: pg.Pool | pg.PoolClient, job: string, region: string): Promise<GateRow> {
  const { rows } = await pool.query<GateRow>(
    `with made as (
       insert into portcullis_region.gate (job, region) values ($1, $2) on conflict do nothing
       returning ${GATE_COLUMNS}
     )
     select * from made
     union all
     select ${GATE_COLUMNS} from portcullis_region.gate where job = $1 and region = $2`,
    [job, region],
  );
  const gate = rows[0];
  // Another process made it between the insert and the select's snapshot; it is there now.
  return gate ?? readGate(pool, job, region);
}

export interface Reconciled {
  /** What the flag said. */
  readonly answer: FlagAnswer;
  readonly gate: Gate;
  readonly move: Move;
}

/**
 * Looks at a flag and carries its answer to the region's gate: renews the permit, or closes the gate, or narrows
 * what it lets through. When this answers with a closed or narrowed gate, no batch that the old state had allowed
 * commits any more. A permit begins when the flag was looked at, however long the answer takes to reach the
 * gate: a process that stood still on the way renews nothing. Safe to call from any number of processes.
 */
export async function reconcileGate(
  pool: pg.Pool,
  job: string,
  region: string,
  look: () => FlagAnswer,
  permitMs: number,
): Promise<Reconciled> {
  const lookedAt = performance.now();
  const answer = look();
  const seen = await readGate(pool, job, region);
  await keepRevisions(pool, seen, versionRevisionsOf(answer));
  const move = decideMove(seen, answer);
  if (move.to === 'leave') return { answer, gate: seen, move };
  if (
    move.to === 'renew' &&
    seen.state === 'open' &&
    answer.open &&
    answer.definition.revision === seen.flagRevision &&
    (admissionRevisionOf(answer) ?? seen.admissionRevision) === seen.admissionRevision
  ) {
    const renewed = await renewPermit(pool, seen, permitUntil(seen, lookedAt, permitMs));
    if (renewed) return { answer, gate: renewed, move };
  }
  if (move.to === 'hold' && seen.state === 'held' && seen.reason === move.reason)
    return { answer, gate: seen, move };
  return inTransaction(pool, async (client) => {
    await lockGate(client, job, region, 'exclusive');
    const current = await readGate(client, job, region);
    const decided = decideMove(current, answer);
    const until = permitUntil(current, lookedAt, permitMs);
    return { answer, gate: await carryOut(client, current, decided, answer, until), move: decided };
  });
}

/**
 * Keeps the newest revision of each version's admission: what a region has seen outlives a control database that is
 * restored from a backup.
 */
async function keepRevisions(
  pool: pg.Pool,
  { job, region, versionAdmissions }: Gate,
  revisions: ReadonlyMap<string, number>,
): Promise<void> {
  const newer = [...revisions].filter(([version, revision]) => revision > (versionAdmissions[version] ?? 0));
  if (newer.length === 0) return;
  await pool.query(
    `insert into portcullis_region.version_epoch as v (job, region, version, epoch, admission_revision)
     select $1, $2, version, 0, revision from unnest($3::text[], $4::bigint[]) as n (version, revision) order by version
     on conflict (job, region, version) do update set admission_revision = excluded.admission_revision
       where v.admission_revision < excluded.admission_revision`,
    [job, region, newer.map(([version]) => version), newer.map(([, revision]) => revision)],
  );
}

/** When a permit ends, by the database's clock, that begins when the flag was looked at. */
function permitUntil({ readAt }: GateRow, lookedAt: number, permitMs: number): Date {
  return new Date(readAt.getTime() - (performance.now() - lookedAt) + permitMs);
}

/** The way of every few seconds: nothing but time has passed, so readers need not wait. */
async function renewPermit(pool: pg.Pool, gate: Gate, until: Date): Promise<Gate | undefined> {
  const { rows } = await pool.query<Gate>(
    `update portcullis_region.gate
     set permit_until = ${laterThanNow('$5')}
     where job = $1 and region = $2 and state = 'open' and epoch = $3 and flag_revision = $4
       and admission_revision = $6
     returning ${GATE_COLUMNS}`,
    [gate.job, gate.region, gate.epoch, gate.flagRevision, until, gate.admissionRevision],
  );
  return rows[0];
}

async function carryOut(
  client: pg.PoolClient,
  gate: Gate,
  move: Move,
  answer: FlagAnswer,
  until: Date,
): Promise<Gate> {
  if (move.to === 'leave') return gate;
  const open = move.to !== 'hold' && answer.open;
  if (move.to === 'narrow') {
    await client.query(
      `insert into portcullis_region.version_epoch as v (job, region, version, epoch)
       select $1, $2, version, 1 from unnest($3::text[]) as version
       on conflict (job, region, version) do update set epoch = v.epoch + 1`,
      [gate.job, gate.region, move.versions],
    );
  }
  const { rows } = await client.query<Gate>(
    `update portcullis_region.gate
     set state = $3, epoch = epoch + $4, flag_revision = coalesce($5, flag_revision),
         admission_revision = coalesce($10, admission_revision), variants = $6,
         permit_until = case when $3 = 'open' then ${laterThanNow('$7')} else '-infinity' end,
         reason_code = $8, reason = $9,
         changed_at = case when state <> $3 then clock_timestamp() else changed_at end
     where job = $1 and region = $2
     returning ${GATE_COLUMNS}`,
    [
      gate.job,
      gate.region,
      open ? 'open' : 'held',
      move.to === 'hold' ? 1 : 0,
      // On a database that nobody has confirmed, the gate closes whatever the flag says.
      gate.databaseConfirmed ? revisionOf(answer) : null,
      JSON.stringify(open ? answer.definition.variants : []),
      until,
      move.to === 'hold' ? move.code : 'flag-open',
      move.to === 'hold' ? move.reason : 'the flag is on and fresh',
      gate.databaseConfirmed ? (admissionRevisionOf(answer) ?? null) : null,
    ],
  );
  return rows[0] ?? gate;
}

function revisionOf(answer: FlagAnswer): number | null {
  return answer.open ? answer.definition.revision : (answer.revision ?? null);
}
