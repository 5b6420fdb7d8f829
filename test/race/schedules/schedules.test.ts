import { describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../../src/audit/verify.js';
import { messageOf } from '../../../src/base/errors.js';
import { testDatabase, type TestDatabase } from '../../support/database.js';
import { bounded, Hung } from './bounded.js';
import type { Breach } from './gates.js';
import { keepHistory } from './history.js';
import { PLANTS } from './plants.js';
import { play } from './play.js';
import { watchFaultPoints } from './process.js';
import { breachesOf } from './promises.js';
import { scheduleOf, told } from './schedule.js';
import { loadJob, Stage, type Twist } from './world.js';

/** How many schedules; PORTCULLIS_SCHEDULE_SEED=n plays that one alone, as a failure's message says. */
const COUNT = Number(process.env['PORTCULLIS_SCHEDULES'] ?? 1_000);
const FIRST = Number(process.env['PORTCULLIS_FIRST_SEED'] ?? 0);
const ONLY = process.env['PORTCULLIS_SCHEDULE_SEED'];
const STAGES = 6;
/** No more schedules are begun after so long: what is slow must end too, and say how far it came. */
const ALL_MS = 540_000;
/** So many are enough, where a machine is too slow for more in that time. */
const FEWEST = Math.min(COUNT, 250);
const PLANT_MS = 480_000;
/** How long it may take to judge one schedule. */
const JUDGED_MS = 60_000;
/** Within so many schedules a planted bug must be found. */
const FOUND_WITHIN = 2_000;
const HANGS = 'everything ends';

watchFaultPoints();
const database = await testDatabase();
await keepHistory(database.owner);
const planted = await testDatabase();
await keepHistory(planted.owner);

interface Failure {
  readonly seed: number;
  readonly breaches: readonly Breach[];
}

/**
 * Plays the schedules of seeds on several stages at once, until one breaks a promise and `enough` agrees, or hangs, or
 * `limitMs` is over.
 */
async function firstFailure(
  on: TestDatabase,
  seeds: Iterable<number>,
  limitMs: number,
  twist: Twist = {},
  enough: (breaches: readonly Breach[]) => boolean = () => true,
): Promise<{ readonly failure: Failure | undefined; readonly played: number }> {
  const loaded = await loadJob(on);
  const next = seeds[Symbol.iterator]();
  const until = performance.now() + limitMs;
  let failure: Failure | undefined;
  let played = 0;
  const onStage = async (n: number): Promise<void> => {
    const stage = new Stage(on, `stage${n}`, loaded, twist);
    try {
      for (let seed = next.next(); seed.done !== true && failure === undefined; seed = next.next()) {
        if (performance.now() > until) return;
        const breaches = await breachesIn(stage, seed.value);
        played += 1;
        if (breaches.length === 0) continue;
        const hung = breaches.some(({ promise }) => promise === HANGS);
        if (enough(breaches) || hung) failure ??= { seed: seed.value, breaches };
      }
    } finally {
      // What hangs in a schedule may keep its stage from closing; the schedule is what tells why.
      await stage.close().catch((error: unknown) => {
        if (failure === undefined) throw error;
      });
    }
  };
  const stages = await Promise.allSettled(Array.from({ length: STAGES }, (_, n) => onStage(n)));
  for (const stage of stages) if (stage.status === 'rejected') throw stage.reason;
  return { failure, played };
}

/** Plays one schedule and looks at every promise. One that hangs keeps none. */
async function breachesIn(stage: Stage, seed: number): Promise<Breach[]> {
  try {
    const played = await play(stage, scheduleOf(seed));
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

function explained({ seed, breaches }: Failure): string {
  const lines = breaches.map(({ promise, how }) => `  ${promise}: ${how}`);
  return [
    `schedule ${seed} broke a promise:`,
    ...new Set(lines),
    told(scheduleOf(seed)),
    `play it again: PORTCULLIS_SCHEDULE_SEED=${seed} npm run jest -- test/race/schedules --selectProjects race`,
  ].join('\n');
}

describe('whatever happens in whatever order', () => {
  test('every promise is kept', async () => {
    const all = ONLY === undefined ? seeds(FIRST, COUNT) : [Number(ONLY)];
    const { failure, played } = await firstFailure(database, all, ALL_MS);
    if (failure) throw new Error(explained(failure));
    if (ONLY === undefined && played < COUNT)
      process.stderr.write(`schedules: ${played} of ${COUNT} played, then the time was over\n`);
    expect(played).toBeGreaterThanOrEqual(ONLY === undefined ? FEWEST : 1);
    expect(await verifyAudit(database.owner)).toMatchObject({ ok: true });
  }, 600_000);
});

describe('a planted bug is found', () => {
  // Seeds that no other plant has played: each schedule has its own rows.
  test.each(PLANTS)(
    '$bug',
    async ({ bug, promises, twist, plant, dig }) => {
      if (plant !== undefined) await planted.owner.query(plant);
      // Of all schedules so far: a batch that commits while a kill is on its way breaks other promises, and not yet that.
      const broken = new Set<string>();
      try {
        const { failure, played } = await firstFailure(
          planted,
          seeds(1_000_000 + 10_000 * PLANTS.findIndex((each) => each.bug === bug), FOUND_WITHIN),
          PLANT_MS,
          twist,
          (breaches) => {
            for (const { promise } of breaches) broken.add(promise);
            return promises.every((promise) => broken.has(promise));
          },
        );
        if (process.env['PORTCULLIS_SCHEDULES_TELL'] !== undefined) {
          process.stderr.write(
            `${bug}: after ${played} schedules\n${failure ? explained(failure) : 'not found'}\n`,
          );
        }
        expect([...broken]).toEqual(expect.arrayContaining([...promises]));
      } finally {
        if (dig !== undefined) await planted.owner.query(dig);
      }
    },
    540_000,
  );
});
