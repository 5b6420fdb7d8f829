import { beforeEach, describe, expect, test } from '@jest/globals';
import type { OutcomeRule } from '../../../src/flags/guard-policy.js';
import { judgeOutcome, type OutcomeJudgement } from '../../../src/guard/bake/judge-outcome.js';
import { forgetOutcomes, keepOutcomes } from '../../../src/guard/bake/outcome-report.js';
import { testDatabase } from '../../support/database.js';
import { PLACE, applyUpTo, emptyJournal, seedJournal } from './journal.js';

const { owner } = await testDatabase();

const OLD = '1.0.0_a';
const NEW = '1.1.0_b';
const RULE: OutcomeRule = {
  kind: 'outcome',
  name: 'logins',
  event: 'login-failed',
  alpha: 0.01,
  tolerance: 1,
};
const units = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `org-${from + at}`);
const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();

let nth = 0;
async function failLogins(of: readonly string[], at = ago(1), kind = 'login-failed'): Promise<void> {
  await keepOutcomes(
    owner,
    PLACE.region,
    of.map((unit) => ({ ...PLACE, id: `e-${(nth += 1)}`, unit, kind, at })),
  );
}

const judge = (version = NEW, rule = RULE): Promise<OutcomeJudgement> =>
  judgeOutcome(owner, rule, { ...PLACE, version }, 1, 0);

/** A tenth of the organisations have the candidate's changes. */
async function seedCanary(): Promise<void> {
  await seedJournal(owner, { version: NEW, units: units(0, 20), at: ago(30) });
  await seedJournal(owner, { version: OLD, units: units(20, 200), at: ago(30) });
}

beforeEach(() => emptyJournal(owner));

describe('outcomes', () => {
  test('that befall the candidate more often than its share make it fail, and it stays failed', async () => {
    await seedCanary();
    await failLogins(units(0, 12));
    const { judged } = await judge();
    expect(judged).toMatchObject({ verdict: 'fail', rule: 'logins', figures: { observed: 3, samples: 3 } });
    expect(judged.reason).toMatch(/^logins: 3 of 3 units with a bad outcome had the candidate/);
    await failLogins(units(30, 60));
    expect((await judge()).judged).toEqual(judged);
  });

  test('that befall both alike pass', async () => {
    await seedCanary();
    await failLogins([...units(0, 2), ...units(20, 38)]);
    expect((await judge()).judged).toMatchObject({ verdict: 'pass', figures: { observed: 2, samples: 20 } });
  });

  test('of one organisation count once, however many there are', async () => {
    await seedCanary();
    await failLogins(Array.from({ length: 1_200 }, () => 'org-3'));
    expect((await judge()).judged.figures).toMatchObject({ observed: 1, samples: 1 });
  });

  test('of another kind, of organisations that were not changed, or from before the candidate began do not count', async () => {
    await seedCanary();
    await failLogins(units(0, 12), ago(1), 'mail-bounced');
    await failLogins(units(300, 320));
    await failLogins(units(0, 12), ago(40));
    expect((await judge()).judged).toMatchObject({ verdict: 'too-few', figures: { samples: 0 } });
  });

  test('where all or none have the candidate cannot be compared', async () => {
    await seedJournal(owner, { version: NEW, units: units(0, 20), at: ago(30) });
    await failLogins(units(0, 12));
    expect((await judge()).judged.verdict).toBe('too-few');
    expect((await judge(OLD)).judged.verdict).toBe('too-few');
  });
});

describe('an outcome is attributed', () => {
  const versionsOf = async (): Promise<unknown[]> =>
    (
      await owner.query<{ version: unknown }>('select version from portcullis_region.outcome order by seq')
    ).rows.map(({ version }) => version);

  test('to the version that last changed the organisation before it', async () => {
    await seedJournal(owner, { version: OLD, units: ['org-1'], at: ago(50) });
    await seedJournal(owner, { version: NEW, units: ['org-1'], at: ago(30) });
    await failLogins(['org-1'], ago(60));
    await failLogins(['org-1'], ago(40));
    await failLogins(['org-1'], ago(20));
    await judge();
    expect(await versionsOf()).toEqual([null, OLD, NEW]);
  });

  test('to none behind a restore, and not by a change that met a conflict', async () => {
    await seedJournal(owner, { version: OLD, units: ['org-1', 'org-2'], at: ago(50) });
    const run = await seedJournal(owner, {
      version: NEW,
      units: ['org-1', 'org-2'],
      conflicts: ['org-2'],
      at: ago(40),
    });
    await failLogins(['org-1', 'org-2'], ago(35));
    await seedJournal(owner, { version: NEW, units: ['org-1'], restores: run, at: ago(30) });
    await failLogins(['org-1'], ago(20));
    await judge();
    expect(await versionsOf()).toEqual([NEW, OLD, null]);
  });

  test('also while the run is under way, as far as it has got', async () => {
    const run = await seedJournal(owner, {
      version: NEW,
      units: ['org-1', 'org-2'],
      status: 'applying',
      applied: 1,
      at: ago(30),
    });
    await failLogins(['org-1', 'org-2'], ago(20));
    await judge();
    await applyUpTo(owner, run, 2, ago(10), 1);
    await failLogins(['org-2'], ago(5));
    await judge();
    expect(await versionsOf()).toEqual([NEW, null, NEW]);
  });
});

describe('the state of the rule', () => {
  test('is bit-identical however the outcomes are cut, with stops anywhere between', async () => {
    await seedCanary();
    const events = [
      ...units(25, 30),
      ...units(0, 3),
      ...units(40, 50),
      'org-3',
      'org-25',
      ...units(60, 90),
      ...units(4, 6),
    ];
    const at = ago(1);
    const states: string[] = [];
    for (const size of [1, 7, events.length]) {
      await owner.query('delete from portcullis_region.outcome; delete from portcullis_region.outcome_state');
      for (let from = 0; from < events.length; from += size) {
        await failLogins(events.slice(from, from + size), at);
        await judge();
      }
      states.push(JSON.stringify((await judge()).state));
    }
    expect(new Set(states).size).toBe(1);
    expect(JSON.parse(states[0] ?? '')).toMatchObject({ compared: true, events: 51 });
  });

  test('is written with what was read, or neither is', async () => {
    await seedCanary();
    await failLogins([...units(0, 2), ...units(30, 33)]);
    await owner.query(`
      create function no() returns trigger language plpgsql as $$ begin raise 'killed here'; end $$;
      create trigger no before update of cursor on portcullis_region.outcome_state for each row
        when (new.cursor > old.cursor) execute function no()`);
    await expect(judge()).rejects.toThrow('killed here');
    await owner.query('drop function no() cascade');
    expect((await judge()).judged.figures).toMatchObject({ observed: 2, samples: 5 });
  });

  test('by two processes at once is as by one', async () => {
    await seedCanary();
    await failLogins([...units(0, 2), ...units(30, 34)]);
    const both = await Promise.all([judge(), judge(), judge()]);
    expect(both.map(({ state }) => state)).toEqual(both.map(() => both[0].state));
    expect(both[0].judged.figures).toMatchObject({ samples: 6 });
  });

  test('begins anew where the rule is another', async () => {
    await seedCanary();
    await failLogins(units(0, 5));
    expect((await judge()).judged.verdict).toBe('fail');
    const lenient = await judge(NEW, { ...RULE, tolerance: 10 });
    expect(lenient.judged).toMatchObject({ verdict: 'pass', figures: { samples: 5 } });
  });

  test('does not read an outcome that came just now', async () => {
    await seedCanary();
    await failLogins(units(0, 12));
    const { judged } = await judgeOutcome(owner, RULE, { ...PLACE, version: NEW }, 1, 60_000);
    expect(judged.verdict).toBe('too-few');
  });
});

test('what is older than a month is forgotten', async () => {
  await seedCanary();
  await failLogins(units(0, 4));
  await judge();
  await owner.query(
    `update portcullis_region.outcome set received_at = received_at - interval '31 days' where unit = 'org-1'`,
  );
  await owner.query(
    `update portcullis_region.unit_change set applied_at = applied_at - interval '31 days' where unit = 'org-1'`,
  );
  await forgetOutcomes(owner);
  const counts = await owner.query<{ o: number; c: number }>(
    'select (select count(*) from portcullis_region.outcome) as o, (select count(*) from portcullis_region.unit_change) as c',
  );
  expect(counts.rows).toEqual([{ o: 3, c: 199 }]);
});
