import { describe, expect, test } from '@jest/globals';
import { AdmissionBook, type AdmissionRow, type BreakGlassRow } from '../../../src/flags/admission.js';

const [JOB, REGION, VERSION] = ['claims', 'eu-west-1', '1.1.0_22222222'];
const FLAG = `${JOB}.${REGION}`;
/** What people are shown; it decides nothing. */
const UNTIL = '2026-11-23T10:00:00.000Z';

const glass = (id: string, permille: number, leftMs: number): BreakGlassRow => ({
  ...{ id, permille, leftMs },
  until: UNTIL,
});

const row = (permille: number, breakGlass: readonly BreakGlassRow[] | null = null): AdmissionRow => ({
  ...{ job: JOB, region: REGION, version: VERSION, permille, revision: 7 },
  breakGlass,
});

/** A book on a clock that the test turns. */
function opened(...rows: readonly AdmissionRow[]) {
  const clock = { ms: 1_000 };
  const book = new AdmissionBook(rows, () => clock.ms);
  return {
    book,
    pass: (ms: number): void => void (clock.ms += ms),
    /** What the version has, and by which break-glass. */
    has: (): readonly [number, string | undefined] => {
      const { permille, breakGlass } = book.of(JOB, REGION);
      return [permille.get(VERSION) ?? 0, breakGlass?.get(VERSION)?.id];
    },
  };
}

describe('what a source last heard of admissions', () => {
  test('is nothing for a job, region or version that it has not heard of', () => {
    const { book } = opened(row(500));
    expect(book.of('other', REGION)).toEqual({ revision: 0, permille: new Map() });
    expect(book.of(JOB, 'elsewhere').permille.get(VERSION)).toBeUndefined();
    expect(book.of(JOB, REGION).permille.get('1.2.0_33333333')).toBeUndefined();
    expect(book.of(JOB, REGION)).toMatchObject({ revision: 7, revisions: new Map([[VERSION, 7]]) });
  });

  test('has break-glass until its very end, and then the admission, without hearing anything', () => {
    const { has, pass } = opened(row(100, [glass('a', 700, 5_000)]));
    expect(has()).toEqual([700, 'a']);
    pass(4_999);
    expect(has()).toEqual([700, 'a']);
    pass(1);
    expect(has()).toEqual([100, undefined]);
    pass(1_000_000);
    expect(has()).toEqual([100, undefined]);
  });

  test('counts what was left from when it was asked for, not from when the answer came', () => {
    const { book, has, pass } = opened();
    const askedAtMs = book.now();
    pass(3_000);
    book.replace([row(100, [glass('a', 700, 5_000)])], askedAtMs);
    pass(1_999);
    expect(has()).toEqual([700, 'a']);
    pass(1);
    expect(has()).toEqual([100, undefined]);
    // An answer that was so long on its way that all is over already.
    book.replace([row(100, [glass('b', 700, 5_000)])], askedAtMs);
    expect(has()).toEqual([100, undefined]);
  });

  test('of several takes the one that gives the most, then the next, and of equal ones the one that lasts', () => {
    const { has, pass } = opened(
      row(100, [
        glass('long', 300, 9_000),
        glass('most', 900, 2_000),
        glass('short', 300, 4_000),
        glass('less', 50, 99_000),
      ]),
    );
    expect(has()).toEqual([900, 'most']);
    pass(2_000);
    expect(has()).toEqual([300, 'long']);
    pass(2_000);
    expect(has()).toEqual([300, 'long']);
    pass(5_000);
    expect(has()).toEqual([100, undefined]);
  });

  test('names no break-glass that gives less than a rollout has, and none of a version beside it', () => {
    const { book, has } = opened(row(800, [glass('a', 700, 5_000)]), {
      ...row(0, [glass('b', 200, 5_000)]),
      version: '1.2.0_33333333',
    });
    expect(has()).toEqual([800, undefined]);
    expect(book.of(JOB, REGION).breakGlass?.get('1.2.0_33333333')).toMatchObject({
      ...{ id: 'b', permille: 200, admitted: 0, until: UNTIL },
    });
  });

  test('is replaced at once, and says which flags differ', () => {
    const { book, has, pass } = opened(row(100, [glass('a', 700, 5_000)]));
    const elsewhere = { ...row(100), region: 'elsewhere' };
    expect(book.replace([row(100, [glass('a', 700, 4_000)]), elsewhere])).toEqual([`${JOB}.elsewhere`]);
    pass(3_999);
    expect(has()).toEqual([700, 'a']);
    // What a person revokes ends when it is heard of, however long it had left.
    expect(book.replace([row(100, [glass('a', 700, 60_000)]), elsewhere])).toEqual([]);
    expect(book.replace([row(100), elsewhere])).toEqual([FLAG]);
    expect(has()).toEqual([100, undefined]);
    expect(book.replace([])).toEqual([FLAG, `${JOB}.elsewhere`]);
    expect(has()).toEqual([0, undefined]);
  });

  test('tells of a flag whose break-glass ended meanwhile once, when it is next heard of', () => {
    const { book, has, pass } = opened(row(100, [glass('a', 700, 1_000)]));
    pass(1_000);
    // Nobody has asked in between.
    expect(book.replace([row(100)])).toEqual([FLAG]);
    expect(book.replace([row(100)])).toEqual([]);
    expect(has()).toEqual([100, undefined]);
  });
});
