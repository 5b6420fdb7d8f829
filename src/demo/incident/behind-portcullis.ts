import type pg from 'pg';
import { flagName } from '../../flags/definition.js';
import type { Policy } from '../../flags/policy.js';
import { applyPolicies } from '../../flags/policy-store.js';
import { killJob } from '../../containment/kill.js';
import { reasonOf, tripOfRun } from '../../containment/trip-row.js';
import { restoreRuns } from '../../worker/restore-runs.js';
import type { RunReport } from '../../worker/run-loop.js';
import { startRollout } from '../../rollout/start-rollout.js';
import { watchBake, type GuardWatch } from './guard-watch.js';
import { live, logIn, SLOT_MINUTES } from './life.js';
import { countEditsLost, countRowsNotAsBefore, countWrongClaims, measureHarm } from './measure.js';
import { PEOPLE } from './people.js';
import { policyWith, type Layer } from './policies.js';
import type { Reading, Span, WorldOutcome } from './result.js';
import { hearFlags, runSlot } from './run-slot.js';
import { PEOPLE_NOTICE_MINUTES } from './without-guard.js';
import { regionsOf } from './world.js';
import type { OpenWorld, Say } from './world-port.js';

const MINUTE_MS = 60_000;

const GUARDED: Readonly<Record<Layer, string>> = {
  'as shipped': 'The policy as it ships: flags/domain-claim.yaml.',
  'without invariants':
    'The same, as if nobody had written down what must hold: caps, counts and outcomes are left.',
  'login failures only':
    'The same, without caps and counts too: outcomes are left, that is, users who cannot log in.',
};

/** What noticed, when, and how fast it was stopped. */
interface Noticed {
  readonly by: string;
  /** Null where nobody did: there was nothing to notice. */
  readonly detect: Span | null;
  readonly stop: Span;
}

/** When the first slot is by the world's clock, and when it is here: the rollout goes by the minutes after that. */
interface Beginning {
  readonly shippedAt: Date;
  readonly startedAt: Date;
}

/**
 * The faulty version is rolled out as the policy says, from nothing: by the gate, the guard, the rollout and the
 * restore that are there for any version. Minutes are those of the world's clock; the rollout goes by it too.
 */
export async function portcullisWorld(
  world: OpenWorld,
  layer: Layer,
  shippedAt: Date,
  say: Say,
): Promise<WorldOutcome> {
  const { owner, faulty } = world;
  const file = await policyWith(layer, regionsOf(world.size));
  await applyPolicies(owner, [file], PEOPLE.name);
  const { policy } = file;
  const startedAt = new Date();
  await dateHistory(owner, { shippedAt, startedAt });
  const rollout = await startRollout(
    owner,
    { job: policy.job, version: faulty.version, reason: 'verify sooner', now: startedAt },
    PEOPLE,
  );
  const readings: Reading[] = [{ minute: 0, wronglyClaimed: 0 }];
  const noticed = await untilNoticed(
    world,
    policy,
    watchBake(world, policy, rollout.id),
    { shippedAt, startedAt },
    readings,
    say,
  );
  const harm = await measureHarm(owner);
  say('restoring from the journal');
  const restored = await restoreAll(world, policy);
  return {
    guarded: GUARDED[layer],
    ...harm,
    noticedBy: noticed.by,
    detect: noticed.detect,
    stop: noticed.stop,
    ...restored,
    editsLost: await countEditsLost(owner),
    rowsNotAsBefore: await countRowsNotAsBefore(owner),
    readings,
  };
}

/**
 * The healthy runs began with their slots, by the world's clock, on which it is the first minute now: what this
 * machine has taken since is no measure of a pause.
 */
async function dateHistory(owner: pg.Pool, { shippedAt, startedAt }: Beginning): Promise<void> {
  await owner.query(
    'update portcullis_region.run set created_at = slot + ($2::timestamptz - $1::timestamptz)',
    [shippedAt, startedAt],
  );
}

async function untilNoticed(
  world: OpenWorld,
  policy: Policy,
  watch: GuardWatch,
  { shippedAt, startedAt }: Beginning,
  readings: Reading[],
  say: Say,
): Promise<Noticed> {
  const { owner, size, signal } = world;
  for (let minute = 0; minute < PEOPLE_NOTICE_MINUTES; minute += 1) {
    signal.throwIfAborted();
    say(`minute ${minute} of ${PEOPLE_NOTICE_MINUTES}`);
    const tripped = await watch.look(new Date(startedAt.getTime() + minute * MINUTE_MS));
    if (tripped) {
      readings.push({ minute, wronglyClaimed: await countWrongClaims(owner) });
      return {
        by: reasonOf(tripped.trip),
        detect: { ms: minute * MINUTE_MS, clock: 'virtual' },
        stop: { ms: tripped.fenceMs, clock: 'real' },
      };
    }
    if (minute % SLOT_MINUTES === 0) {
      const slot = new Date(shippedAt.getTime() + minute * MINUTE_MS);
      const refused = await runWhereAdmitted(world, policy, slot);
      readings.push({ minute, wronglyClaimed: await countWrongClaims(owner) });
      if (refused) return noticedInRun(world, refused, minute);
    }
    await live(owner, size, { from: minute, until: minute + 1 }, { expected: true });
    await watch.report(await logIn(owner, size, minute));
  }
  return noticedByPeople(world, policy);
}

/** Runs the faulty version wherever its flag gives it a share. Answers the first run that did not end well. */
async function runWhereAdmitted(
  world: OpenWorld,
  policy: Policy,
  slot: Date,
): Promise<RunReport | undefined> {
  const { platform, faulty } = world;
  await hearFlags(world, policy.job);
  const admitted = policy.regions.filter((region) => {
    const answer = platform.flags.look(flagName(policy.job, region));
    return answer.open && answer.definition.variants.some(({ version }) => version === faulty.version);
  });
  for (const region of admitted) {
    const run = await runSlot(world, faulty, policy, region, slot);
    if (run.status !== 'succeeded') return run;
  }
  return undefined;
}

/** In the first slot by what it took here; in a later one by the world's clock, on which a slot is a moment. */
async function noticedInRun({ owner }: OpenWorld, report: RunReport, minute: number): Promise<Noticed> {
  const trip = await tripOfRun(owner, report.run.id);
  const sinceMs = (from: Date, to: Date | null | undefined): number =>
    Math.max(0, (to?.getTime() ?? from.getTime()) - from.getTime());
  return {
    by: trip === undefined ? report.reason : reasonOf(trip),
    detect:
      minute === 0
        ? { ms: sinceMs(report.run.createdAt, trip?.at), clock: 'real' }
        : { ms: minute * MINUTE_MS, clock: 'virtual' },
    stop: { ms: trip === undefined ? 0 : sinceMs(trip.at, trip.fencedAt), clock: 'real' },
  };
}

/** Where nothing else has: a person pulls the switch, and the replay ends so where there was nothing to notice. */
async function noticedByPeople({ owner }: OpenWorld, { job, regions }: Policy): Promise<Noticed> {
  const lockedOut = (await countWrongClaims(owner)) > 0;
  const startedAt = performance.now();
  const reason = lockedOut ? 'users cannot log in' : 'the replay is over';
  await killJob(owner, () => owner, { job, regions, reason }, PEOPLE);
  return {
    by: lockedOut ? 'people, as in 2021' : 'nobody: no account had been wrongly claimed by then',
    detect: lockedOut ? { ms: PEOPLE_NOTICE_MINUTES * MINUTE_MS, clock: 'virtual' } : null,
    stop: { ms: performance.now() - startedAt, clock: 'real' },
  };
}

/** Takes back every run of the faulty version that has written anything. */
async function restoreAll(
  world: OpenWorld,
  policy: Policy,
): Promise<Pick<WorldOutcome, 'restore' | 'rowsRestored'>> {
  const { owner, platform, faulty, signal } = world;
  const { rows } = await owner.query<{ id: string }>(
    `select id from portcullis_region.run r
     where version = $1 and exists (select from portcullis_region.batch b where b.run = r.id)`,
    [faulty.version],
  );
  if (rows.length === 0) return { restore: null, rowsRestored: 0 };
  const startedAt = performance.now();
  const restored = await restoreRuns(
    platform,
    rows.map(({ id }) => id),
    { signal, paceOf: () => ({ leaseMs: policy.leaseMs, batch: policy.apply.batch }) },
  );
  return {
    restore: { ms: performance.now() - startedAt, clock: 'real' },
    rowsRestored: restored
      .flatMap(({ report }) => Object.values(report?.applied ?? {}))
      .reduce((sum, count) => sum + count, 0),
  };
}
