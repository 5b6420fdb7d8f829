import { describe, expect, test } from '@jest/globals';
import { Voice } from '../../../src/cli/context.js';
import { displayWidth } from '../../../src/cli/display-width.js';
import type { RegionStatus, Status, VersionStatus } from '../../../src/operations/status.js';
import { standingOf, versionStandings } from '../../../src/operations/standing.js';
import { statusText } from '../../../src/cli/status-text.js';
import type { FlagView, SourceView } from '../../../src/flags/flag-desk.js';
import type { GateView } from '../../../src/gate/browse-gates.js';
import type { RunView } from '../../../src/runs/browse-runs.js';
import { FakeTerminal } from './fake-terminal.js';

const AT = '2026-11-23T09:00:00.000Z';
const LATER = '2026-11-23T09:30:00.000Z';
const [NEW, OLD] = ['1.1.0_00000001', '1.0.0_00000000'];
const EMBEDDED: SourceView = {
  kind: 'embedded',
  url: null,
  heardAt: LATER,
  ageMs: 0,
  polledMs: null,
  problem: null,
};
const REGION = 'ap-northeast-1';

const OPEN: GateView = {
  ...{ job: 'claims', region: REGION, state: 'open', permits: true, permitUntil: LATER, epoch: 2 },
  ...{ permitRemainingMs: 28_400, flagRevision: 7, variants: [], reasonCode: 'flag-open', stopped: false },
  ...{ reason: 'the flag is on and fresh', changedAt: AT, killedBy: null, killedAt: null, quarantined: [] },
};
const FLAG: FlagView = {
  ...{ name: `claims.${REGION}`, job: 'claims', region: REGION, enabled: true, revision: 7 },
  variants: [
    { version: NEW, permille: 100 },
    { version: OLD, permille: 900 },
  ],
  ...{ admitted: [], beyond: [], breakGlass: [] },
  ...{ reason: 'canary', changedBy: 'ann', changedAt: AT },
};

function ran(version: string, changes: Partial<RunView>): RunView {
  return {
    ...{ runId: '3f2a9c1e-0000-4000-8000-000000000000', job: 'claims', version, region: REGION },
    ...{ slot: AT, trigger: 'schedule', restores: null, dryRun: false, status: 'succeeded' },
    ...{ reasonCode: 'applied', reason: 'all applied', planned: { claim: 601 }, applied: { claim: 601 } },
    ...{
      conflicts: 0,
      ...{ cascading: {}, cascaded: {}, triggers: null, part: null },
      attempt: 1,
      worker: 'w',
      admittedUnits: 9,
      askedPermille: null,
      admittedPermille: null,
      breakGlass: null,
      createdAt: AT,
      plannedAt: AT,
    },
    ...{ finishedAt: LATER, durationMs: 1_800_000 },
    ...changes,
  };
}

/** A region as `readStatus` puts it together. */
function regionWith(
  gate: GateView | null,
  {
    flag = FLAG,
    runs = [],
    serves = [NEW, OLD],
    unreachable = null,
  }: Partial<Pick<RegionStatus, 'flag' | 'unreachable'>> & { runs?: RunView[]; serves?: string[] } = {},
): RegionStatus {
  const standing = standingOf(gate, unreachable);
  const of = (version: string): RunView | null => runs.find((each) => each.version === version) ?? null;
  const versions = versionStandings(standing, gate, flag, (version) => serves.includes(version)).map(
    (each): VersionStatus => ({ ...each, lastRun: of(each.version) }),
  );
  return {
    ...standing,
    region: REGION,
    flag,
    gate,
    versions,
    lastRun: runs[0] ?? null,
    unreachable,
    killWish: null,
  };
}

function shown(region: RegionStatus, source = EMBEDDED, databases: Status['databases'] = []): string {
  const status: Status = {
    flagSource: source,
    regionsAlone: false,
    databases,
    jobs: [{ job: 'claims', version: '2.0.0_00000002', schedule: null, nextSlot: null, regions: [region] }],
  };
  const text = statusText(new Voice(new FakeTerminal({ columns: 80 }), false), status);
  for (const line of text.split('\n')) expect([line, displayWidth(line) <= 80]).toEqual([line, true]);
  return text;
}

const lineOf = (text: string, what: string): string =>
  text.split('\n').find((line) => line.includes(what)) ?? '';

describe('the status of a region', () => {
  test('has a line for each version: a held candidate does not hide the stable version’s good run', () => {
    const text = shown(
      regionWith(OPEN, { runs: [ran(NEW, { status: 'held', reason: 'no' }), ran(OLD, {})] }),
    );
    expect(lineOf(text, NEW)).toMatch(/^ap-northeast-1 .*10% +open +held/);
    expect(lineOf(text, OLD)).toMatch(/^ +.*90% +open +succeeded/);
  });

  test.each([
    [
      'guard:cap:claim',
      'cap:claim: 1,204 planned; claims: too many',
      'guard:cap:claim: 1,204 planned; claims: too many',
    ],
    ['guard:claims', 'claims-per-run: too many', 'guard:claims: claims-per-run: too many'],
    ['ann', 'ann: as she says', 'ann: ann: as she says'],
  ])('killed by %s for “%s” names its rule once, and says since when', (by, reason, why) => {
    const killed = { ...OPEN, state: 'killed', permits: false, reason, killedBy: by, killedAt: AT } as const;
    const text = shown(regionWith(killed, { runs: [ran(OLD, { status: 'killed', reason: 'older' })] }));
    expect(text.replaceAll(/\s+/g, ' ')).toContain(`killed by ${why}, since 2026-11-23T09:00:00Z`);
    expect(lineOf(text, OLD)).toMatch(/ killed +killed/);
    expect(text).not.toContain('older');
  });

  test('names a quarantined version once as such, for its own reason', () => {
    const quarantined = [{ version: NEW, reason: 'faulty', by: 'ann', at: AT }];
    const text = shown(regionWith({ ...OPEN, quarantined }));
    expect(text.split('faulty')).toHaveLength(2);
    expect(text).toContain(`${NEW} is quarantined by ann: faulty, since`);
    expect(lineOf(text, `${NEW} `)).toContain('quarantined');
    expect(lineOf(text, OLD)).toContain('open');
  });

  test('after a re-arm says what is in force, and nothing of the kill before it', () => {
    const runs = [ran(OLD, { status: 'killed', reason: 'killed by ann: customers call', finishedAt: AT })];
    const rearmed = { ...OPEN, state: 'held', permits: false, reason: 're-armed by bob: fixed' } as const;
    expect(shown(regionWith(rearmed, { runs }))).toContain('re-armed by bob: fixed, since');
    const text = shown(regionWith({ ...OPEN, changedAt: LATER }, { runs }));
    expect(text).not.toContain('customers call');
    // What went wrong since the gate opened is said.
    const failed = [ran(OLD, { status: 'failed', reason: 'out of memory' })];
    expect(shown(regionWith(OPEN, { runs: failed }))).toContain(`last run of ${OLD} failed: out of memory`);
  });

  test('without a worker says so: for the region, for one version, and for a permit that nobody renews', () => {
    expect(shown(regionWith(null))).toContain('No worker serves this region');
    const unserved = shown(regionWith(OPEN, { serves: [OLD] }));
    expect(unserved).toContain(`${NEW} unserved: no worker that runs now has it`);
    expect(lineOf(unserved, OLD)).toContain('open');
    const expired = shown(regionWith({ ...OPEN, permits: false, permitRemainingMs: 0 }));
    expect(expired).toContain('permit expired: no worker renews it, since 2026-11-23T09:30:00Z');
  });

  test('whose database is away knows neither gate nor runs', () => {
    const text = shown(regionWith(null, { unreachable: 'connect ECONNREFUSED 192.0.2.7:5432' }));
    expect(lineOf(text, NEW)).toContain('unreachable');
    expect(text).toContain('ECONNREFUSED');
    expect(text).not.toContain('never');
  });
});

describe('flags of an Unleash server', () => {
  const unleash = { ...EMBEDDED, kind: 'unleash', url: 'http://unleash.example/api', ageMs: 400 };

  test('are shown with where they come from and how old they are', () => {
    expect(shown(regionWith(OPEN), unleash)).toContain(
      'Flags: Unleash at http://unleash.example/api, last heard 400 ms ago',
    );
  });

  test('that nobody here has heard are unknown, not none; the gate tells what it last heard', () => {
    const problem = { code: 'flag-unauthorised', reason: 'Unleash: responded 401', since: AT } as const;
    const gate = { ...OPEN, variants: [{ version: OLD, permille: 1000 }] };
    const text = shown(regionWith(gate, { flag: null }), { ...unleash, heardAt: null, ageMs: null, problem });
    expect(text.replaceAll('\n', ' ')).toContain(
      'does not answer: Unleash: responded 401; since 2026-11-23T09:00:00Z, never heard by this process',
    );
    expect(lineOf(text, OLD)).toMatch(/^ap-northeast-1 +unknown .* 100% +open/);
    expect(lineOf(shown(regionWith(gate, { flag: null })), OLD)).toContain(' none ');
  });
});

describe('what the databases are to be known for', () => {
  const DATABASE = {
    ...{ database: 'control', identity: '7312/2', confirmed: true, last: '7312/2', lastConfirmedAt: AT },
    ...{ switchoverUntil: null, hidden: false, unrecordedKills: 0, unrecordedTrips: 0 },
  };
  const flat = (databases: Status['databases'], source = EMBEDDED): string =>
    shown(regionWith(OPEN), source, databases).replaceAll('\n', ' ');

  test('is nothing where all is recorded and confirmed', () => {
    expect(flat([DATABASE])).toBe(flat([]));
  });

  test('is what waits to be recorded, and that one is another than before', () => {
    expect(flat([{ ...DATABASE, unrecordedKills: 2, unrecordedTrips: 1 }])).toContain(
      'Database control: 2 kills and 1 trip hold and are not in the audit log yet; each process that serves goes on trying',
    );
    expect(flat([{ ...DATABASE, unrecordedTrips: 1 }])).toContain('1 trip holds and is not in the audit log');
    expect(flat([{ ...DATABASE, confirmed: false, last: '7312/1' }])).toContain(
      'Database control is another one than before (7312/2, before 7312/1): nothing is written to it until portcullis database confirm',
    );
  });

  test('how often flags are asked for behind a connection pooler is said', () => {
    expect(flat([], { ...EMBEDDED, polledMs: 1_000 })).toContain(
      'Flags: the control database, last heard 0 ms ago, asked every 1 s (a connection pooler passes no changes on; PORTCULLIS_DIRECT_DATABASE_URL leads past it)',
    );
  });
});

const NOTHING: Status = { flagSource: EMBEDDED, regionsAlone: false, databases: [], jobs: [] };

test('without a job it says so', () => {
  expect(statusText(new Voice(new FakeTerminal(), false), NOTHING)).toBe('No jobs\n');
});

test('where the regions alone answer, it says what is not known', () => {
  const voice = new Voice(new FakeTerminal({ columns: 80 }), false);
  expect(statusText(voice, { ...NOTHING, regionsAlone: true })).toBe(
    'The control database does not answer: flags, pending kills and who serves a\nversion are not known\n\nNo jobs\n',
  );
});

test('what others wrote cannot reach the terminal of whoever asks', () => {
  const terminal = new FakeTerminal({ isTTY: true, colour: true });
  const voice = new Voice(terminal, false);
  const quarantined = [{ version: NEW, reason: 'faulty', by: 'ann', at: AT }];
  const reason = 'calm\u001b[2J\u001b]0;title\u0007';
  const gate = { ...OPEN, state: 'killed', reason, killedBy: 'ann', killedAt: AT, quarantined } as const;
  const job = {
    job: 'claims',
    version: '2.0.0_00000002',
    schedule: null,
    nextSlot: null,
    regions: [regionWith(gate)],
  };
  voice.result({}, () => statusText(voice, { ...NOTHING, jobs: [job] }));
  expect(terminal.stdout.text).toContain('calm\\x1b[2J\\x1b]0;title\\x07');
  expect(terminal.stdout.text).toContain('\u001b[31m1.1.0_00000001 is quarantined\u001b[0m');
  voice.note('calm\u001b[2J');
  expect(terminal.stderr.text).toBe('calm\\x1b[2J\n');
});
