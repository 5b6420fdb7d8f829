import { describe, expect, test } from '@jest/globals';
import { INCIDENT_STATES, mayFollow, type IncidentState } from '../../../src/incidents/incident-states.js';
import { SEVERITIES, severityOf } from '../../../src/incidents/severity.js';

const states = Object.keys(INCIDENT_STATES) as IncidentState[];

describe('the table of incident states', () => {
  test('names only states that it has, each reached from another', () => {
    for (const state of states) {
      for (const next of INCIDENT_STATES[state].next) expect(states).toContain(next);
      expect(states.filter((from) => mayFollow(from, state))).not.toEqual([]);
    }
  });

  test('restores nothing while the job may still write', () => {
    expect(mayFollow('open', 'restoring')).toBe(false);
    expect(mayFollow('open', 'restored')).toBe(false);
  });

  test('leaves `closed` by no way, and reaches it from everywhere', () => {
    expect(INCIDENT_STATES.closed.next).toEqual([]);
    for (const state of states) expect(mayFollow(state, 'closed')).toBe(state !== 'closed');
  });
});

describe('severity', () => {
  test.each([
    [0, 0, 'averted'],
    [1, 1, 'minor'],
    [9, 99, 'minor'],
    [10, 10, 'major'],
    [1, 100, 'major'],
    [100, 100, 'critical'],
    [3, 1_000, 'critical'],
  ] as const)('of %d units and %d rows is %s', (units, rows, severity) => {
    expect(severityOf({ units, rows, cascaded: 0 })).toBe(severity);
    // What went with rows that were deleted is damage like any other.
    expect(severityOf({ units, rows: 0, cascaded: rows })).toBe(severity);
  });

  test('sinks from line to line', () => {
    for (const [at, line] of SEVERITIES.entries()) {
      const above = SEVERITIES[at - 1];
      if (!above) continue;
      expect(line.units).toBeLessThan(above.units);
      expect(line.rows).toBeLessThan(above.rows);
    }
  });
});
