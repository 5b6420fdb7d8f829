import { z } from 'zod';
import { compareText } from '../kernel/text.js';
import { keyOfCursor, type Walk } from '../postgres/page.js';
import { CONFIRMED } from './database.js';
import type { GateState } from './decide.js';
import { count, durationMs, named, isoTime } from '../kernel/schema.js';
import { viewOf, viewColumns, isoOf } from '../postgres/view.js';
import { Variant } from '../flags/variant.js';

export const GATE_STATES = ['open', 'held', 'killed'] as const satisfies readonly GateState[];

/** A gate as people and programs read it. */
export const GateView = named(
  'Gate',
  z.strictObject({
    job: z.string(),
    region: z.string(),
    state: z.enum(GATE_STATES),
    permits: z
      .boolean()
      .describe(
        'whether a batch could pass now: open, with a permit that has not expired, on a database that is confirmed',
      ),
    permitUntil: isoTime.nullable().describe('null where no permit was ever given'),
    permitRemainingMs: durationMs.describe(
      "milliseconds until it expires by the database's clock; 0 once it has, or if there was none",
    ),
    epoch: z.int(),
    flagRevision: count,
    variants: z.array(Variant).readonly().describe('what the flag allowed at that revision'),
    reasonCode: z.string(),
    reason: z.string(),
    changedAt: isoTime,
    killedBy: z.string().nullable().describe('null where it is not killed'),
    killedAt: isoTime.nullable(),
    stopped: z.boolean().describe('killed with everything else: restores are stopped too'),
    quarantined: z
      .array(z.strictObject({ version: z.string(), reason: z.string(), by: z.string(), at: isoTime }))
      .readonly()
      .describe('versions of the job that may act nowhere'),
  }),
);
export type GateView = z.infer<typeof GateView>;

export interface GateFilter {
  readonly job?: string | undefined;
  /** Of any of these jobs. */
  readonly jobs?: readonly string[] | undefined;
  readonly region?: string | undefined;
}

const COLUMNS = viewColumns(GateView, {
  permits: `state = 'open' and permit_until > seen.at and ${CONFIRMED}`,
  permitUntil: "nullif(permit_until, '-infinity')",
  permitRemainingMs: `case when permit_until > seen.at
    then least(ceil(extract(epoch from permit_until - seen.at) * 1000), 2147483647)::integer else 0 end`,
  killedBy: "case when state = 'killed' then killed_by end",
  killedAt: "case when state = 'killed' then killed_at end",
  quarantined: `(
    select coalesce(jsonb_agg(jsonb_build_object(
             'version', q.version, 'reason', q.reason, 'by', q.set_by,
             'at', ${isoOf('q.set_at')})
           order by q.version), '[]')
    from portcullis_region.quarantine q where q.job = gate.job)`,
});

const GateKey = z.tuple([z.string(), z.string()]);

/** Gates by job and region, in any number of databases. */
export function gatesBy(filter: GateFilter): Walk<GateView, GateView> {
  return {
    rows: async (pool, page) => {
      const [job, region] = keyOfCursor(page.cursor, GateKey) ?? ['', ''];
      const { rows } = await pool.query<GateView>(
        `select ${COLUMNS}
         from portcullis_region.gate, (select clock_timestamp() as at) seen
         where (job collate "C", region collate "C") > ($1, $2)
           and ($3::text is null or job = $3)
           and ($4::text is null or region = $4)
           and ($6::text[] is null or job = any($6))
         order by job collate "C", region collate "C"
         limit $5`,
        [job, region, filter.job, filter.region, page.limit + 1, filter.jobs],
      );
      return rows;
    },
    compare: (one, other) => compareText(one.job, other.job) || compareText(one.region, other.region),
    item: (row) => viewOf(GateView, row),
    keyOf: (row) => [row.job, row.region],
  };
}
