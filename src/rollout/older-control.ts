import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { countOf } from '../kernel/words.js';
import { endBreakGlass } from '../flags/break-glass.js';
import { clearAdmission } from '../flags/admission-store.js';
import { notify } from '../notify/notice.js';
import { databaseTime } from '../postgres/database-clock.js';
import { inTransaction } from '../postgres/pool.js';
import { endRollout } from './end-rollout.js';
import { lockRollout, recordEvent, type Rollout, rolloutsUnderWay } from './rollout-store.js';

/** What a region has seen and the control database no longer has. */
export interface Forgotten {
  /** Versions whose admission changed since: they are admitted to nothing now. */
  readonly versions: readonly { readonly job: string; readonly region: string; readonly version: string }[];
  /** Flags that changed since: they are closed until somebody sets them. */
  readonly flags: readonly { readonly job: string; readonly region: string }[];
}

interface Seen {
  readonly job: string;
  readonly region: string;
  readonly version: string;
  readonly revision: number;
}

const NONE: Forgotten = { versions: [], flags: [] };
const REASON = 'the control database is older than what this region has seen: it was restored from a backup';

/**
 * Finds out whether the control database is older than what a region has seen, as after it was restored from a backup:
 * its admissions and flags may be of before an abort. Each version whose admission is older is admitted to nothing, on
 * record, until a new rollout or break-glass admits it; each flag that is older stays closed until somebody sets it. A
 * rollout of such a version is aborted where it is under way by what the backup says: it may have been aborted since, and
 * would go on by itself on the evidence that the regions have. Flags are left as they are, since to set one would open it.
 * From then on revisions are drawn above all that the region has seen. `ownFlags`: flags are in the control database.
 */
export async function settleOlderControl(
  control: pg.Pool,
  owner: pg.Pool,
  by: string,
  ownFlags: boolean,
): Promise<Forgotten> {
  // The region first: what it has seen, the control database has had before.
  const { rows: seen } = await owner.query<Seen>(
    `select job, region, version, admission_revision as revision from portcullis_region.version_epoch
     where admission_revision > 0`,
  );
  const { rows: gates } = await owner.query<Omit<Seen, 'version'>>(
    'select job, region, flag_revision as revision from portcullis_region.gate where $1 and flag_revision > 0',
    [ownFlags],
  );
  if ((await forgotten(control, seen, gates)) === NONE) return NONE;
  return inTransaction(control, async (client) => {
    // Before the flags, as whatever advances a rollout does.
    const underWay: Rollout[] = [];
    for (const id of await rolloutsUnderWay(client)) {
      const rollout = await lockRollout(client, id, false);
      if (rollout !== undefined) underWay.push(rollout);
    }
    await client.query(
      'lock table portcullis_control.flag, portcullis_control.admission in share row exclusive mode',
    );
    const found = await forgotten(client, seen, gates);
    if (found === NONE) return NONE;
    await client.query(
      `select setval('portcullis_control.admission_revision', greatest(last_value, $1)) from portcullis_control.admission_revision`,
      [Math.max(1, ...seen.map(({ revision }) => revision))],
    );
    await client.query(
      `select setval('portcullis_control.flag_revision', greatest(last_value, $1)) from portcullis_control.flag_revision`,
      [Math.max(1, ...gates.map(({ revision }) => revision))],
    );
    for (const { job, region, version } of found.versions) {
      await endBreakGlass(client, { job, version }, { ended: 'cleared', by, reason: REASON });
      await client.query(
        `insert into portcullis_control.admission (job, region, version, permille, source, reason, changed_by)
         values ($1, $2, $3, 0, 'cleared', $4, $5)
         on conflict (job, region, version) do update
         set permille = 0, source = 'cleared', reason = $4, changed_by = $5`,
        [job, region, version, REASON, by],
      );
    }
    const ended = underWay.filter(({ job, version }) =>
      found.versions.some((each) => each.job === job && each.version === version),
    );
    for (const rollout of ended) await abort(client, rollout, by);
    const regions = new Set([...found.versions, ...found.flags].map(({ region }) => region));
    await recordAudit(client, {
      principal: by,
      action: 'settle-older-control',
      subject: [...regions].sort().join(', '),
      evidence: {
        ...{ reason: REASON, versions: found.versions, flags: found.flags },
        rolloutsAborted: ended.map(({ id }) => id),
      },
    });
    await notify(client, {
      kind: 'hold',
      title: `the control database is older than ${[...regions].sort().join(', ')}: ${countOf(found.versions.length, 'admission')} and ${countOf(found.flags.length, 'flag')} no longer count`,
      lines: [
        'It seems to be restored from a backup. What changed since then may be an abort, a trip or a kill.',
        ...found.versions.map(
          ({ job, region, version }) =>
            `${version} of ${job} is admitted to nothing in ${region}: roll it out again, or ask for break-glass.`,
        ),
        ...found.flags.map(
          ({ job, region }) =>
            `The flag ${job}.${region} stays closed until somebody sets it: portcullis flags set`,
        ),
      ],
      details: { versions: found.versions, flags: found.flags },
    });
    return found;
  });
}

/** Ends a rollout without a change to its flags. */
async function abort(client: pg.PoolClient, rollout: Rollout, by: string): Promise<void> {
  const end = { at: await databaseTime(client), by, reason: REASON };
  await clearAdmission(client, { job: rollout.job, version: rollout.version, reason: REASON, by });
  await endRollout(client, rollout, { status: 'aborted', ...end });
  await recordEvent(client, rollout, { action: 'abort', ...end, evidence: {} });
}

/** What of this the control database does not have, or has as it was before. */
async function forgotten(
  control: pg.Pool | pg.PoolClient,
  seen: readonly Seen[],
  gates: readonly Omit<Seen, 'version'>[],
): Promise<Forgotten> {
  const { rows: versions } = await control.query<Omit<Seen, 'revision'>>(
    `select s.job, s.region, s.version
     from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as s (job, region, version, revision)
     left join portcullis_control.admission a using (job, region, version)
     where coalesce(a.revision, 0) < s.revision order by 1, 2, 3`,
    [
      ...[seen.map(({ job }) => job), seen.map(({ region }) => region)],
      ...[seen.map(({ version }) => version), seen.map(({ revision }) => revision)],
    ],
  );
  const { rows: flags } = await control.query<Forgotten['flags'][number]>(
    `select f.job, f.region from unnest($1::text[], $2::text[], $3::bigint[]) as g (job, region, revision)
     join portcullis_control.flag f using (job, region)
     where f.revision < g.revision
       and g.revision > (select last_value from portcullis_control.flag_revision) order by 1, 2`,
    [gates.map(({ job }) => job), gates.map(({ region }) => region), gates.map(({ revision }) => revision)],
  );
  return versions.length === 0 && flags.length === 0 ? NONE : { versions, flags };
}
