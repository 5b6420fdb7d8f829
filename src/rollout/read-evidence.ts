import type pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { type FlagState } from '../flags/flag-store.js';
import {
  type FlagStanding,
  type Reach,
  type RegionEvidence,
  type RuleVerdict,
  UNREAD,
  type WaveEvidence,
} from './evidence.js';
import type { Rollout, StoredPart } from './rollout-store.js';
import { sameShares, sharesWith } from './shares.js';

/** Where a rollout's evidence comes from. */
export interface EvidenceSources {
  /** The database of a region. */
  readonly regionOf: (region: string) => pg.Pool;
  /** What the bake rules last said of a version in a region: one verdict of each rule of the policy. */
  readonly verdictsOf: (job: string, version: string, region: string) => Promise<readonly RuleVerdict[]>;
}

/** How many units a region has for a job; undefined where that cannot be told. */
export type UnitsOf = (job: string, region: string) => Promise<number | undefined>;

interface RunsRow {
  readonly runs: number;
  readonly changes: number;
  readonly watched: number;
  readonly fault: string | null;
  readonly killed: string | null;
  readonly quarantined: string | null;
}

/**
 * Reads what is known of the version in every region. Never throws for a region that cannot be read: that is
 * a verdict, `unreachable`. `served`: the regions in which a worker can run the version now.
 */
export async function readEvidence(
  sources: EvidenceSources,
  rollout: Rollout,
  flags: readonly FlagState[],
  served: readonly string[],
  now: Date,
): Promise<RegionEvidence[]> {
  return Promise.all(
    rollout.parts.map(async (part): Promise<RegionEvidence> => {
      const { region } = part;
      const flag = flagStanding(
        rollout,
        part,
        flags.find((each) => each.region === region),
      );
      const here = { region, flag, served: served.includes(region) };
      try {
        const [row, verdicts] = await Promise.all([
          readRuns(sources.regionOf(region), rollout, part),
          part.step < 0 ? [] : sources.verdictsOf(rollout.job, rollout.version, region),
        ]);
        return {
          ...here,
          runs: row.runs,
          changes: row.changes,
          runsWatched: row.watched,
          ...(row.fault !== null && { runFault: row.fault }),
          ...(row.killed !== null && { killed: row.killed }),
          ...(row.quarantined !== null && { quarantined: row.quarantined }),
          verdicts,
        };
      } catch (error) {
        const reason = `evidence: it could not be read: ${messageOf(error)}`;
        const verdict: RuleVerdict = { rule: UNREAD, verdict: 'unreachable', reason, judgedAt: now };
        return { ...here, runs: 0, changes: 0, runsWatched: 0, verdicts: [verdict] };
      }
    }),
  );
}

/** Runs count by the flag's revision that they were admitted under: only those under this share, no other. */
async function readRuns(pool: pg.Pool, rollout: Rollout, part: StoredPart): Promise<RunsRow> {
  const { rows } = await pool.query<RunsRow>(
    `with mine as (
       select status, reason, applied, finished_at, created_at from portcullis_region.run
       where job = $1 and region = $2 and version = $3 and flag_revision >= $4
         and not dry_run and restores is null and finished_at is not null
     )
     select count(*) filter (where status = 'succeeded') as runs,
            coalesce(sum((select sum(value::bigint) from jsonb_each_text(applied))) filter (where status = 'succeeded'), 0)::bigint as changes,
            count(*) filter (where status = 'succeeded' and finished_at >= $5) as watched,
            (select 'its newest run was ' || status || ': ' || reason
             from (select status, reason from mine order by created_at desc limit 1) newest
             where status in ('refused', 'failed')) as fault,
            (select reason from portcullis_region.gate where job = $1 and region = $2 and state = 'killed') as killed,
            (select reason from portcullis_region.quarantine where job = $1 and version = $3) as quarantined
     from mine`,
    // Before its first step nothing counts; yet whether the gate is killed is of interest even then.
    [
      rollout.job,
      part.region,
      rollout.version,
      part.flagRevision ?? Number.MAX_SAFE_INTEGER,
      rollout.watchedSince,
    ],
  );
  return rows[0] ?? { runs: 0, changes: 0, watched: 0, fault: null, killed: null, quarantined: null };
}

/** How a flag stands to what the rollout set there. Before the first step the version must have no share. */
export function flagStanding(
  rollout: Pick<Rollout, 'version' | 'policy'>,
  part: StoredPart,
  flag: FlagState | undefined,
): FlagStanding {
  if (flag === undefined) return { as: 'off', reason: 'there is no flag' };
  const { name, changedBy, reason } = flag;
  if (!flag.enabled) {
    return {
      as: 'off',
      reason: `${name} is off, by ${changedBy}: ${reason}; a rollout never turns a flag on`,
    };
  }
  const expected = sharesOf(rollout, part);
  const asSet =
    flag.malformed === undefined &&
    (expected === undefined
      ? !flag.variants.some(({ version }) => version === rollout.version)
      : sameShares(flag.variants, expected));
  if (asSet) return { as: 'set' };
  const what = flag.malformed ?? `${changedBy} changed its shares: ${reason}`;
  return { as: 'changed', reason: `${name}: ${what}; portcullis rollout resume sets them again` };
}

/** The shares that a region's flag should have; undefined before its first step. */
export function sharesOf({ version, policy }: Pick<Rollout, 'version' | 'policy'>, part: StoredPart) {
  const permille = permilleOf(policy, part);
  return part.base === null || permille === 0 ? undefined : sharesWith(part.base, version, permille);
}

/** The share that a region's step gives; 0 before the first. */
export function permilleOf(
  policy: Rollout['policy'],
  { region, step }: Pick<StoredPart, 'region' | 'step'>,
): number {
  return policy.waves.find((wave) => wave.regions.includes(region))?.stepsPermille[step] ?? 0;
}

/** What is put to whoever approves a wave, or that its bake is skipped: all that is known of the regions that have begun. */
export function waveEvidence(
  rollout: Rollout,
  wave: string,
  evidence: readonly RegionEvidence[],
  reach?: Reach,
): WaveEvidence {
  return {
    rollout: rollout.id,
    version: rollout.version,
    wave,
    regions: rollout.parts
      .filter(({ step }) => step >= 0)
      .map((part) => {
        const seen = evidence.find(({ region }) => region === part.region);
        const trouble = part.done || seen === undefined ? undefined : troubleOf(seen);
        return {
          region: part.region,
          permille: permilleOf(rollout.policy, part),
          runs: seen?.runs ?? 0,
          changes: seen?.changes ?? 0,
          ...(trouble !== undefined && { trouble }),
          ...(part.skipped.length > 0 && { skipped: part.skipped }),
          verdicts: Object.fromEntries((seen?.verdicts ?? []).map(({ rule, verdict }) => [rule, verdict])),
        };
      }),
    ...(reach && { reach }),
  };
}

function troubleOf({ flag, killed, quarantined, runFault }: RegionEvidence): string | undefined {
  if (flag.as !== 'set') return flag.reason;
  return killed ?? quarantined ?? runFault;
}

/** Whom the steps give the version to: of each region its step, from 0, as far as its units can be counted. */
export async function reachOf(
  unitsOf: UnitsOf | undefined,
  { job, policy }: Pick<Rollout, 'job' | 'policy'>,
  steps: readonly { readonly region: string; readonly step: number }[],
): Promise<Reach> {
  const shares = steps.map((part) => ({ region: part.region, permille: permilleOf(policy, part) }));
  const counted = await Promise.all(
    shares.map(async ({ region, permille }) => {
      const all = await unitsOf?.(job, region).catch(() => undefined);
      return all === undefined ? null : Math.round((all * permille) / 1000);
    }),
  );
  return {
    permille: Object.fromEntries(shares.map(({ region, permille }) => [region, permille])),
    units: counted.reduce((sum, each) => (sum === null || each === null ? null : sum + each), 0),
  };
}
