import type pg from 'pg';
import { z } from 'zod';
import { count, isoTime, named } from '../kernel/schema.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import type { BreakGlassEnd } from './break-glass.js';
import { time } from '../kernel/words.js';

const BREAK_GLASS_ENDS = ['expired', 'revoked', 'cleared'] as const satisfies readonly BreakGlassEnd[];

/** Break-glass of a version in a region, as people and programs read it. */
export const BreakGlass = named(
  'BreakGlass',
  z.strictObject({
    id: z.string().describe('the request that two people agreed on; one may be for several regions'),
    job: z.string(),
    region: z.string(),
    version: z.string(),
    permille: count.describe('thousandths of the region’s units'),
    reason: z.string(),
    requestedBy: z.string(),
    approvedBy: z.string(),
    grantedAt: isoTime,
    expiresAt: isoTime,
    inForce: z.boolean().describe('whether it counts now'),
    endedAt: isoTime.nullable().describe('null: it is in force'),
    ended: z.enum(BREAK_GLASS_ENDS).nullable(),
    endedBy: z.string().nullable(),
    endedReason: z.string().nullable(),
    runs: z.array(z.guid()).readonly().describe('the runs that were planned under it'),
  }),
);
export type BreakGlass = z.infer<typeof BreakGlass>;

const VIEW = `
  select ${viewColumns(BreakGlass, {
    inForce: 'b.ended_at is null and b.expires_at > clock_timestamp()',
    endedAt: 'coalesce(b.ended_at, case when b.expires_at <= clock_timestamp() then b.expires_at end)',
    ended: "coalesce(b.ended, case when b.expires_at <= clock_timestamp() then 'expired' end)",
    runs: `(
      select coalesce(jsonb_agg(r.run order by r.heard_at), '[]') from portcullis_control.break_glass_run r
      where r.id = b.id and r.region = b.region)`,
  })}
  from portcullis_control.break_glass b`;

/** The most that one answer lists. */
const MOST = 1_000;

/** Break-glass, newest first: all that there ever was, at most 1,000; or only what is in force. */
export async function listBreakGlass(
  control: pg.Pool | pg.PoolClient,
  filter: {
    readonly id?: string | undefined;
    readonly job?: string | undefined;
    readonly version?: string | undefined;
    readonly inForce?: boolean | undefined;
  } = {},
): Promise<BreakGlass[]> {
  const { rows } = await control.query<object>(
    `${VIEW}
     where ($1::text is null or b.job = $1) and ($2::text is null or b.version = $2)
       and (not $3::boolean or b.ended_at is null and b.expires_at > clock_timestamp())
       and ($5::text is null or b.id = $5)
     order by b.granted_at desc, b.region limit $4`,
    [filter.job ?? null, filter.version ?? null, filter.inForce ?? false, MOST, filter.id ?? null],
  );
  return rows.map((row) => viewOf(BreakGlass, row));
}

/** `50% by break-glass k3vq7m2x until 2026-11-23T10:00:00Z: the queue must be emptied (ann, approved by bob)`. */
export function breakGlassLine(grant: BreakGlass): string {
  const { id, version, region, permille, reason, requestedBy, approvedBy, expiresAt, endedAt } = grant;
  const end =
    endedAt === null
      ? `until ${time(expiresAt)}`
      : `from ${time(grant.grantedAt)} to ${time(endedAt)} (${grant.ended ?? ''}${grant.endedBy === null || grant.ended === 'expired' ? '' : ` by ${grant.endedBy}`})`;
  return `break-glass ${id}: ${version} for ${permille / 10}% of ${region} ${end}, asked for by ${requestedBy}, approved by ${approvedBy}: ${reason}`;
}
