import type pg from 'pg';
import { z } from 'zod';
import type { RolloutDocument } from '../flags/rollout-document.js';
import { typedRollout } from '../flags/rollout-policy.js';
import type { Incident } from './incident.js';
import { count } from '../kernel/schema.js';

/** A step of the version's rollout that nobody checked: its bake was skipped. */
export const UncheckedStep = z.strictObject({
  region: z.string(),
  permille: count,
  by: z.string(),
  approvedBy: z.string().nullable().describe('null: nobody had to agree, in a release before'),
  reason: z.string(),
});
export type UncheckedStep = z.infer<typeof UncheckedStep>;

interface Row {
  readonly region: string;
  readonly policy: RolloutDocument;
  /** Null on a schema that does not keep them. */
  readonly skipped:
    | readonly {
        readonly step: number;
        readonly by: string;
        readonly approvedBy?: string;
        readonly reason: string;
      }[]
    | null;
}

/** What rollouts of the incident's version left unchecked, the newest rollout first. */
export async function uncheckedSteps(
  control: pg.Pool,
  { job, version }: Pick<Incident, 'job' | 'version'>,
): Promise<UncheckedStep[]> {
  if (version === null) return [];
  const { rows } = await control.query<Row>(
    `select p.region, r.policy, to_jsonb(p) -> 'skipped' as skipped
     from portcullis_control.rollout r join portcullis_control.rollout_part p on p.rollout = r.id
     where r.job = $1 and r.version = $2 order by r.started_at desc, p.region`,
    [job, version],
  );
  return rows.flatMap(({ region, policy, skipped }) => {
    if (skipped === null || skipped.length === 0) return [];
    const wave = typedRollout(policy).waves.find(({ regions }) => regions.includes(region));
    return skipped.map(({ step, by, approvedBy = null, reason }) => ({
      ...{ region, permille: wave?.stepsPermille[step] ?? 0, by, approvedBy, reason },
    }));
  });
}

/** `the bake of 10% in eu-west-1 was skipped by ann, approved by bob: a fix that cannot wait`. */
export function uncheckedText({ region, permille, by, approvedBy, reason }: UncheckedStep): string {
  const who = approvedBy === null ? by : `${by}, approved by ${approvedBy}`;
  return `the bake of ${permille / 10}% in ${region} was skipped by ${who}: ${reason}`;
}
