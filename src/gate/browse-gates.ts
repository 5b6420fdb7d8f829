import { z } from 'zod';
import type { Variant } from '../flags/definition.js';
import { compareText } from '../kernel/text.js';
import { keyOfCursor, type Walk } from '../postgres/page.js';
import { CONFIRMED } from './database.js';
import type { GateState } from './decide.js';

export const GATE_STATES = ['open', 'held', 'killed'] as const satisfies readonly GateState[];

/** A gate as people and programs read it. Times are ISO 8601 in UTC. */
export interface GateView {
  readonly job: string;
  readonly region: string;
  readonly state: GateState;
  /** Whether a batch could pass now: open, with a permit that has not expired, on a database that is confirmed. */
  readonly permits: boolean;
  /** Null where no permit was ever given. */
  readonly permitUntil: string | null;
  /** Milliseconds until the permit expires by the database's clock; 0 once it has, or if there was none. */
  readonly permitRemainingMs: number;
  readonly epoch: number;
  readonly flagRevision: number;
  /** What the flag allowed at that revision: shares in thousandths. */
  readonly variants: readonly Variant[];
  readonly reasonCode: string;
  readonly reason: string;
  readonly changedAt: string;
  /** By whom and when it was killed; null where it is not. */
  readonly killedBy: string | null;
  readonly killedAt: string | null;
  /** Killed with everything else: restores are stopped too. */
  readonly stopped: boolean;
  /** Versions of the job that may act in no region, by version. */
  readonly quarantined: readonly QuarantinedVersion[];
}

export interface QuarantinedVersion {
  readonly version: string;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
}

export interface GateFilter {
  readonly job?: string | undefined;
  readonly region?: string | undefined;
}

export interface GateRow extends Omit<GateView, 'permitUntil' | 'changedAt' | 'killedAt'> {
  readonly permit_until: Date | null;
  readonly changed_at: Date;
  readonly killed_at: Date | null;
}

const GateKey = z.tuple([z.string(), z.string()]);

/** Gates by job and region, in any number of databases. */
export function gatesBy(filter: GateFilter): Walk<GateRow, GateView> {
  return {
    rows: async (pool, page) => {
      const [job, region] = keyOfCursor(page.cursor, GateKey) ?? ['', ''];
      const { rows } = await pool.query<GateRow>(
        `select job, region, state,
                state = 'open' and permit_until > seen.at and ${CONFIRMED} as permits,
                nullif(permit_until, '-infinity') as permit_until,
                case when permit_until > seen.at
                     then least(ceil(extract(epoch from permit_until - seen.at) * 1000), 2147483647)::integer
                     else 0 end as "permitRemainingMs",
                epoch, flag_revision as "flagRevision", variants, reason_code as "reasonCode", reason, changed_at,
                stopped, case when state = 'killed' then killed_by end as "killedBy",
                case when state = 'killed' then killed_at end as killed_at,
                (select coalesce(jsonb_agg(jsonb_build_object(
                          'version', q.version, 'reason', q.reason, 'by', q.set_by,
                          'at', to_char(q.set_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                        order by q.version), '[]')
                 from portcullis_region.quarantine q where q.job = gate.job) as quarantined
         from portcullis_region.gate, (select clock_timestamp() as at) seen
         where (job collate "C", region collate "C") > ($1, $2)
           and ($3::text is null or job = $3)
           and ($4::text is null or region = $4)
         order by job collate "C", region collate "C"
         limit $5`,
        [job, region, filter.job, filter.region, page.limit + 1],
      );
      return rows;
    },
    compare: (one, other) => compareText(one.job, other.job) || compareText(one.region, other.region),
    item: gateView,
    keyOf: (row) => [row.job, row.region],
  };
}

function gateView({ permit_until, changed_at, killed_at, ...row }: GateRow): GateView {
  return {
    ...row,
    permitUntil: permit_until?.toISOString() ?? null,
    changedAt: changed_at.toISOString(),
    killedAt: killed_at?.toISOString() ?? null,
  };
}
