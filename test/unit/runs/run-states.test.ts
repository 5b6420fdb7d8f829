import { describe, expect, test } from '@jest/globals';
import { RUN_STATES, before, type RunStatus } from '../../../src/runs/run-states.js';

const statuses = Object.keys(RUN_STATES) as RunStatus[];

describe('the table of run states', () => {
  test('names only statuses that it has', () => {
    for (const status of statuses) {
      for (const next of RUN_STATES[status].next) expect(statuses).toContain(next);
    }
  });

  test('lets a run that has written never go back to planning', () => {
    const reach = (from: RunStatus, seen = new Set<RunStatus>()): Set<RunStatus> => {
      for (const next of RUN_STATES[from].next) if (!seen.has(next)) reach(next, seen.add(next));
      return seen;
    };
    expect(reach('applying')).not.toContain('planning');
  });

  test('reaches every status from planning, but the one that a slot is born with', () => {
    expect(statuses.filter((status) => before(status).length === 0)).toEqual(['skipped']);
  });

  test('answers where a status may come from', () => {
    expect(before('applying')).toEqual(['planning']);
    expect(before('held')).toEqual(['planning']);
    expect(before('stopped')).toEqual(['applying']);
  });
});
