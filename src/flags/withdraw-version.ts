import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { flagName } from './definition.js';

/** A flag that gives a version no share any more; its share is held, not given to another. */
export interface Withdrawn {
  readonly region: string;
  readonly revision: number;
}

interface WithdrawnRow extends Withdrawn {
  readonly before: unknown;
  readonly after: unknown;
}

/**
 * Takes a version's share away in every region, in the transaction that the client is in, and puts that on
 * record. A flag that gives it nothing stays as it is, so to do it twice is to do it once.
 */
export async function withdrawVersion(
  client: pg.PoolClient,
  order: { readonly job: string; readonly version: string; readonly reason: string; readonly by: string },
): Promise<readonly Withdrawn[]> {
  const { rows } = await client.query<WithdrawnRow>(
    `with given as (
       select region, variants from portcullis_control.flag
       where job = $1 and variants @> jsonb_build_array(jsonb_build_object('version', $2::text))
       order by region for update
     )
     update portcullis_control.flag f
     set variants = jsonb_path_query_array(f.variants, '$[*] ? (@.version != $gone)', jsonb_build_object('gone', $2::text)),
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
