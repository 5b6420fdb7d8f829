import { describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../../src/audit/verify.js';
import { messageOf } from '../../../src/kernel/errors.js';
import { testDatabase, type TestDatabase } from '../../support/database.js';
import { bounded } from '../schedules/bounded.js';
import { keepFacts, takeFacts } from './facts.js';
import { scheduleOf, type Lead } from './generator.js';
import { watchFaultPoints } from './mid-run.js';
import { PLANTS } from './plants.js';
import { play } from './play.js';
import { judge } from './promises.js';
import { told, type Schedule } from './schedule.js';
import { loadJob, Stage, type Twist } from './world.js';

/** How many schedules; PORTCULLIS_ADVERSARY_SEED=n plays that one alone, as a failure's message says. */
const COUNT = Number(process.env['PORTCULLIS_ADVERSARY'] ?? 60);
const FIRST = Number(process.env['PORTCULLIS_FIRST_SEED'] ?? 0);
const ONLY = process.env['PORTCULLIS_ADVERSARY_SEED'];
/** Within so many schedules a planted bug must be found. */
const FOUND_WITHIN = 60;
/** How long one schedule may take. */
const SCHEDULE_MS = 120_000;
/** No more schedules are begun after so long: what is slow must end too, and say how far it came. */
const ALL_MS = Math.max(300_000, COUNT * 5_000);
/** So many are enough, where a machine is too slow for more in that time. */
const FEWEST = Math.min(COUNT, 10);
const TELL = process.env['PORTCULLIS_SCHEDULES_TELL'] !== undefined;

watchFaultPoints();
const database = await testDatabase();
await keepFacts(database.owner);

interface Failure {
  readonly seed: number;
  readonly lead: Lead | undefined;
  readonly how: readonly string[];
}

interface Playing {
  readonly seeds: Iterable<number>;
  readonly twist?: Twist;
  readonly lead?: Lead;
}

interface Result {
  readonly failure: Failure | undefined;
  readonly played: number;
  /** For how many units versions wrote that were not the first one. */
  readonly units: number;
  readonly calls: ReadonlyMap<string, { called: number; done: number }>;
}

/** Plays the schedules of seeds one after the other, until a version writes that nobody has admitted. */
async function firstSuccess(on: TestDatabase, { seeds, twist = {}, lead }: Playing): Promise<Result> {
  const stage = new Stage(on, await loadJob(on), twist);
  const calls = new Map<string, { called: number; done: number }>();
  const result = { played: 0, units: 0, calls };
  await stage.open();
  try {
    const until = performance.now() + ALL_MS;
    for (const seed of seeds) {
      if (performance.now() > until) break;
      const { how, units } = await broken(stage, scheduleOf(seed, lead), calls);
      result.played += 1;
      result.units += units;
      if (TELL && result.played % 100 === 0) process.stderr.write(`${result.played} played\n`);
      if (how.length > 0) return { ...result, failure: { seed, lead, how } };
    }
    return { ...result, failure: undefined };
  } finally {
    await stage.close();
  }
}

/** What is wrong with one schedule. */
async function broken(
  stage: Stage,
  schedule: Schedule,
  calls: Map<string, { called: number; done: number }>,
): Promise<{ readonly how: string[]; readonly units: number }> {
  try {
    const outcome = await bounded(SCHEDULE_MS, () => 'a schedule', play(stage, schedule));
    for (const [name, { called, done }] of outcome.calls) {
      const sum = calls.get(name) ?? { called: 0, done: 0 };
      calls.set(name, { called: sum.called + called, done: sum.done + done });
    }
    const { breaches, units } = await judge(stage.owner, outcome.played, await takeFacts(stage.owner));
    const how = breaches.map(
      (each) => `${each.version} wrote for ${each.units.join(', ')} in ${each.region}: ${each.how}`,
    );
    return { how: [...how, ...outcome.astray], units };
  } catch (error) {
    return { how: [messageOf(error)], units: 0 };
  }
}

function* seedsFrom(from: number, count: number): Generator<number> {
  for (let seed = from; seed < from + count; seed += 1) yield seed;
}

function explained({ seed, lead, how }: Failure): string {
  return [
    `in schedule ${seed} somebody wrote whom nobody had admitted:`,
    ...new Set(how.map((each) => `  ${each}`)),
    told(scheduleOf(seed, lead)),
    ...(lead === undefined
      ? [
          `play it again: PORTCULLIS_ADVERSARY_SEED=${seed} npm run jest -- test/race/adversary --selectProjects race`,
        ]
      : []),
  ].join('\n');
}

function tell(what: string, { failure, played, units, calls }: Result, startedAt: number): void {
  if (!TELL) return;
  const done = [...calls].map(([name, each]) => `${name} ${each.done}/${each.called}`).sort();
  process.stderr.write(
    `${what}: ${played} schedules, ${units} units, ${((performance.now() - startedAt) / 1_000).toFixed(1)} s: ${done.join(', ')}\n${failure ? explained(failure) : 'nothing found'}\n`,
  );
}

describe('an adversary among two people and five tokens, whatever happens in whatever order', () => {
  test(
    'has no version write that nobody has admitted',
    async () => {
      const startedAt = performance.now();
      const seeds = ONLY === undefined ? seedsFrom(FIRST, COUNT) : [Number(ONLY)];
      const result = await firstSuccess(database, { seeds });
      tell('all', result, startedAt);
      if (result.failure) throw new Error(explained(result.failure));
      expect(await verifyAudit(database.owner)).toMatchObject({ ok: true });
      // Whoever is refused everything proves nothing.
      if (ONLY === undefined) expect(result.units).toBeGreaterThan(result.played);
      if (ONLY === undefined && result.played < COUNT)
        process.stderr.write(
          `adversary: ${result.played} of ${COUNT} schedules played, then the time was over\n`,
        );
      expect(result.played).toBeGreaterThanOrEqual(ONLY === undefined ? FEWEST : 1);
    },
    ALL_MS + 2 * SCHEDULE_MS,
  );
});

describe('a planted bug lets her through', () => {
  // Seeds that no other plant has played: each schedule has its own rows.
  test.each(PLANTS.map((plant, n) => ({ ...plant, first: 1_000_000 + 10_000 * n })))(
    '$bug',
    async ({ bug, lead, twist, first }) => {
      const startedAt = performance.now();
      const result = await firstSuccess(database, { seeds: seedsFrom(first, FOUND_WITHIN), twist, lead });
      tell(bug, result, startedAt);
      expect(result.failure?.how.join('\n')).toContain(' wrote for ');
    },
    ALL_MS + 2 * SCHEDULE_MS,
  );
});
