import type { ReplayResult, WorldResult } from '../../../src/demo/incident/result.js';

const UNTOUCHED: WorldResult = {
  name: 'Portcullis',
  guarded: 'flags/domain-claim.yaml as it is.',
  wronglyClaimed: 0,
  wronglyVerified: 0,
  lockedOut: { Trello: 0, Jira: 0, Confluence: 0, Opsgenie: 0, Access: 0 },
  regionsTouched: 0,
  organisationsTouched: 0,
  noticedBy: 'claim-needs-request: 12 claims rest on <no request>',
  detect: { ms: 740.4, clock: 'real' },
  stop: { ms: 0, clock: 'real' },
  restore: null,
  rowsRestored: 0,
  editsLost: 0,
  rowsNotAsBefore: 0,
  readings: [{ minute: 0, wronglyClaimed: 0 }],
};

const UNGATED: WorldResult = {
  ...UNTOUCHED,
  name: 'ungated',
  wronglyClaimed: 4_722,
  lockedOut: { Trello: 1_442, Jira: 1_658, Confluence: 1_419, Opsgenie: 1_411, Access: 1_438 },
  regionsTouched: 6,
  organisationsTouched: 1_023,
  noticedBy: 'people, as in 2021',
  detect: { ms: 7_080_000, clock: 'virtual' },
  stop: { ms: 10_000, clock: 'virtual' },
  restore: { ms: 529.2, clock: 'real' },
  rowsRestored: 9_310,
  editsLost: 220,
  rowsNotAsBefore: 654,
  readings: [
    { minute: 0, wronglyClaimed: 0 },
    { minute: 15, wronglyClaimed: 4_700 },
    { minute: 118, wronglyClaimed: 4_722 },
  ],
};

/** A replay as one might end, of two worlds. */
export const RESULT: ReplayResult = {
  accounts: 20_000,
  organisations: 2_004,
  regions: ['eu-west-1', 'eu-central-1'],
  seed: 7,
  stableVersion: '1.0.0_0115b575',
  faultyVersion: '1.1.0_19d8a776',
  healthyRuns: 40,
  worlds: [UNGATED, UNTOUCHED],
  tookMs: 80_000,
};
