import type pg from 'pg';
import { faultPoint } from '../kernel/fault-point.js';
import { REASON_LETTERS } from '../kernel/reason.js';
import { shorten } from '../kernel/text.js';
import { admitVersion } from '../flags/admission-store.js';
import { type FlagState, listFlags, lockFlags, setFlag } from '../flags/flag-store.js';
import { loadPolicy } from '../flags/policy-store.js';
import { nthSlot } from '../runs/slots.js';
import { databaseTime } from '../postgres/database-clock.js';
import { inTransaction } from '../postgres/pool.js';
import { regionsServed } from './announce.js';
import { endRollout } from './end-rollout.js';
import type { RegionEvidence, WaveEvidence } from './evidence.js';
import { type AdvancePlan, type Decision, planAdvance } from './plan-advance.js';
import {
  type EvidenceSources,
  flagStanding,
  permilleOf,
  reachOf,
  readEvidence,
  type UnitsOf,
  waveEvidence,
} from './read-evidence.js';
import { lockRollout, recordEvent, type Rollout, ROLLOUT_PRINCIPAL } from './rollout-store.js';
import { sharesWith } from './shares.js';
import { weighSkips } from './skip-bake.js';
import type { Fault } from './stop-version.js';
import { takeBack } from './take-back.js';
import { askForWave, lapseRejected, weighApprovals } from './wave-approval.js';

/** What moving rollouts takes. */
export interface AdvancePorts extends EvidenceSources {
  /** The control plane, over the owner's login. */
  readonly control: pg.Pool;
  /** Stops a version before anything else is done about it: see `stopVersion`. May be called again. */
  readonly trip: (fault: Fault) => Promise<void>;
  /** What approvals are bound to; absent: units are not counted. */
  readonly unitsOf?: UnitsOf;
  /** Absent: the database's clock. */
  readonly now?: () => Date;
}

/** What a look at a rollout came to. */
export interface Looked extends AdvancePlan {
  /** As it stood before the decision. */
  readonly rollout: Rollout;
  readonly evidence: readonly RegionEvidence[];
}

/** The longest that a look may be late before what happened meanwhile counts as unwatched. */
const UNWATCHED_MS = 60_000;

/**
 * Looks at a rollout and moves each of its regions by one step at most. Safe to call from any number of processes:
 * whoever has the rollout's lock looks, the others pass on. Flags, rollout, its history and the audit log change
 * together or not at all; a version that failed is stopped before. Answers undefined where another process has it,
 * or it is over.
 */
export async function advanceRollout(ports: AdvancePorts, id: string): Promise<Looked | undefined> {
  const looked = await inTransaction(ports.control, (client) => look(ports, client, id));
  if (looked?.decision.action === 'advance') await faultPoint('rollout.committed');
  if (looked?.decision.action === 'abort') await abort(ports, looked.rollout, looked.decision);
  return looked;
}

async function look(ports: AdvancePorts, client: pg.PoolClient, id: string): Promise<Looked | undefined> {
  const locked = await lockRollout(client, id, true);
  if (!locked) return undefined;
  const now = ports.now?.() ?? (await databaseTime(client));
  const flags = await listFlags(client, locked.job);
  const turned = await noteHandTurned(client, await noteLook(client, locked, now), flags, now);
  const served = await regionsServed(client, turned);
  const evidence = await readEvidence(ports, turned, flags, served, now);
  const rollout = await weighSkips(client, ports, turned, evidence, now);
  const evidenceOf = async (wave: string): Promise<WaveEvidence> => {
    const regions = rollout.policy.waves.find(({ name }) => name === wave)?.regions ?? [];
    const first = regions.map((region) => ({ region, step: 0 }));
    return waveEvidence(rollout, wave, evidence, await reachOf(ports.unitsOf, rollout, first));
  };
  const approvals = await weighApprovals(client, rollout, evidenceOf, now);
  const { rejected } = approvals;
  if (rejected && rollout.status === 'running') {
    await lapseRejected(client, rollout.id);
    await client.query(`update portcullis_control.rollout set status = 'paused' where id = $1`, [rollout.id]);
    const reason = `wave ${rejected.wave} was refused`;
    await recordEvent(client, rollout, { at: now, action: 'pause', by: rejected.by, reason, evidence: {} });
  }
  const paused = rollout.status === 'paused' || rejected !== undefined;
  const plan = planAdvance(
    rollout.policy,
    { ...rollout, paused, approved: approvals.approved },
    evidence,
    now,
    await slotsOf(client, rollout.job, now),
  );
  const { decision } = plan;
  await faultPoint('rollout.decided');
  if (decision.action === 'advance') await carryOut(client, rollout, decision, evidence, flags, now);
  if (
    decision.action === 'hold' &&
    decision.approvalOf !== undefined &&
    !approvals.asked.has(decision.approvalOf)
  ) {
    await askForWave(client, rollout, await evidenceOf(decision.approvalOf));
  }
  return { rollout, evidence, ...plan };
}

/** Notes that somebody looks now. After a gap, watching begins again. */
async function noteLook(client: pg.PoolClient, rollout: Rollout, now: Date): Promise<Rollout> {
  const gap = now.getTime() - rollout.lookedAt.getTime() > UNWATCHED_MS;
  const watchedSince = gap ? now : rollout.watchedSince;
  await client.query(
    'update portcullis_control.rollout set looked_at = $2, watched_since = $3 where id = $1',
    [rollout.id, now, watchedSince],
  );
  return { ...rollout, lookedAt: now, watchedSince };
}

/**
 * A flag that was turned off by hand and on again, or rewritten, has the share that it should have under a
 * newer revision. What came before that is evidence no more: the bake begins again.
 */
async function noteHandTurned(
  client: pg.PoolClient,
  rollout: Rollout,
  flags: readonly FlagState[],
  now: Date,
): Promise<Rollout> {
  const parts = [];
  for (const part of rollout.parts) {
    const flag = flags.find(({ region }) => region === part.region);
    const turned =
      flag !== undefined &&
      !part.done &&
      part.step >= 0 &&
      flag.revision !== part.flagRevision &&
      flagStanding(rollout, part, flag).as === 'set';
    parts.push(turned ? { ...part, since: now, flagRevision: flag.revision } : part);
    if (!turned) continue;
    await client.query(
      'update portcullis_control.rollout_part set since = $3, flag_revision = $4 where rollout = $1 and region = $2',
      [rollout.id, part.region, now, flag.revision],
    );
  }
  return { ...rollout, parts };
}

async function carryOut(
  client: pg.PoolClient,
  rollout: Rollout,
  decision: Extract<Decision, { action: 'advance' }>,
  evidence: readonly RegionEvidence[],
  seen: readonly FlagState[],
  now: Date,
): Promise<void> {
  // All of them at once: two writers who each had one and wanted the other's would wait for ever.
  await lockFlags(client, rollout.job);
  const revisions: Record<string, number> = {};
  for (const { region, to, skips } of decision.moves) {
    const part = rollout.parts.find((each) => each.region === region);
    const flag = seen.find((each) => each.region === region);
    if (part === undefined || flag === undefined) continue;
    const skipped = JSON.stringify(skips ? [skips] : []);
    if (to === 'done') {
      await client.query(
        `update portcullis_control.rollout_part
         set done_at = $3, waived_by = null, waived_reason = null, waived_approved = null, skipped = skipped || $4::jsonb
         where rollout = $1 and region = $2`,
        [rollout.id, region, now, skipped],
      );
      continue;
    }
    const base = part.base ?? flag.variants;
    const permille = permilleOf(rollout.policy, { region, step: to });
    const { job, version } = rollout;
    const reason = shorten(`rollout of ${version}: ${decision.reason}`, REASON_LETTERS);
    const by = ROLLOUT_PRINCIPAL;
    await admitVersion(client, { job, region, version, permille, source: 'rollout', reason, by });
    const set = await setFlag(client, {
      ...{ job, region, reason, changedBy: by, beyond: 'close' },
      variants: sharesWith(base, version, permille),
      // What was decided on must still be so.
      ifRevision: flag.revision,
    });
    revisions[region] = set.revision;
    await faultPoint('rollout.flag-set');
    await client.query(
      `update portcullis_control.rollout_part
       set step = $3, since = $4, flag_revision = $5, base = $6, waived_by = null, waived_reason = null, waived_approved = null,
           skipped = skipped || $7::jsonb
       where rollout = $1 and region = $2`,
      [rollout.id, region, to, now, set.revision, JSON.stringify(base), skipped],
    );
  }
  const complete = decision.moves.length === 0;
  const { reason } = decision;
  const by = ROLLOUT_PRINCIPAL;
  if (complete) await endRollout(client, rollout, { status: 'completed', at: now, by, reason });
  const shown = waveEvidence(rollout, '', evidence).regions;
  await recordEvent(client, rollout, {
    at: now,
    action: complete ? 'complete' : 'advance',
    by,
    reason,
    evidence: { moves: decision.moves, regions: shown, flagRevisions: revisions },
  });
  await faultPoint('rollout.before-commit');
}

/** The world is made safe first, and then the books: whoever dies in between leaves a version that can't act. */
async function abort(
  ports: AdvancePorts,
  rollout: Rollout,
  decision: Extract<Decision, { action: 'abort' }>,
): Promise<void> {
  const { job, version, id } = rollout;
  const { reason, region, failed } = decision;
  await ports.trip({ job, version, region, reason, ...(failed && { failed }) });
  await faultPoint('rollout.tripped');
  await inTransaction(ports.control, async (client) => {
    const locked = await lockRollout(client, id, false);
    if (!locked) return;
    const at = ports.now?.() ?? (await databaseTime(client));
    const evidence = { region, ...(failed && { rule: failed.rule }) };
    await takeBack(client, locked, { at, by: ROLLOUT_PRINCIPAL, reason, evidence });
    await faultPoint('rollout.before-commit');
  });
}

async function slotsOf(
  client: pg.PoolClient,
  job: string,
  now: Date,
): Promise<(n: number) => Date | undefined> {
  const loaded = await loadPolicy(client, job);
  return (n) => (loaded.ok ? nthSlot(loaded.policy.schedule, n, now) : undefined);
}
