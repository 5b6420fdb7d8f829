import { live, SLOT_MINUTES } from './life.js';
import { countEditsLost, countRowsNotAsBefore, countWrongClaims, measureHarm } from './measure.js';
import { PlainFlag } from './plain-flag.js';
import type { Reading, Span, WorldOutcome } from './result.js';
import { runUngated } from './ungated-run.js';
import { regionsOf } from './world.js';
import type { OpenWorld, Say } from './world-port.js';
import type pg from 'pg';
import { inTransaction } from '../../postgres/pool.js';

/** When people noticed in 2021, in minutes after the faulty version's first run. */
export const PEOPLE_NOTICE_MINUTES = 118;
const MINUTE_MS = 60_000;

/** Where the job runs at a minute of the world's clock, and how long it goes on after it was turned off. */
interface Switch {
  regionsAt(minute: number): readonly string[];
  turnOff(minute: number): Span;
  close(): void;
}

/** The scheduled job runs everywhere; when people notice, it is taken off the schedule. */
export async function ungatedWorld(world: OpenWorld, say: Say): Promise<WorldOutcome> {
  const everywhere: Switch = {
    regionsAt: () => regionsOf(world.size),
    turnOff: () => ({ ms: 0, clock: 'virtual' }),
    close: () => undefined,
  };
  return {
    guarded: 'The scheduled job runs everywhere.',
    ...(await untilPeopleNotice(world, everywhere, say)),
  };
}

/** How often a person turns the next region on. */
const REGION_EVERY_MINUTES = 30;

/** A plain flag for each region, on from one region to the next by the clock; people notice, and turn all off. */
export async function flagWorld(world: OpenWorld, say: Say): Promise<WorldOutcome> {
  const regions = regionsOf(world.size);
  const flag = await PlainFlag.start('domain-claim', regions, world.size.seed);
  // Somebody turns each region on a minute before its slot.
  for (const at of regions.keys()) {
    flag.set((at * REGION_EVERY_MINUTES - 1) * 60, regions.slice(0, at + 1));
  }
  const oneByOne: Switch = {
    regionsAt: (minute) => flag.readAt(minute * 60),
    turnOff: (minute) => {
      const second = minute * 60;
      flag.set(second, []);
      return { ms: (flag.nextRefresh(second) - second) * 1_000, clock: 'virtual' };
    },
    close: () => flag.close(),
  };
  return {
    guarded: `A flag for each region, the next one on every ${REGION_EVERY_MINUTES} minutes.`,
    ...(await untilPeopleNotice(world, oneByOne, say)),
  };
}

async function untilPeopleNotice(
  world: OpenWorld,
  jobs: Switch,
  say: Say,
): Promise<Omit<WorldOutcome, 'guarded'>> {
  const { owner, size } = world;
  const shippedAt = new Date();
  const readings: Reading[] = [{ minute: 0, wronglyClaimed: 0 }];
  try {
    for (let minute = 0; minute < PEOPLE_NOTICE_MINUTES; minute += SLOT_MINUTES) {
      world.signal.throwIfAborted();
      say(`minute ${minute} of ${PEOPLE_NOTICE_MINUTES}`);
      const at = new Date(shippedAt.getTime() + minute * MINUTE_MS);
      await runEverywhere(world, jobs.regionsAt(minute), at);
      readings.push({ minute, wronglyClaimed: await countWrongClaims(owner) });
      const until = Math.min(minute + SLOT_MINUTES, PEOPLE_NOTICE_MINUTES);
      await live(owner, size, { from: minute, until }, { expected: true });
    }
    const stop = jobs.turnOff(PEOPLE_NOTICE_MINUTES);
    const harm = await measureHarm(owner);
    readings.push({ minute: PEOPLE_NOTICE_MINUTES, wronglyClaimed: harm.wronglyClaimed });
    say('restoring by hand, from the nightly snapshot');
    const startedAt = performance.now();
    const rowsRestored = await restoreByHand(owner, shippedAt);
    const restore: Span = { ms: performance.now() - startedAt, clock: 'real' };
    return {
      ...harm,
      noticedBy: 'people, as in 2021',
      detect: { ms: PEOPLE_NOTICE_MINUTES * MINUTE_MS, clock: 'virtual' },
      stop,
      restore,
      rowsRestored,
      editsLost: await countEditsLost(owner),
      rowsNotAsBefore: await countRowsNotAsBefore(owner),
      readings,
    };
  } finally {
    jobs.close();
  }
}

async function runEverywhere(world: OpenWorld, regions: readonly string[], at: Date): Promise<void> {
  const { owner, platform, faulty: job, signal } = world;
  const { planner } = platform;
  const clients = await platform.clients(job);
  await Promise.all(
    regions.map((region) => runUngated({ owner, planner, clients, job, region, at, signal })),
  );
}

/**
 * What a careful team does without a journal: the rows that the job has written since the faulty version
 * shipped are put back as the latest nightly snapshot has them, and accounts that are younger than it are
 * given back to their users. What anybody else did to those rows since the night is not in the snapshot. Answers
 * how many rows it wrote.
 */
async function restoreByHand(owner: pg.Pool, shippedAt: Date): Promise<number> {
  return inTransaction(owner, async (client) => {
    const older = await client.query(
      `update directory.account a
       set (email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
            selected_by, deactivated_at, deleted_at)
         = (n.email, n.email_verified, n.kind, n.home_region, n.state, n.organisation_id, n.claimed_domain_id,
            n.claimed_at, n.selected_by, n.deactivated_at, n.deleted_at)
       from replay.nightly_account n
       where n.id = a.id and a.claimed_at >= $1`,
      [shippedAt],
    );
    const younger = await client.query(
      `update directory.account a
       set state = 'UNMANAGED', organisation_id = null, claimed_domain_id = null, claimed_at = null
       where a.claimed_at >= $1 and not exists (select from replay.nightly_account n where n.id = a.id)`,
      [shippedAt],
    );
    const domains = await client.query(
      `update directory.domain d
       set (state, request_id, verified_at, proof, proof_seen_at, check_started_at, checked_at, check_count,
            next_check_at, absent_at, absent_again_at, at_risk_since)
         = (n.state, n.request_id, n.verified_at, n.proof, n.proof_seen_at, n.check_started_at, n.checked_at,
            n.check_count, n.next_check_at, n.absent_at, n.absent_again_at, n.at_risk_since)
       from replay.nightly_domain n
       where n.id = d.id and d.checked_at >= $1`,
      [shippedAt],
    );
    return [older, younger, domains].reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
  });
}
