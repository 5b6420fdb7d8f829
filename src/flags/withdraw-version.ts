import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { clearAdmission } from './admission-store.js';
import { flagName } from './definition.js';

/** A flag that gives a version no share any more. */
export interface Withdrawn {
  readonly region: string;
  readonly revision: number;
}

interface WithdrawnRow extends Withdrawn {
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * Takes a version's admission and its share away in every region, in the transaction that the client is in, and puts
 * that on record. A flag that gives it nothing stays as it is, so to do it twice is to do it once.
 *
 * Where a rollout under way gave the share and nobody has changed the flag since, the others get back what they had:
 * they lose no unit, and their runs in flight go on. Otherwise the share is held, not given to another, and the others'
 * buckets move: their runs are fenced.
 */
export async function withdrawVersion(
  client: pg.PoolClient,
  order: { readonly job: string; readonly version: string; readonly reason: string; readonly by: string },
): Promise<readonly Withdrawn[]> {
  // First: it locks all the flags in the order in which every other writer does.
  await clearAdmission(client, order);
  const { rows } = await client.query<WithdrawnRow>(
    `with given as (
       select region, variants from portcullis_control.flag
       where job = $1 and variants @> jsonb_build_array(jsonb_build_object('version', $2::text))
       order by region for update
     ), base as (
       select p.region, p.flag_revision as revision, p.base as variants
       from portcullis_control.rollout r join portcullis_control.rollout_part p on p.rollout = r.id
       where r.job = $1 and r.version = $2 and r.ended_at is null
     )
     update portcullis_control.flag f
     set variants = coalesce(
           (select b.variants from base b where b.region = f.region and b.revision = f.revision),
           jsonb_path_query_array(f.variants, '$[*] ? (@.version != $gone)', jsonb_build_object('gone', $2::text))),
         reason = $3, changed_by = $4
     from given
     where f.job = $1 and f.region = given.region
     returning f.region, f.revision, given.variants as before, f.variants as after`,
    [order.job, order.version, order.reason, order.by],
  );
  await recordAll(client, order, rows);
  return rows;
}

/** Switches one flag off, in the transaction that the client is in, and puts that on record. */
export async function switchOff(
  client: pg.PoolClient,
  order: { readonly job: string; readonly region: string; readonly reason: string; readonly by: string },
): Promise<readonly Withdrawn[]> {
  const { rows } = await client.query<WithdrawnRow>(
    `update portcullis_control.flag set enabled = false, reason = $3, changed_by = $4
     where job = $1 and region = $2 and enabled
     returning region, revision, 'on' as before, 'off' as after`,
    [order.job, order.region, order.reason, order.by],
  );
  await recordAll(client, order, rows);
  return rows;
}

async function recordAll(
  client: pg.PoolClient,
  { job, reason, by }: { readonly job: string; readonly reason: string; readonly by: string },
  rows: readonly WithdrawnRow[],
): Promise<void> {
  for (const { region, revision, before, after } of rows) {
    await recordAudit(client, {
      principal: by,
      action: 'set-flag',
      subject: flagName(job, region),
      evidence: { reason, before, after },
      flagRevision: revision,
    });
  }
}
