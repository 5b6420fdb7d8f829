import { describe, expect, test } from '@jest/globals';
import { connectionsFinding } from '../../../src/doctor/set-up.js';
import { clockFinding } from '../../../src/doctor/database.js';
import { diskFinding, nodeFinding } from '../../../src/cli/checks/machine.js';
import { resolverFindings } from '../../../src/jobs/domain-claim/doctor.js';
import { permitFindings } from '../../../src/doctor/running.js';
import type { GateView } from '../../../src/gate/browse-gates.js';

test.each([
  ['20.19.0', 'ok'],
  ['20.18.9', 'fail'],
  ['18.20.0', 'fail'],
  ['22.1.0', 'ok'],
  ['24.0.0-nightly', 'ok'],
])('Node.js %s: %s', (version, mark) => {
  expect(nodeFinding(version).mark).toBe(mark);
});

test.each([
  [50, 'fail'],
  [500, 'warn'],
  [5_000, 'ok'],
])('%i MiB of room: %s', (freeMib, mark) => {
  expect(diskFinding(freeMib).mark).toBe(mark);
});

describe('clocks', () => {
  test.each([
    [0, 'ok'],
    [900, 'ok'],
    [-1_500, 'warn'],
    [40_000, 'warn'],
    [-3_600_000, 'warn'],
  ])('that differ by at least %i ms: %s', (aheadMs, mark) => {
    expect(clockFinding(aheadMs).mark).toBe(mark);
  });

  test('are named with who is behind and who is ahead', () => {
    expect(clockFinding(-1_500).found).toBe("this machine's clock is 1.5 s behind the database's");
    expect(clockFinding(120_000).found).toBe("this machine's clock is 2 min ahead of the database's");
  });
});

test('a resolver that says anything answers; a silent one is named with the hint', () => {
  const [records, absent, refused, silent] = resolverFindings([
    { perspective: 'a', answer: { kind: 'records', values: [], ttlSeconds: 1 } },
    { perspective: 'b', answer: { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: 1 } },
    { perspective: 'c', answer: { kind: 'indeterminate', code: 'REFUSED' } },
    { perspective: 'd', answer: { kind: 'indeterminate', code: 'TIMEOUT' } },
  ]);
  expect(records?.mark).toBe('ok');
  expect(absent?.mark).toBe('ok');
  expect(refused).toMatchObject({ mark: 'warn', found: expect.stringContaining('REFUSED') as unknown });
  expect(silent).toMatchObject({
    mark: 'warn',
    hint: expect.stringContaining('PORTCULLIS_RESOLVERS') as unknown,
  });
});

test('an open gate without a permit is worth knowing, a held one is not', () => {
  const gate = (state: GateView['state'], permits: boolean): GateView => ({
    ...{ job: 'sweep', region: 'eu-west-1', state, permits, permitUntil: null, permitRemainingMs: 0 },
    ...{ epoch: 1, flagRevision: 1, variants: [], reasonCode: 'x', reason: 'x', changedAt: '' },
    ...{ killedBy: null, killedAt: null, stopped: false, quarantined: [] },
  });
  expect(permitFindings([gate('open', true), gate('held', false)])).toMatchObject([{ mark: 'ok' }]);
  expect(permitFindings([gate('open', false)])).toMatchObject([
    { mark: 'warn', found: expect.stringContaining('sweep.eu-west-1') as unknown },
  ]);
});

test.each([
  [{ usable: 197, used: 20, all: 61, fleet: 3 }, 'ok'],
  // Each fits by itself, and together they do not.
  [{ usable: 97, used: 20, all: 61, fleet: 2 }, 'warn'],
  [{ usable: 50, used: 20, all: 61, fleet: 0 }, 'warn'],
] as const)('the connections of the processes at work, %j: %s', (standing, mark) => {
  expect(connectionsFinding(standing)).toMatchObject({ mark });
});

test('how many connections the processes at work may take is said', () => {
  expect(connectionsFinding({ usable: 197, used: 20, all: 61, fleet: 3 }).found).toBe(
    'a serving process may take 61 of 197 connections: 3 such processes fit, 3 are at work (up to 183 connections); 20 are in use now',
  );
});
