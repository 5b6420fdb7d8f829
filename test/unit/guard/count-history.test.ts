import { describe, expect, test } from '@jest/globals';
import { calendarOf } from '../../../src/guard/count-calendar.js';
import { judgeAfter, judgeCount, type CountJudged, type CountOptions } from '../../../src/guard/count.js';
import { CountHistory, type CountedRun } from '../../../src/guard/count-history.js';
import { seededRandom, type Random } from '../../../src/demo/random.js';
import { negativeBinomial } from './draws.js';

const QUARTER_MS = 900_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A Monday. */
const START = Date.UTC(2026, 0, 5);
const OPTIONS: CountOptions = { rule: 'claims', alpha: 1e-3, floor: 1 };

/** A run every `step`, for fifty units. */
function series(length: number, step: number, count: (at: number, index: number) => number): CountedRun[] {
  return Array.from({ length }, (_, index) => {
    const at = START + index * step;
    return { at, units: 50, count: count(at, index) };
  });
}

interface Walked {
  readonly history: CountHistory;
  readonly judged: readonly CountJudged[];
  /** The places of runs that failed. */
  readonly stopped: readonly number[];
}

/** Judges each run after those before it, and accepts what fails unless told otherwise. */
function walk(runs: readonly CountedRun[], accepts = true, options = OPTIONS): Walked {
  const history = new CountHistory(options.timeZone);
  const judged = runs.map((run) => {
    const each = judgeAfter(history, run, options);
    const accepted = each.verdict === 'fail';
    if (!accepted || accepts) history.add({ ...run, accepted, state: each.state });
    return each;
  });
  const stopped = judged.flatMap(({ verdict }, at) => (verdict === 'fail' ? [at] : []));
  return { history, judged, stopped };
}

/** 60 at noon, 0.4 at night, and less at weekends. */
const ofDay = (at: number): number => {
  const hour = (at % DAY_MS) / HOUR_MS;
  const weekend = [0, 6].includes(new Date(at).getUTCDay());
  return (weekend ? 0.4 : 1) * (0.4 + 59.6 * Math.exp(-((hour - 13) ** 2) / 15));
};

const isOffice = (local: number): boolean => {
  const hour = Math.floor((local % DAY_MS) / HOUR_MS);
  return ![0, 6].includes(new Date(local).getUTCDay()) && hour >= 9 && hour < 17;
};

describe('a job that finds work in every fifth run', () => {
  const random = seededRandom('every fifth');
  const runs = series(400, QUARTER_MS, (_, index) => (index % 5 === random.between(3, 4) ? 60 : 0));

  test('trips at none of them, accepted or not', () => {
    expect(walk(runs, false).stopped).toEqual([]);
  });

  test('trips at ten times as much', () => {
    const { history } = walk(runs);
    const at = START + 400 * QUARTER_MS;
    expect(judgeAfter(history, { at, units: 50, count: 600 }, OPTIONS).verdict).toBe('fail');
  });
});

describe('an hourly job that works rarely', () => {
  const random = seededRandom('works rarely');
  const rare = (days: number, every: number): CountedRun[] =>
    series(24 * days, HOUR_MS, () => (random.chance(1 / every) ? negativeBinomial(random, 60, 5) : 0));
  const after = (runs: readonly CountedRun[], count: number): CountedRun => {
    return { at: START + runs.length * HOUR_MS, units: 50, count };
  };

  test('is compared with the last hundred runs that worked, however long ago', () => {
    const runs = rare(150, 25);
    const worked = runs.filter(({ count }) => count > 0).at(-100);
    const samples = runs.length - runs.indexOf(worked ?? after(runs, 0));
    expect(judgeCount(runs, after(runs, 60), OPTIONS).figures).toMatchObject({ samples });
    expect(samples).toBeGreaterThan(60 * 24);
  });

  test('is compared with four weeks only, where hardly a run ever worked', () => {
    const runs = rare(150, 1_000);
    expect(runs.filter(({ count }) => count > 0).length).toBeGreaterThan(0);
    const { figures } = judgeCount(runs, after(runs, 0), OPTIONS);
    expect(figures['samples']).toBeLessThanOrEqual(28 * 24);
  });

  test('is judged alike run by run and from its history, kept as JSON', () => {
    const kept: CountedRun[] = rare(90, 25);
    const past = new CountHistory('UTC', kept);
    for (let index = 0; index < 60; index += 1) {
      const run = after(kept, index % 7 === 0 ? negativeBinomial(random, 60, 5) : 0);
      const judged = judgeAfter(past, run, OPTIONS);
      const again = JSON.parse(JSON.stringify(kept)) as CountedRun[];
      expect(judgeCount(again, run, OPTIONS)).toEqual(judged);
      const accepted = { ...run, state: judged.state };
      past.add(accepted);
      kept.push(accepted);
    }
  });
});

describe('a daily job with idle weekends', () => {
  const random = seededRandom('idle weekends');
  const runs = series(150, DAY_MS, (at) =>
    [0, 6].includes(new Date(at).getUTCDay()) ? 0 : negativeBinomial(random, 200, 20),
  );

  test('is never held at one', () => {
    const { judged } = walk(runs, false);
    expect(judged.filter(({ worth }) => worth === 'hold')).toEqual([]);
  });

  test('is held on a working day without work, and told what ends that', () => {
    const { history } = walk(runs);
    // 2026-06-04 was a Thursday.
    const held = judgeAfter(history, { at: START + 150 * DAY_MS, units: 50, count: 0 }, OPTIONS);
    expect(held).toMatchObject({ verdict: 'fail', worth: 'hold' });
    expect(held.reason).toMatch(
      /^claims: 0 planned; runs on Mon–Fri plan \d+ \(\d+–\d+\), \d+ runs; .*; a run of \d+ or more ends the hold, and so does accepting this one$/,
    );
  });
});

describe('a job of every quarter of an hour, with days and weeks', () => {
  const random = seededRandom('quarters');
  const runs = series(28 * 96, QUARTER_MS, (at) => negativeBinomial(random, ofDay(at), 10));
  const past = new CountHistory('UTC', runs);
  const midnight = START + 28 * DAY_MS;
  const healthy = series(40 * 96, QUARTER_MS, (at) => negativeBinomial(random, ofDay(at), 10));
  /** Of Monday at this hour, when all quarters before it were as usual. */
  const at = (hour: number, count: number): CountJudged => {
    const history = new CountHistory('UTC', runs);
    for (const run of healthy)
      if (Number(run.at) >= midnight && Number(run.at) < midnight + hour * HOUR_MS) history.add(run);
    return judgeAfter(history, { at: midnight + hour * HOUR_MS, units: 50, count }, OPTIONS);
  };

  test('trips at 40 at three in the night, and says what it was compared with', () => {
    const { verdict, reason } = at(3, 40);
    expect(verdict).toBe('fail');
    expect(reason).toMatch(
      /^claims: 40 planned; runs 2\d:\d\d–0\d:\d\d(, .*)?( and .*)? plan \d(\.\d+)? \(0–\d+\), \d+ runs; chance \de-\d+|limit 0\.001$/,
    );
    expect(at(13, 40).verdict).toBe('pass');
  });

  test('trips at night at a tenth of what it trips at by day', () => {
    expect([at(13, 400).verdict, at(3, 40).verdict, at(3, 1).verdict]).toEqual(['fail', 'fail', 'pass']);
    expect(at(13, Math.round(3 * ofDay(midnight + 13 * HOUR_MS))).verdict).toBe('fail');
  });

  test('is held where nothing is planned at noon, and not at night', () => {
    expect(at(13, 0)).toMatchObject({ verdict: 'fail', worth: 'hold' });
    expect(at(3, 0).verdict).toBe('pass');
  });

  test('is judged alike run by run and from its history, kept as JSON', () => {
    const day = series(31 * 96, QUARTER_MS, (when) => negativeBinomial(random, ofDay(when), 10)).slice(
      28 * 96,
    );
    const kept: CountedRun[] = [...runs];
    day.forEach((run, index) => {
      const judged = judgeAfter(past, run, OPTIONS);
      if (index % 40 === 0) {
        const again = JSON.parse(JSON.stringify(kept)) as CountedRun[];
        expect(judgeCount(again, run, OPTIONS)).toEqual(judged);
      }
      const accepted = { ...run, state: judged.state };
      past.add(accepted);
      kept.push(accepted);
    });
  });
});

describe('a job of office hours', () => {
  const random = seededRandom('office');
  const berlin = calendarOf('Europe/Berlin');
  const office = (local: (at: number) => number): CountedRun[] =>
    series(24 * 7 * 14, HOUR_MS, (at) => (isOffice(local(at)) ? negativeBinomial(random, 120, 10) : 0));

  test.each([0, 11])('%i hours from UTC is not stopped, whenever its history begins', (offset) => {
    const { stopped } = walk(office((at) => at + offset * HOUR_MS).slice(7 * offset, 24 * 7 * 8), false);
    expect(stopped.length).toBeLessThanOrEqual(1);
  });

  test('goes on over the change of the clocks in its own zone, and is held or trips without it', () => {
    const runs = office((at) => {
      const { date, slot } = berlin.placeOf(at);
      return date * DAY_MS + slot * QUARTER_MS;
    });
    const change = runs.findIndex(({ at }) => Number(at) >= Date.UTC(2026, 2, 29));
    const stops = (timeZone: string): number =>
      walk(runs, true, { ...OPTIONS, alpha: 2.5e-4, timeZone }).stopped.filter((at) => at >= change).length;
    expect([stops('Europe/Berlin'), stops('UTC') > 0]).toEqual([0, true]);
  });

  test('has a run that was caught up count for the time it was due', () => {
    const past = office((at) => at).slice(0, 24 * 7 * 6);
    const evening = START + 42 * DAY_MS + 20 * HOUR_MS;
    const now = { at: evening, units: 50, count: 120 };
    const compared = (run: CountedRun): unknown => judgeCount(past, run, OPTIONS).figures['comparable'];
    expect(compared({ ...now, due: evening - 9 * HOUR_MS })).toBe('runs 09:00–17:00 on Mon–Fri');
    expect(compared(now)).not.toBe('runs 09:00–17:00 on Mon–Fri');
  });
});

describe('the calendar of a zone', () => {
  const { placeOf } = calendarOf('Europe/Berlin');

  test('has no quarters between two and three on the day of 23 hours', () => {
    expect(placeOf(Date.UTC(2026, 2, 29, 0, 45)).slot).toBe(7);
    expect(placeOf(Date.UTC(2026, 2, 29, 1, 0)).slot).toBe(12);
  });

  test('has those between two and three twice on the day of 25 hours, and turns at its own midnight', () => {
    expect([0, 1].map((hour) => placeOf(Date.UTC(2026, 9, 25, hour, 30)).slot)).toEqual([10, 10]);
    const [last, first] = [placeOf(Date.UTC(2026, 9, 25, 22, 45)), placeOf(Date.UTC(2026, 9, 25, 23, 0))];
    expect([last.slot, first.slot, first.date - last.date]).toEqual([95, 0, 1]);
    expect([last.weekday, first.weekday]).toEqual([0, 1]);
  });

  test('knows the ends of a month, and its first and last working days', () => {
    // 2026-02-01 was a Sunday, and 2026-02-28 a Saturday.
    const month = (day: number): number => placeOf(Date.UTC(2026, 1, day, 12)).month;
    expect([1, 2, 3, 27, 28].map(month)).toEqual([1, 4, 0, 8, 2]);
  });
});

describe('levels', () => {
  const random = (name: string): Random => seededRandom(name);

  test('of month ends are learned from three of them that a person accepted', () => {
    const draws = random('month ends');
    const isLast = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
    const { stopped } = walk(
      series(365, DAY_MS, (at) => negativeBinomial(draws, isLast(at) ? 600 : 100, 20)),
    );
    const ends = stopped.filter((at) => isLast(START + at * DAY_MS));
    expect(ends.length).toBeGreaterThanOrEqual(2);
    expect(ends.length).toBeLessThanOrEqual(5);
  });

  test('of month ends are learned by a job of many runs a day too, whose other history is four weeks', () => {
    const draws = random('month ends of many runs');
    const isLast = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
    const runs = series(4 * 240, 6 * HOUR_MS, (at) => negativeBinomial(draws, isLast(at) ? 300 : 50, 20));
    const ends = walk(runs).stopped.filter((at) => isLast(START + at * 6 * HOUR_MS));
    const inMonth = (month: number): number =>
      ends.filter((at) => new Date(START + at * 6 * HOUR_MS).getUTCMonth() === month).length;
    expect([0, 1].map((month) => inMonth(month) > 0)).toEqual([true, true]);
    expect([4, 5, 6].map(inMonth)).toEqual([0, 0, 0]);
  });

  test('of month ends half as high again are learned without a person, from what passed on them', () => {
    const draws = random('mild month ends');
    const isLast = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
    const runs = series(24 * 31 * 7, HOUR_MS, (at) => negativeBinomial(draws, isLast(at) ? 90 : 60, 20));
    const { stopped, judged } = walk(runs, false);
    const inMonth = (places: readonly number[], month: number): readonly number[] =>
      places.filter(
        (at) => isLast(START + at * HOUR_MS) && new Date(START + at * HOUR_MS).getUTCMonth() === month,
      );
    // The first three trip: together their runs are too many. From the fourth on they are compared with each other.
    expect([0, 1, 2].every((month) => inMonth(stopped, month).length > 0)).toBe(true);
    expect([3, 4, 5, 6].flatMap((month) => inMonth(stopped, month)).length).toBeLessThanOrEqual(1);
    const [last] = inMonth([...runs.keys()], 6).slice(-1);
    const { figures } = judged[last ?? 0] ?? {};
    expect(figures?.['comparable']).toBe('runs on the last day of a month');
    expect(figures?.['samples']).toBeGreaterThan(5 * 20);
    expect(figures?.['expected']).toBeGreaterThan(80);
    expect(figures?.['expected']).toBeLessThan(100);
  });

  test('of month ends before a lasting shift are brought to the level of today', () => {
    const draws = random('month ends and a shift');
    const isLast = (at: number): boolean => new Date(at + DAY_MS).getUTCDate() === 1;
    const shiftAt = START + 24 * 100 * HOUR_MS;
    const runs = series(24 * 177, HOUR_MS, (at) =>
      negativeBinomial(draws, (isLast(at) ? 3 : 1) * (at < shiftAt ? 30 : 60), 20),
    );
    const { judged } = walk(runs);
    const figuresAt = (at: string): unknown => judged[(Date.parse(at) - START) / HOUR_MS]?.figures;
    const about = (count: number): unknown => expect.closeTo(count, -1);
    expect(figuresAt('2026-06-29T12:00:00Z')).toMatchObject({ expected: about(60) });
    expect(figuresAt('2026-06-30T12:00:00Z')).toMatchObject({
      comparable: 'runs on the last day of a month',
      expected: expect.closeTo(180, -1.6) as unknown,
    });
  });

  test('of special days that are like any other day make no class, however long they are kept', () => {
    const draws = random('a shift alone');
    const runs = series(24 * 170, HOUR_MS, (_, index) =>
      negativeBinomial(draws, index < 24 * 100 ? 30 : 60, 20),
    );
    const { history } = walk(runs);
    const at = START + 24 * 170 * HOUR_MS;
    const { figures } = judgeAfter(history, { at, units: 50, count: 60 }, OPTIONS);
    expect(figures).toMatchObject({ comparable: 'runs', expected: expect.closeTo(60, -1) as unknown });
  });

  test('that a person has accepted twice are the new level', () => {
    const draws = random('shift');
    const { stopped, judged } = walk(
      series(165, DAY_MS, (_, index) => negativeBinomial(draws, index < 100 ? 100 : 300, 10)),
    );
    expect(stopped.filter((at) => at >= 100).length).toBeLessThanOrEqual(2);
    expect(judged[130]?.reason).toMatch(
      /; a person accepted a new level on 2026-04-\d\d, which \d+ runs since tell; /,
    );
    expect(judged[130]?.figures['shifted']).toBeGreaterThan(1.5);
  });

  test('that creep up by 2 % a run are found before any single run stands out', () => {
    const draws = random('drift');
    const runs = series(160, DAY_MS, (_, index) =>
      negativeBinomial(draws, 1_000 * 1.02 ** Math.max(0, index - 100), 10),
    );
    const { stopped, judged } = walk(runs, false);
    const first = stopped.find((at) => at >= 100) ?? Infinity;
    expect(first).toBeLessThanOrEqual(135);
    expect(judged[first]?.reason).toMatch(
      /; together the last runs are too many: evidence [\d,]+, limit 10,000$/,
    );
  });
});

describe('after a pause', () => {
  const draws = seededRandom('pause');
  const past = series(24 * 15, HOUR_MS, () => negativeBinomial(draws, 40, 10));
  const at = START + (24 * 15 + 9) * HOUR_MS;
  const judged = (count: number): CountJudged => judgeCount(past, { at, units: 50, count }, OPTIONS);

  test('a run may plan what all the missed ones would have, and no more', () => {
    expect(judged(400)).toMatchObject({ verdict: 'pass', figures: { gathered: 10 } });
    expect(judged(400).reason).toContain('; the work of 10 runs has gathered; ');
    expect(judged(4_000).verdict).toBe('fail');
  });

  test('a run that plans as much as ever passes, and next to nothing is held', () => {
    expect(judged(40).verdict).toBe('pass');
    expect(judged(1)).toMatchObject({ verdict: 'fail', worth: 'hold' });
  });

  test('such a run is no part of the baseline', () => {
    const late = { at, units: 50, count: 400 };
    const next = { at: at + HOUR_MS, units: 50, count: 40 };
    const { figures } = judgeCount([...past, late], next, OPTIONS);
    expect(figures).toMatchObject({ samples: past.length, expected: expect.closeTo(40, -1) as unknown });
    expect(figures).not.toHaveProperty('gathered');
  });

  test('there is none where a job keeps to working days, nor where two versions share a slot', () => {
    const working = series(56, DAY_MS, () => negativeBinomial(draws, 40, 10)).filter(
      ({ at: day }) => ![0, 6].includes(new Date(day).getUTCDay()),
    );
    const monday = { at: START + 56 * DAY_MS, units: 50, count: 40 };
    expect(judgeCount(working, monday, OPTIONS).figures).not.toHaveProperty('gathered');
    const both = past.flatMap((run) => [run, { ...run, at: Number(run.at) + 5 }]);
    const beside = { at: START + 24 * 15 * HOUR_MS + 5, units: 50, count: 40 };
    expect(
      judgeCount([...both, { ...beside, at: beside.at - 5 }], beside, OPTIONS).figures,
    ).not.toHaveProperty('gathered');
  });
});

test('a job that runs more often than daily is compared with nothing on its first day', () => {
  const runs = series(97, QUARTER_MS, () => 5);
  expect(
    judgeCount(runs.slice(0, 96), { at: START + DAY_MS - 1, units: 50, count: 500 }, OPTIONS),
  ).toMatchObject({
    verdict: 'too-few',
    reason:
      'claims: 500 planned; 96 runs before it are of less than a day, which is too little to compare with',
  });
  expect(judgeCount(runs, { at: START + 97 * QUARTER_MS, units: 50, count: 500 }, OPTIONS).verdict).toBe(
    'fail',
  );
});

describe('after a pause of five weeks', () => {
  const draws = seededRandom('long pause');
  // Idle at weekends. It pauses on a Monday morning, so that its last hundred runs are nearly all idle.
  const past = series(4 * (28 * 24) + 4 * 9, QUARTER_MS, (at) =>
    [0, 6].includes(new Date(at).getUTCDay()) ? 0 : negativeBinomial(draws, 60, 10),
  );
  const at = START + 63 * DAY_MS + 13 * HOUR_MS;

  test('a run is compared with the four weeks before the pause', () => {
    const { reason, figures } = judgeCount(past, { at, units: 50, count: 60 }, OPTIONS);
    expect(reason).toContain('; runs on Mon–Fri plan ');
    expect(figures['samples']).toBeGreaterThan(18 * 96);
    expect(figures['expected']).toBeGreaterThan(50);
  });
});

describe('on the first day of a job that runs more often than daily', () => {
  const draws = seededRandom('first day');
  const night = series(20, QUARTER_MS, () => negativeBinomial(draws, 0.6, 10)).map((run) => ({
    ...run,
    units: 500,
  }));

  test('a run of few units trips that plans thousands of times as much as all did before', () => {
    const judged = judgeCount(night, { at: START + 20 * QUARTER_MS, units: 10, count: 88 }, OPTIONS);
    expect(judged.verdict).toBe('fail');
    expect(judged.reason).toMatch(
      /^claims: 88 planned; runs plan 1\.\d+ \(0–\d+\), 20 runs; that is 100 times what they planned, because less than a day is known and its other hours may differ; chance /,
    );
  });

  test.each([
    ['a curve', ofDay],
    ['office hours', (at: number) => (isOffice(at) ? 120 : 0.4)],
  ])('no healthy run trips of a job that follows %s, whenever it begins', (_, meanAt) => {
    for (let hour = 0; hour < 24; hour += 4) {
      const from = hour * HOUR_MS;
      const { stopped } = walk(
        series(96, QUARTER_MS, (at) => negativeBinomial(draws, meanAt(at + from), 10)),
        false,
      );
      expect(stopped).toEqual([]);
    }
  });
});
