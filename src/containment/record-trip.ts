import type pg from 'pg';
import { shorten, storableJson } from '../kernel/text.js';
import { boundAuditWait, lockAudit, recordAudit } from '../audit/record.js';
import { unchangedElsewhere } from '../flags/flags-elsewhere.js';
import { clearAdmission } from '../flags/admission-store.js';
import { switchOff, withdrawVersion } from '../flags/withdraw-version.js';
import { openIncident } from '../incidents/open-incident.js';
import { notify } from '../notify/notice.js';
import { inTransaction } from '../postgres/pool.js';
import { reasonOf, type Fenced, type Trip } from './trip-row.js';

/**
 * What a trip does on the control plane, in one transaction and once: the version loses its share in every
 * flag, the incident is opened or joined, it goes on record, and people are told. Answers the incident.
 */
export async function recordTrip(
  { control, flagsAt }: { readonly control: pg.Pool; readonly flagsAt?: string | undefined },
  trip: Fenced,
  by: string,
): Promise<string> {
  return inTransaction(control, async (client) => {
    // A trip that is not recorded yet is recorded by whoever looks for unfinished trips next.
    await boundAuditWait(client);
    const before = await recorded(client, trip.id);
    if (before !== undefined) return before;
    const { job, region, version, run, stage, failed, closed } = trip;
    const what = version === null ? job : `${job} ${version}`;
    const title = `${what} tripped in ${region}: ${failed[0].rule}`;
    const reason = shorten(`tripped in ${region}: ${reasonOf(trip)}`, 500);
    // Before the turn to write to the log is taken: whoever sets a flag holds its row and then waits for that.
    if (flagsAt !== undefined) {
      // The embedded flags are not in force; what versions are admitted to is, wherever flags are.
      if (version !== null) await clearAdmission(client, { job, version, reason, by });
    } else if (version === null) await switchOff(client, { job, region, reason, by });
    else await withdrawVersion(client, { job, version, reason, by });
    await lockAudit(client);
    const meanwhile = await recorded(client, trip.id);
    if (meanwhile !== undefined) return meanwhile;
    const facts = {
      trip: trip.id,
      run,
      stage,
      failed: inShort(failed),
      restore: trip.restore,
      closed: closed.close,
      closedWhy: closed.why,
      ...(flagsAt !== undefined && { flagsAt }),
    };
    const { id: incident } = await openIncident(client, {
      job,
      ...(version !== null && { version }),
      regions: [
        {
          region,
          ...(run !== null && { firstRun: run }),
          since: trip.since.toISOString(),
          containedAt: trip.fencedAt.toISOString(),
        },
      ],
      cause: 'trip',
      title,
      evidence: facts,
      by,
    });
    await client.query(
      `insert into portcullis_control.trip (id, job, region, version, run, stage, failed, incident, at, fenced_at, closed)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        ...[trip.id, job, region, version, run, stage, storableJson(failed), incident],
        ...[trip.at, trip.fencedAt, closed.close],
      ],
    );
    await notify(
      client,
      {
        kind: 'trip',
        job,
        region,
        title,
        lines: [...failed.map((each) => each.reason), ...whatNow(trip, incident, flagsAt)],
        details: { incident, version, ...facts },
      },
      `trip:${trip.id}`,
    );
    await recordAudit(client, {
      principal: by,
      action: 'trip',
      subject: `${job}.${region}`,
      evidence: facts,
    });
    if (version !== null) {
      await recordAudit(client, {
        principal: by,
        action: 'quarantine',
        subject: `${job} ${version}`,
        evidence: {
          trip: trip.id,
          reason: shorten(reasonOf(trip), 300),
          regions: [...trip.quarantined].sort(),
        },
      });
    }
    return incident;
  });
}

async function recorded(client: pg.PoolClient, id: string): Promise<string | undefined> {
  const { rows } = await client.query<{ incident: string }>(
    'select incident from portcullis_control.trip where id = $1',
    [id],
  );
  return rows[0]?.incident;
}

/** So that the record stays small: the run's verdicts have all of it. */
const RULES_TOLD = 20;
const ROWS_TOLD = 3;

function inShort(failed: Trip['failed']): Trip['failed'][number][] {
  return failed
    .slice(0, RULES_TOLD)
    .map((each) => ({ ...each, evidence: each.evidence.slice(0, ROWS_TOLD) }));
}

/** What a trip has closed, and why: in a sentence. */
function closedText(
  { version, region, closed: { close, why } }: Pick<Fenced, 'version' | 'region' | 'closed'>,
  flagOff: boolean,
): string {
  if (version === null)
    return `The gate of ${region} is killed${flagOff ? ' and its flag is off' : ''} (${why}).`;
  return close === 'candidate'
    ? `${version} is quarantined and may act in no region; the gate of ${region} stays open for other versions (${why}).`
    : `The gate of ${region} is killed, and ${version} may act in no region (${why}).`;
}

function whatNow(
  { job, region, version, run, stage, restore, closed }: Fenced,
  incident: string,
  flagsAt: string | undefined,
): string[] {
  const wrote = stage === 'apply' && run !== null;
  return [
    closedText({ version, region, closed }, flagsAt === undefined),
    ...(wrote && restore === 'auto' ? ['What it has written is being restored.'] : []),
    ...(wrote && restore === 'propose' ? [`To restore what it changed: portcullis restore ${incident}`] : []),
    ...(flagsAt === undefined ? [] : [unchangedElsewhere(flagsAt, job, [region])]),
    `More: portcullis incident show ${incident}`,
  ];
}
