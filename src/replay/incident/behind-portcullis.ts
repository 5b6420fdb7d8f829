import type { Principal } from '../../access/roles.js';
import { applyPolicies } from '../../flags/policy-store.js';
import type { Policy } from '../../flags/policy.js';
import { killJob } from '../../gate/kill-switch.js';
import { restoreRuns } from '../../jobs/restore-runs.js';
import type { RunReport } from '../../jobs/run-loop.js';
import { live, SLOT_MINUTES } from './life.js';
import { countEditsLost, countRowsNotAsBefore, countWrongClaims, measureHarm } from './measure.js';
import { policyWith, type Layer } from './policies.js';
import type { Reading, Span, WorldResult } from './result.js';
import { runSlot, setFlags } from './run-slot.js';
import { PEOPLE_NOTICE_MINUTES } from './without-guard.js';
import { regionsOf } from './world.js';
import type { OpenWorld, Say } from './world-port.js';

const MINUTE_MS = 60_000;
/** The share of organisations that a new version gets at first, in its first region. */
const CANARY_PERMILLE = 100;
const PEOPLE: Principal = { name: 'system:replay', role: 'admin', regions: null };

/** What noticed, when and how fast it was stopped. */
interface Noticed {
  readonly by: string;
  readonly detect: Span;
  readonly stop: Span;
}

/** The faulty version begins as every new version does, with a few organisations of one region, behind its guard. */
export async function portcullisWorld(
  world: OpenWorld,
  layer: Layer,
  shippedAt: Date,
  say: Say,
): Promise<WorldResult> {
  const { owner, size, stable, faulty } = world;
  const regions = regionsOf(size);
  const file = await policyWith(layer, regions);
  await applyPolicies(owner, [file], 'system:replay');
  const { policy } = file;
  const [canary = ''] = regions;
  await setFlags(world, [
    {
      ...{ job: policy.job, region: canary, reason: `${faulty.version} begins` },
      variants: [
        { version: faulty.version, permille: CANARY_PERMILLE },
        { version: stable.version, permille: 1000 - CANARY_PERMILLE },
      ],
    },
  ]);
  const readings: Reading[] = [{ minute: 0, wronglyClaimed: 0 }];
  const noticed = await untilNoticed(world, policy, canary, shippedAt, readings, say);
  const harm = await measureHarm(owner);
  say('restoring from the journal');
  const restore = await restoreAll(world, policy);
  return {
    name: layer === 'as shipped' ? 'Portcullis' : `Portcullis, ${layer}`,
    guarded: GUARDED[layer],
    ...harm,
    noticedBy: noticed.by,
    detect: noticed.detect,
    stop: noticed.stop,
    restore,
    editsLost: await countEditsLost(owner),
    rowsNotAsBefore: await countRowsNotAsBefore(owner),
    readings,
  };
}

const GUARDED: Readonly<Record<Layer, string>> = {
  'as shipped': 'flags/domain-claim.yaml as it is.',
  'without invariants': 'Its caps and counts; the fault breaks no rule that anybody wrote down.',
  'login failures only': 'Neither invariants, caps nor counts: only users who cannot log in.',
};

async function untilNoticed(
  world: OpenWorld,
  policy: Policy,
  region: string,
  shippedAt: Date,
  readings: Reading[],
  say: Say,
): Promise<Noticed> {
  const { owner, size, faulty, signal } = world;
  for (let minute = 0; minute < PEOPLE_NOTICE_MINUTES; minute += 1) {
    signal.throwIfAborted();
    say(`minute ${minute} of ${PEOPLE_NOTICE_MINUTES}`);
    if (minute % SLOT_MINUTES === 0) {
      const slot = new Date(shippedAt.getTime() + minute * MINUTE_MS);
      const startedAt = performance.now();
      const run = await runSlot(world, faulty, policy, region, slot);
      readings.push({ minute, wronglyClaimed: await countWrongClaims(owner) });
      if (run.status !== 'succeeded') return noticedInRun(run, minute, performance.now() - startedAt);
    }
    await live(owner, size, { from: minute, until: minute + 1 }, { expected: true });
  }
  return noticedByPeople(world, policy);
}

function noticedInRun(run: RunReport, minute: number, tookMs: number): Noticed {
  return {
    by: run.reason,
    detect: minute === 0 ? { ms: tookMs, clock: 'real' } : { ms: minute * MINUTE_MS, clock: 'virtual' },
    // A plan that is refused has written nothing that would have to be stopped.
    stop: { ms: 0, clock: 'real' },
  };
}

/** Where nothing else has: a person pulls the switch. */
async function noticedByPeople({ owner }: OpenWorld, policy: Policy): Promise<Noticed> {
  const startedAt = performance.now();
  await killJob(
    owner,
    () => owner,
    { job: policy.job, regions: policy.regions, reason: 'users cannot log in' },
    PEOPLE,
  );
  return {
    by: 'people, as in 2021',
    detect: { ms: PEOPLE_NOTICE_MINUTES * MINUTE_MS, clock: 'virtual' },
    stop: { ms: performance.now() - startedAt, clock: 'real' },
  };
}

/** Takes back every run of the faulty version that has written anything. Null where none has. */
async function restoreAll(world: OpenWorld, policy: Policy): Promise<Span | null> {
  const { owner, platform, faulty, signal } = world;
  const { rows } = await owner.query<{ id: string }>(
    `select id from portcullis_region.run r
     where version = $1 and exists (select from portcullis_region.batch b where b.run = r.id)`,
    [faulty.version],
  );
  if (rows.length === 0) return null;
  const startedAt = performance.now();
  await restoreRuns(
    platform,
    rows.map(({ id }) => id),
    { signal, paceOf: () => ({ leaseMs: policy.leaseMs, batch: policy.apply.batch }) },
  );
  return { ms: performance.now() - startedAt, clock: 'real' };
}
