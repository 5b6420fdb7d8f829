import { describe, expect, test } from '@jest/globals';
import { countOf, time } from '../../../src/kernel/words.js';
import { changedColumns, counts, imageText, share, total } from '../../../src/cli/wording.js';

describe('what a change does', () => {
  test('to a row that stays: the columns that differ, and no others', () => {
    const before = { state: 'UNMANAGED', organisation_id: null, email: 'a@example.com' };
    const after = { state: 'MANAGED', organisation_id: 'org-1' };
    expect(changedColumns(before, after)).toEqual([
      'state: UNMANAGED → MANAGED',
      'organisation_id: null → org-1',
    ]);
  });

  test('to a row that comes or goes: all of it', () => {
    expect(changedColumns(null, { id: 'a', state: 'PENDING' })).toEqual(['new row, id: a, state: PENDING']);
    expect(changedColumns({ id: 'a', state: 'PENDING' }, null)).toEqual([
      'row goes, was id: a, state: PENDING',
    ]);
  });

  test('a row that was not found is said to be none', () => {
    expect(imageText(null)).toBe('no such row');
  });
});

test('counts by kind leave out what there is none of', () => {
  expect(counts({ claim: 1_204, verify: 31, lapse: 0 })).toBe('claim 1,204, verify 31');
  expect(counts({})).toBe('–');
  expect(total({ claim: 1_204, verify: 31 })).toBe(1_235);
});

test('figures and times are written for people', () => {
  expect(countOf(1, 'run')).toBe('1 run');
  expect(countOf(2_000, 'run')).toBe('2,000 runs');
  expect(countOf(0, 'policy', 'policies')).toBe('0 policies');
  expect(time(new Date('2026-03-01T09:30:00.512Z'))).toBe('2026-03-01T09:30:00Z');
  expect(share(1)).toBe('0.1%');
  expect(share(1000)).toBe('100%');
});
