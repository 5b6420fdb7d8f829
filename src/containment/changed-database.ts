import type pg from 'pg';
import { boundAuditWait, lockAudit, recordAudit } from '../audit/record.js';
import {
  confirmDatabase,
  readDatabase,
  settleSwitchover,
  type Confirmation,
  type Confirmed,
  type DatabaseStanding,
} from '../gate/database.js';
import { killGate } from './kill-gate.js';
import { notify } from '../notify/notice.js';
import { inTransaction } from '../postgres/pool.js';
import { openIncident } from '../incidents/open-incident.js';

/** In whose name a kill that a database has lost is carried out again. */
const BY = 'system:database';

/** A kill that is on record, and that the gate does not know of. */
interface LostKill {
  readonly job: string;
  readonly region: string;
  readonly version: string | null;
  readonly reason: string;
  readonly restoresToo: boolean;
}

/**
 * Looks whether a region's database is another one than permits were given on: a failover to a replica, or a recovery
 * from a backup. Nothing is written to it then, by the fence. Kills that are on record and that it has lost are carried
 * out again; an incident is opened for each job there, once per database, that says what it may have lost; and people
 * are told. To be done again and again by every process. Answers the standing.
 */
export async function watchDatabase(control: pg.Pool, owner: pg.Pool): Promise<DatabaseStanding> {
  const standing = await readDatabase(owner);
  if (standing.confirmed) {
    if (await settleSwitchover(owner)) await recordSwitchover(control, standing);
    return standing;
  }
  const gates = await gatesIn(owner);
  const lost = await lostKills(control, owner, gates);
  for (const { job, region, version, reason, restoresToo } of lost) {
    const again = `${reason} (killed before the database changed)`;
    await killGate(owner, {
      job,
      region,
      reason: again,
      by: BY,
      restoresToo,
      ...(version !== null && { version }),
    });
  }
  await openIncidents(control, standing, gates, lost, await newestIn(owner));
  return standing;
}

/**
 * Confirms the database that this is, as `confirmDatabase` does, once the kills that it has lost are carried out again:
 * no process that serves may have come to that yet. Throws DATABASE_CONFIRMED.
 */
export async function confirmChanged(
  control: pg.Pool,
  owner: pg.Pool,
  confirmation: Confirmation,
): Promise<Confirmed> {
  await watchDatabase(control, owner);
  return confirmDatabase(control, owner, confirmation);
}

interface GateThere {
  readonly job: string;
  readonly region: string;
  readonly state: string;
  readonly stopped: boolean;
  readonly quarantined: readonly string[];
}

async function gatesIn(owner: pg.Pool): Promise<GateThere[]> {
  const { rows } = await owner.query<GateThere>(
    `select job, region, state, stopped,
       array(select q.version from portcullis_region.quarantine q where q.job = g.job) as quarantined
     from portcullis_region.gate g order by job, region`,
  );
  return rows;
}

/**
 * Kills and trips on record that do not hold, though nobody has re-armed what they stopped. Only where the audit log
 * is in another database than the gates can it know more than they do.
 */
async function lostKills(control: pg.Pool, owner: pg.Pool, gates: readonly GateThere[]): Promise<LostKill[]> {
  const found = [...(await killsInForce(control, gates)), ...(await tripsAfter(control, owner, gates))];
  return found.filter(({ job, region, version, restoresToo }) => {
    const gate = gates.find((each) => each.job === job && each.region === region);
    if (!gate) return false;
    if (version !== null) return !gate.quarantined.includes(version);
    return gate.state !== 'killed' || (restoresToo && !gate.stopped);
  });
}

/**
 * The newest kill on record of each gate and version, unless it was re-armed or lifted since. By the record alone: this
 * database's epochs have a history of their own, and holding its gates raises them.
 */
async function killsInForce(control: pg.Pool, gates: readonly GateThere[]): Promise<LostKill[]> {
  const { rows } = await control.query<LostKill>(
    `select g.job, g.region, a.version, a.evidence->>'reason' as reason,
       coalesce((a.evidence->>'restoresToo')::boolean, false) as "restoresToo"
     from unnest($1::text[], $2::text[]) as g (job, region)
     cross join lateral (
       select distinct on (subject) at, subject, evidence,
         case action when 'quarantine'
           then substr(left(subject, -length(' in ' || g.region)), length(g.job || ' ') + 1) end as version
       from portcullis_control.audit
       where evidence ? 'epoch'
         and ((action = 'kill' and subject = g.job || '.' || g.region)
           or (action = 'quarantine' and starts_with(subject, g.job || ' ')
               and right(subject, length(' in ' || g.region)) = ' in ' || g.region))
       order by subject, seq desc) a
     where not exists (
       select from portcullis_control.approval p
       where p.carried_out_at > a.at
         and (p.action, p.subject) in (('rearm', a.subject), ('lift-quarantine', g.job || ' ' || a.version)))`,
    [gates.map(({ job }) => job), gates.map(({ region }) => region)],
  );
  return rows;
}

interface LostTrip {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly version: string | null;
  /** Whether it killed the gate, not the version alone. */
  readonly gateToo: boolean;
}

async function tripsAfter(
  control: pg.Pool,
  owner: pg.Pool,
  gates: readonly GateThere[],
): Promise<LostKill[]> {
  const { rows } = await control.query<LostTrip>(
    `select t.id, t.job, t.region, t.version, t.closed = 'region' as "gateToo"
     from portcullis_control.trip t join unnest($1::text[], $2::text[]) as g (job, region) using (job, region)`,
    [gates.map(({ job }) => job), gates.map(({ region }) => region)],
  );
  const there = await owner.query<{ id: string }>(
    'select id from portcullis_region.trip where id = any($1)',
    [rows.map(({ id }) => id)],
  );
  const known = new Set(there.rows.map(({ id }) => id));
  const reason = 'a rule tripped';
  return rows
    .filter(({ id }) => !known.has(id))
    .flatMap(({ job, region, version, gateToo }) => [
      ...(gateToo ? [{ job, region, version: null, reason, restoresToo: false }] : []),
      ...(version === null ? [] : [{ job, region, version, reason, restoresToo: false }]),
    ]);
}

/** The newest that the database has: what came after it may be lost. */
interface Newest {
  readonly batch: string | null;
  readonly run: string | null;
}

async function newestIn(owner: pg.Pool): Promise<Newest> {
  const { rows } = await owner.query<{ batch: Date | null; run: Date | null }>(
    `select (select max(applied_at) from portcullis_region.batch) as batch,
       (select max(created_at) from portcullis_region.run) as run`,
  );
  const { batch = null, run = null } = rows[0] ?? {};
  return { batch: batch?.toISOString() ?? null, run: run?.toISOString() ?? null };
}

const ACTION = 'database-changed';

/** Once per database: whoever comes first, in the audit log's turn. */
async function openIncidents(
  control: pg.Pool,
  { identity, last }: DatabaseStanding,
  gates: readonly GateThere[],
  lost: readonly LostKill[],
  newest: Newest,
): Promise<void> {
  if (await known(control, identity)) return;
  await inTransaction(control, async (client) => {
    await boundAuditWait(client);
    await lockAudit(client);
    if (await known(client, identity)) return;
    const was = last ?? 'unknown';
    const killedAgain = lost.map(({ job, region, version }) => ({ job, region, version }));
    const facts = { was, is: identity, newestBatch: newest.batch, newestRun: newest.run, killedAgain };
    for (const job of new Set(gates.map((gate) => gate.job))) {
      const regions = gates.filter((gate) => gate.job === job).map(({ region }) => region);
      const now = new Date().toISOString();
      const { id } = await openIncident(client, {
        job,
        regions: regions.map((region) => ({ region, since: now, containedAt: now })),
        cause: 'failover',
        title: `The database of ${regions.join(', ')} is another one than before`,
        evidence: { ...facts, mayBeLost: mayBeLost(newest) },
        by: BY,
      });
      await notify(client, {
        kind: 'incident',
        job,
        title: `The database of ${regions.join(', ')} is another one than before: nothing is written to it`,
        lines: [
          `It was ${was} and is ${identity}: a failover to a replica, or a recovery from a backup.`,
          ...mayBeLost(newest),
          ...lost
            .filter((each) => each.job === job)
            .map(
              ({ region, version }) => `${version ?? job} is killed again in ${region}: that kill was lost.`,
            ),
          `To let runs and restores go on, after having killed again what must stay killed: portcullis database confirm`,
          `More: portcullis incident show ${id}`,
        ],
        details: { incident: id, ...facts },
      });
    }
    await recordAudit(client, { principal: BY, action: ACTION, subject: identity, evidence: facts });
  });
}

function mayBeLost({ batch }: Newest): string[] {
  return [
    batch === null
      ? 'It has no journal entry.'
      : `Its newest journal entry is of ${batch}: changes applied later may be lost, with their journal.`,
    'Kills, quarantines, re-arms and flags set since then may be lost too.',
  ];
}

async function known(control: pg.Pool | pg.PoolClient, identity: string): Promise<boolean> {
  const { rowCount } = await control.query(
    'select from portcullis_control.audit where subject = $1 and action = $2 limit 1',
    [identity, ACTION],
  );
  return rowCount === 1;
}

async function recordSwitchover(control: pg.Pool, { identity }: DatabaseStanding): Promise<void> {
  await recordAudit(control, {
    ...{ principal: BY, action: 'database-switched', subject: identity },
    evidence: { confirmed: 'beforehand' },
  });
}
