import { describe, expect, test } from '@jest/globals';
import type { Approval } from '../../../src/access/approvals.js';
import type { Person } from '../../../src/access/people.js';
import type { TokenFacts } from '../../../src/access/tokens.js';
import { alertsText } from '../../../src/cli/commands/alerts.js';
import { approvalsText } from '../../../src/cli/commands/approvals.js';
import { entriesText } from '../../../src/cli/commands/audit.js';
import { databasesText } from '../../../src/cli/commands/database.js';
import { flagsText } from '../../../src/cli/commands/flags.js';
import { notificationsText } from '../../../src/cli/commands/notifications.js';
import { peopleText } from '../../../src/cli/commands/people.js';
import { runsText } from '../../../src/cli/commands/runs.js';
import { unitText } from '../../../src/cli/commands/unit.js';
import { MOST_COUNTED, type UnitRunView } from '../../../src/regions/unit-runs.js';
import { tokensText } from '../../../src/cli/commands/tokens.js';
import { Voice } from '../../../src/cli/context.js';
import { displayWidth } from '../../../src/cli/display-width.js';
import { incidentsText } from '../../../src/cli/incident-text.js';
import { rolloutText } from '../../../src/cli/rollout-text.js';
import { statusText } from '../../../src/cli/status-text.js';
import type { RegionStatus } from '../../../src/operations/status.js';
import type { FlagView } from '../../../src/flags/flag-desk.js';
import type { AlertView } from '../../../src/guard/bake/browse-alerts.js';
import type { Incident } from '../../../src/incidents/incident.js';
import type { Notification } from '../../../src/notify/browse.js';
import type { DatabaseView } from '../../../src/regions/databases.js';
import type { RolloutView } from '../../../src/rollout/rollout-view.js';
import type { RunView } from '../../../src/runs/browse-runs.js';
import { FakeTerminal } from './fake-terminal.js';
import type { ChainedEntry } from '../../../src/audit/entry.js';

/** Every listing with values as long as they are in use, on a terminal of 80 columns: nothing that matters is lost. */

const COLUMNS = 80;
const AT = '2026-11-23T09:00:00.000Z';
const WHEN = '2026-11-23T09:00:00Z';
const [NEW, OLD] = ['1.10.0_9f3c2a1b', '1.9.12_00c0ffee'];
const JOB = 'domain-claim';
const REGION = 'ap-northeast-1';
const RUN = '3f2a9c1e-0000-4000-8000-000000000000';
const REASON = `the claims of ${NEW} in ${REGION} are three times what was planned, says the support desk of the region`;

const run: RunView = {
  ...{ runId: RUN, job: JOB, version: NEW, region: REGION, slot: AT, trigger: 'schedule' },
  ...{ restores: null, dryRun: false, status: 'succeeded', reasonCode: 'applied', reason: REASON },
  ...{ planned: { claim: 1_204_601 }, applied: { claim: 1_204_598 }, conflicts: 1_003, attempt: 1 },
  ...{ cascading: {}, cascaded: {}, triggers: null, part: null },
  ...{
    worker: 'w',
    admittedUnits: 9,
    askedPermille: null,
    admittedPermille: null,
    breakGlass: null,
    createdAt: AT,
    plannedAt: AT,
    finishedAt: AT,
    durationMs: 1_800_000,
  },
};

const unitRun: UnitRunView = {
  ...{ runId: RUN, job: JOB, version: NEW, region: REGION, status: 'succeeded', createdAt: AT },
  ...{ restores: null, dryRun: false, planned: MOST_COUNTED, applied: 998, conflicts: 17 },
};

const flag: FlagView = {
  ...{ name: `${JOB}.${REGION}`, job: JOB, region: REGION, enabled: true, revision: 71_204 },
  variants: [
    { version: NEW, permille: 250 },
    { version: OLD, permille: 750 },
  ],
  ...{
    admitted: [],
    beyond: [],
    breakGlass: [],
    reason: REASON,
    changedBy: 'rollout:k3v7qa2m',
    changedAt: AT,
  },
};

const approval: Approval = {
  ...{ id: 'k3v7qa2m', action: 'begin-wave', subject: `${JOB} ${NEW} wave europe-and-asia`, region: null },
  ...{ reason: REASON, evidence: {}, state: 'approved', requestedBy: 'alice-laptop-2026' },
  ...{
    requestedPerson: 'alice',
    requestedAt: AT,
    expiresAt: AT,
    decidedBy: 'bob-phone',
    decidedPerson: 'bob',
  },
  ...{ decidedAt: AT, introducedBy: 'carol', caution: null, carriedOutAt: AT, aloneAt: null },
};

const incident: Incident = {
  ...{ id: 'k3v7qa2m', job: JOB, version: NEW, cause: 'trip', state: 'contained', severity: 'sev1' },
  ...{ title: REASON, drill: false, regions: [], evidence: [], openedBy: 'guard:count-claims', openedAt: AT },
  ...{ containedAt: AT, restoredAt: null, closedAt: null, closedBy: null, conclusion: null },
  falseAlarm: false,
} as unknown as Incident;

const inRegions = {
  ...incident,
  regions: ['eu-central-1', 'eu-west-1', REGION].map((region) => ({ region })),
} as unknown as Incident;

const alert: AlertView = {
  ...{ id: '00c0ffee00c0ffee', name: 'PortcullisClaimsSpike', job: JOB, state: 'firing', startsAt: AT },
  ...{ regions: ['eu-central-1', 'eu-west-1', REGION], receivedAt: AT, firesUntil: AT, killedAt: AT },
  ...{ resolvedAt: null, clearedAt: AT, clearedBy: 'alice-laptop-2026', clearReason: null },
};

const notification: Notification = {
  ...{ id: RUN, kind: 'incident-opened', job: JOB, region: REGION, title: REASON, lines: [], at: AT },
  deliveries: [
    {
      ...{ receiver: 'https://hooks.chat.example.com/T0', state: 'dead', attempts: 12, nextAt: null },
      ...{ lastProblem: 'answered 503 Service Unavailable', endedAt: AT },
    },
  ],
};

const person: Person = {
  ...{ name: 'alice.livingstone', role: 'approver', regions: ['eu-central-1', 'eu-west-1', REGION] },
  ...{ state: 'known', addedBy: 'admin', addedAt: AT, introducedBy: ['carol.danvers'], knownBy: 'code' },
  ...{ knownSince: AT, codeExpiresAt: null, removedAt: null, lastSeenAt: AT },
  tokens: ['alice-laptop-2026', 'alice-phone'],
  identities: [],
};

const token: TokenFacts = {
  expiresAt: null,
  ...{ id: RUN, name: 'alice-laptop-2026', role: 'approver', regions: ['eu-central-1', 'eu-west-1', REGION] },
  ...{ person: 'alice.livingstone', knownTo: ['alice.livingstone', 'carol.danvers'], createdAt: AT },
  ...{ lastUsedAt: AT, revokedAt: AT },
};

const entry: ChainedEntry = {
  ...{ seq: 1_204_601, at: AT, principal: 'alice-laptop-2026', action: 'confirm-database' },
  ...{ subject: `${JOB}.${REGION}`, evidence: { version: NEW, reason: REASON }, flagRevision: 71_204 },
  ...{ prev: '', hash: '' },
};

const database: DatabaseView = {
  ...{ database: 'PORTCULLIS_DATABASE_URL_AP_NORTHEAST', identity: '7346192847561928374/12' },
  ...{ confirmed: false, hidden: false, last: '7346192847561928374/11', lastConfirmedAt: AT },
  ...{ switchoverUntil: null, unrecordedKills: 0, unrecordedTrips: 0 },
};

const region: RegionStatus = {
  ...{ region: REGION, state: 'held', why: REASON, since: AT, unreachable: null, killWish: null },
  ...{ flag, gate: null, lastRun: run },
  versions: [NEW, OLD].map((version) => ({
    ...{ version, permille: 1_000, beyond: null, state: 'not-admitted', why: '', since: null, lastRun: run },
  })),
};

const source = { kind: 'embedded', url: null, heardAt: AT, ageMs: 0, polledMs: null, problem: null };

const rollout: RolloutView = {
  ...{ id: RUN, job: JOB, version: NEW, status: 'running', reason: REASON, startedBy: 'alice-laptop-2026' },
  ...{ startedAt: AT, endedAt: null, endedBy: null, endReason: null, incident: null, next: null },
  ...{ policyChanged: false, skip: null, breakGlass: [] },
  unitLabel: { one: 'organisation', many: 'organisations' },
  waves: [
    {
      ...{ name: 'europe-and-asia', approvals: 0, approval: null },
      regions: [
        {
          ...{ region: REGION, state: 'baking', reason: '', blockers: [REASON], earliest: AT, permille: 250 },
          ...{ step: 2, steps: 5, since: AT, waiting: 1_204, withoutWorker: [NEW], skipped: [] },
          bake: {
            ...{ runs: 2, runsNeeded: 3, changes: 1_204, changesNeeded: 5_000 },
            ...{ elapsedMs: 60_000, elapsedNeededMs: 3_600_000 },
          },
          verdicts: [{ rule: 'outcome-logins-of-managed-accounts', verdict: 'no-data' }],
        },
      ],
    },
  ],
} as unknown as RolloutView;

const listings: readonly (readonly [string, (voice: Voice) => string, readonly string[]])[] = [
  [
    'runs',
    (voice) => runsText(voice, [run]),
    ['3f2a9c1e', WHEN, JOB, NEW, REGION, 'succeeded', '1,204,598', '1,003', REASON],
  ],
  [
    'flags list',
    (voice) => flagsText(voice, [flag]),
    [`${JOB}.${REGION}`, 'on', NEW, '25%', OLD, '75%', WHEN, 'rollout:k3v7qa2m', REASON],
  ],
  [
    'approvals',
    (voice) => approvalsText(voice, [approval]),
    [approval.id, 'approved', 'begin-wave', approval.subject, 'alice', WHEN, 'bob', REASON],
  ],
  [
    'unit',
    (voice) => unitText(voice, 'org-17', [unitRun]),
    [RUN.slice(0, 8), WHEN, JOB, NEW, REGION, 'succeeded', '10,000 or more', '998', '17'],
  ],
  [
    'incident list',
    (voice) => incidentsText(voice, [inRegions]),
    ['k3v7qa2m', 'contained', 'sev1', JOB, NEW, `eu-central-1, eu-west-1, ${REGION}`, WHEN, REASON],
  ],
  [
    'alerts list',
    (voice) => alertsText(voice, [alert]),
    [alert.id, WHEN, alert.name, JOB, `eu-central-1, eu-west-1, ${REGION}`, 'firing', 'alice-laptop-2026'],
  ],
  [
    'notifications list',
    (voice) => notificationsText(voice, [notification]),
    [RUN, WHEN, notification.kind, REASON, 'https://hooks.chat.example.com/T0', 'dead', '12', '503 Service'],
  ],
  [
    'people list',
    (voice) => peopleText(voice, [person]),
    [
      person.name,
      'approver',
      `eu-west-1, ${REGION}`,
      'known',
      WHEN,
      'carol.danvers',
      person.tokens.join(', '),
    ],
  ],
  [
    'tokens list',
    (voice) => tokensText(voice, [token]),
    [token.name, 'known to carol.danvers', 'approver', `eu-west-1, ${REGION}`, `revoked ${WHEN}`],
  ],
  [
    'audit list',
    (voice) => entriesText(voice, [entry]),
    ['1,204,601', WHEN, entry.principal, entry.action, entry.subject, NEW, REASON],
  ],
  [
    'database show',
    (voice) => databasesText(voice, [database]),
    [database.database, database.identity, 'unconfirmed: nothing is written', String(database.last), WHEN],
  ],
  [
    'status',
    (voice) =>
      statusText(voice, {
        ...{ flagSource: source, databases: [], regionsAlone: false },
        jobs: [{ job: JOB, version: NEW, schedule: '*/15 * * * *', nextSlot: AT, regions: [region] }],
      }),
    [JOB, NEW, OLD, REGION, 'not-admitted', 'succeeded', '1,204,598 of 1,204,601', REASON],
  ],
  [
    'rollout status',
    (voice) => rolloutText(voice, rollout),
    [NEW, REGION, 'baking', '2 of 5', '2 of 3 runs', 'outcome-logins-of-managed-accounts no-data', REASON],
  ],
];

describe('on a terminal of 80 columns', () => {
  test.each(listings)('%s fits, and has every value', (_, text, values) => {
    const shown = text(new Voice(new FakeTerminal({ isTTY: true, columns: COLUMNS }), false));
    expect(shown.split('\n').filter((line) => displayWidth(line) > COLUMNS)).toEqual([]);
    const words = shown.split(/\s+/).join(' ');
    for (const value of values) expect(words).toContain(value);
  });
});
