import { describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../../src/audit/verify.js';
import { messageOf } from '../../../src/kernel/errors.js';
import { testDatabase, type TestDatabase } from '../../support/database.js';
import { bounded, Hung } from './bounded.js';
import type { Breach } from './gates.js';
import { keepHistory } from './history.js';
import { PLANTS } from './plants.js';
import { play } from './play.js';
import { watchFaultPoints } from './process.js';
import { breachesOf } from './promises.js';
import { scheduleOf, type Lead } from './generator.js';
import { LockWaits } from './lock-waits.js';
import { told, type Schedule } from './schedule.js';
import { loadJob, Stage, type Twist } from './world.js';

/**
 * How many schedules: more than ten times what any planted bug needs to be found. PORTCULLIS_SCHEDULES=1000 plays more,
 * and PORTCULLIS_SCHEDULE_SEED=n that one alone, as a failure's message says.
 */
const COUNT = Number(process.env['PORTCULLIS_SCHEDULES'] ?? 250);
const FIRST = Number(process.env['PORTCULLIS_FIRST_SEED'] ?? 0);
const ONLY = process.env['PORTCULLIS_SCHEDULE_SEED'];
const STAGES = 6;
/** Each opens connections of its own, which is most of what a few schedules cost. */
const PLANT_STAGES = 4;
/** No more schedules are begun after so long: what is slow must end too, and say how far it came. */
const ALL_MS = Math.max(900_000, COUNT * 1_000);
/** So many are enough, where a machine is too slow for more in that time. */
const FEWEST = Math.min(COUNT, 250);
const PLANT_MS = 240_000;
/** How long it may take to judge one schedule. */
const JUDGED_MS = 60_000;
/** Within so many schedules a planted bug must be found. */
const FOUND_WITHIN = Number(process.env['FW'] ?? 300);
const HANGS = 'everything ends';

watchFaultPoints();
const database = await testDatabase();
await keepHistory(database.owner);
const planted = await testDatabase();
await keepHistory(planted.owner);

interface Failure {
  readonly seed: number;
  readonly lead: Lead | undefined;
  readonly breaches: readonly Breach[];
}

interface Playing {
  readonly seeds: Iterable<number>;
  readonly stages: number;
  readonly limitMs: number;
  readonly twist?: Twist;
  readonly lead?: Lead | undefined;
  /** Absent: one breach is. */
  readonly enough?: (breaches: readonly Breach[]) => boolean;
}

/**
 * Plays the schedules of seeds on several stages at once, until one breaks a promise and `enough` agrees, or hangs, or
 * `limitMs` is over.
 */
async function firstFailure(
  on: TestDatabase,
  { seeds, stages: count, limitMs, twist = {}, lead, enough = () => true }: Playing,
): Promise<{ readonly failure: Failure | undefined; readonly played: number }> {
  const loaded = await loadJob(on);
  const waits = new LockWaits(on.owner);
  const next = seeds[Symbol.iterator]();
  const until = performance.now() + limitMs;
  let failure: Failure | undefined;
  let played = 0;
  const onStage = async (n: number): Promise<void> => {
    const stage = new Stage(on, `stage${n}`, loaded, twist, waits);
    try {
      for (let seed = next.next(); seed.done !== true && failure === undefined; seed = next.next()) {
        if (performance.now() > until) return;
        const breaches = await breachesIn(stage, scheduleOf(seed.value, lead));
        played += 1;
        if (breaches.length === 0) continue;
        const hung = breaches.some(({ promise }) => promise === HANGS);
        if (enough(breaches) || hung) failure ??= { seed: seed.value, lead, breaches };
      }
    } finally {
      // What hangs in a schedule may keep its stage from closing; the schedule is what tells why.
      await stage.close().catch((error: unknown) => {
        if (failure === undefined) throw error;
      });
    }
  };
  const stages = await Promise.allSettled(Array.from({ length: count }, (_, n) => onStage(n)));
  for (const stage of stages) if (stage.status === 'rejected') throw stage.reason;
  return { failure, played };
}

/** Plays one schedule and looks at every promise. One that hangs keeps none. */
async function breachesIn(stage: Stage, schedule: Schedule): Promise<Breach[]> {
  try {
    const played = await play(stage, schedule);
    stage.doing = 'the look at the promises';
    return await bounded(JUDGED_MS, () => stage.doing, breachesOf(stage.owner, played));
  } catch (error) {
    const what = error instanceof Hung ? error.message : `${stage.doing}: ${messageOf(error)}`;
    const busy = await stage.busy().catch(() => []);
    return [{ promise: HANGS, how: [what, ...busy].join('\n    ') }];
  }
}

function* seeds(from: number, count: number): Generator<number> {
  for (let seed = from; seed < from + count; seed += 1) yield seed;
}

function explained({ seed, lead, breaches }: Failure): string {
  const lines = breaches.map(({ promise, how }) => `  ${promise}: ${how}`);
  return [
    `schedule ${seed} broke a promise:`,
    ...new Set(lines),
    told(scheduleOf(seed, lead)),
    ...(lead === undefined
      ? [
          `play it again: PORTCULLIS_SCHEDULE_SEED=${seed} npm run jest -- test/race/schedules --selectProjects race`,
        ]
      : []),
  ].join('\n');
}

describe('whatever happens in whatever order', () => {
  test(
    'every promise is kept',
    async () => {
      const all = ONLY === undefined ? seeds(FIRST, COUNT) : [Number(ONLY)];
      const { failure, played } = await firstFailure(database, {
        ...{ seeds: all, stages: STAGES, limitMs: ALL_MS },
      });
      if (failure) throw new Error(explained(failure));
      if (ONLY === undefined && played < COUNT)
        process.stderr.write(`schedules: ${played} of ${COUNT} played, then the time was over\n`);
      expect(played).toBeGreaterThanOrEqual(ONLY === undefined ? FEWEST : 1);
      expect(await verifyAudit(database.owner)).toMatchObject({ ok: true });
    },
    ALL_MS + 60_000,
  );
});

describe('a planted bug is found', () => {
  // Seeds that no other plant has played: each schedule has its own rows.
  test.each(PLANTS)(
    '$bug',
    async ({ bug, promises, lead, twist, plant, dig }) => {
      if (plant !== undefined) await planted.owner.query(plant);
      // Of all schedules so far: a batch that commits while a kill is on its way breaks other promises, and not yet that.
      const broken = new Set<string>();
      try {
        const startedAt = performance.now();
        const { failure, played } = await firstFailure(planted, {
          seeds: seeds(1_000_000 + 10_000 * PLANTS.findIndex((each) => each.bug === bug), FOUND_WITHIN),
          ...{ stages: PLANT_STAGES, limitMs: PLANT_MS, lead },
          ...(twist && { twist }),
          enough: (breaches) => {
            for (const { promise } of breaches) broken.add(promise);
            return promises.every((promise) => broken.has(promise));
          },
        });
        if (process.env['PORTCULLIS_SCHEDULES_TELL'] !== undefined) {
          process.stderr.write(
            `${bug}: after ${played} schedules, ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n${failure ? explained(failure) : 'not found'}\n`,
          );
        }
        expect([...broken]).toEqual(expect.arrayContaining([...promises]));
      } finally {
        if (dig !== undefined) await planted.owner.query(dig);
      }
    },
    PLANT_MS + 60_000,
  );
});
