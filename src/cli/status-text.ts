import { formatDurationMs } from '../kernel/duration.js';
import { countOf, number, time } from '../kernel/words.js';
import { breakGlassText } from '../flags/admission.js';
import type { SourceView } from '../flags/flag-desk.js';
import type { GateView } from '../gate/browse-gates.js';
import type { RunView } from '../runs/browse-runs.js';
import type { Voice } from './context.js';
import { printable, wrapTo } from './display-width.js';
import { flagCell, sourceText, type Toned } from './flag-text.js';
import type { JobStatus, PendingKill, RegionStatus, Status, VersionStatus } from '../operations/status.js';
import { reasonBeside } from '../operations/standing.js';
import { share, total } from './wording.js';
import { unrecordedText } from '../regions/databases.js';
import { Table, type Cell, type Row } from './table.js';
import { toneOf } from './tone.js';

const COLUMNS = [
  { title: 'region' },
  { title: 'flag', below: 4 },
  { title: 'version' },
  { title: 'share', align: 'right' as const },
  { title: 'state' },
  { title: 'permit', minor: true as const },
  { title: 'last run' },
  { title: 'for', below: 2 },
  { title: 'changes', below: 3 },
];

/** Every job's regions: a line for each version, and under a region whatever there is to explain. */
export function statusText(voice: Voice, { jobs, flagSource, databases, regionsAlone }: Status): string {
  const head =
    sourceText(voice, flagSource) + (regionsAlone ? aloneText(voice) : '') + databasesText(voice, databases);
  if (jobs.length === 0) return `${head}No jobs\n`;
  return head + jobs.map((job) => jobText(voice, job, flagSource)).join('\n');
}

function aloneText(voice: Voice): string {
  const text =
    'The control database does not answer: flags, pending kills and who serves a version are not known';
  return `${wrapTo(text, voice.tableOptions().columns)
    .map((line) => voice.paint(line, 'bad'))
    .join('\n')}\n\n`;
}

/** What is to be known of the region databases; empty where there is nothing. */
function databasesText(voice: Voice, databases: Status['databases']): string {
  const { columns } = voice.tableOptions();
  const lines = databases.flatMap((each): Toned[] => {
    const { database, confirmed, identity, last, unrecordedKills: kills, unrecordedTrips: trips } = each;
    const waiting = unrecordedText({ kills, trips });
    return [
      ...(confirmed
        ? []
        : [
            {
              text: `Database ${database} is another one than before (${identity}, before ${last ?? 'unknown'}): nothing is written to it until portcullis database confirm`,
              tone: 'bad' as const,
            },
          ]),
      ...(waiting === undefined
        ? []
        : [
            {
              text: `Database ${database}: ${waiting}; each process that serves goes on trying`,
              tone: 'warning' as const,
            },
          ]),
    ];
  });
  const wrapped = lines.flatMap(({ text, tone }) =>
    wrapTo(printable(text), columns).map((line) => voice.paint(line, tone)),
  );
  return wrapped.length === 0 ? '' : `${wrapped.join('\n')}\n\n`;
}

function jobText(
  voice: Voice,
  { job, version, schedule, nextSlot, regions }: JobStatus,
  source: SourceView,
): string {
  const facts = [
    `${job} ${version ?? 'is not installed here'}`,
    schedule === null ? 'no policy: runs nowhere' : `schedule ${schedule} (UTC)`,
    ...(nextSlot === null ? [] : [`next run ${time(nextSlot)}`]),
  ].join(' · ');
  const heading = wrapTo(printable(facts), voice.tableOptions().columns)
    .join('\n')
    .replace(job, (name) => voice.paint(name, 'strong'));
  if (regions.length === 0) return `${heading}\n\nNo regions\n`;
  const rows = regions.map((region) => regionRows(region, source));
  const table = new Table(COLUMNS, rows.flat(), voice.tableOptions());
  const body = regions.flatMap((region, at) => [
    ...(rows[at] ?? []).map((row) => table.row(row)),
    ...whyLines(region).flatMap((line) => indented(voice, line)),
  ]);
  return `${heading}\n\n${[table.head(), ...body].map((line) => `${line}\n`).join('')}${quarantineText(voice, regions)}`;
}

function indented(voice: Voice, line: string): string[] {
  const { columns } = voice.tableOptions();
  return wrapTo(printable(line), columns - 2).map((each) => `  ${each}`);
}

/** A line for each version; one without a version where none has a share. */
function regionRows(status: RegionStatus, source: SourceView): Row[] {
  const { region, flag, gate, versions, lastRun, state } = status;
  const row = (at: number, one: Partial<VersionStatus>, last: RunView | null): Row => [
    at === 0 ? region : '',
    at === 0 ? flagCell(flag, source) : '',
    one.version ?? '–',
    one.permille === undefined ? '–' : share(one.permille),
    { text: one.state ?? state, tone: toneOf(one.state ?? state) },
    at === 0 ? permitText(gate) : '',
    lastRunCell(status, last),
    last === null ? '–' : time(last.slot),
    last === null ? '–' : changesText(last),
  ];
  return versions.length === 0
    ? [row(0, {}, lastRun)]
    : versions.map((version, at) => row(at, version, version.lastRun));
}

function lastRunCell({ unreachable }: RegionStatus, last: RunView | null): Cell {
  if (last !== null) return { text: last.status, tone: toneOf(last.status) };
  return unreachable === null ? 'never' : '–';
}

/** What holds the region, then what holds one version, then what went wrong since it opened. */
function whyLines(region: RegionStatus): string[] {
  const { why, since, state, versions, killWish, gate, flag } = region;
  // A quarantine is of the job, and told below all its regions.
  const own = versions.filter((each) => each.state === 'unserved');
  return [
    ...(killWish === null ? [] : [wishText(killWish)]),
    ...(why === '' ? [] : [`${why}${sinceText(since)}`]),
    ...own.map((each) => `${each.version} ${each.state}: ${each.why}${sinceText(each.since)}`),
    // Where that is what holds the region, it is said already.
    ...versions.flatMap(({ beyond }) => (beyond === null || why.includes(beyond) ? [] : [beyond])),
    ...(flag?.breakGlass ?? []).map(breakGlassText),
    ...(state === 'open' ? troubles(versions, gate) : []),
  ];
}

/** Of an open gate: the last run of each version, where it did not end well after the gate was opened. */
function troubles(versions: readonly VersionStatus[], gate: GateView | null): string[] {
  return versions.flatMap(({ version, lastRun }) => {
    if (lastRun?.finishedAt == null || lastRun.status === 'succeeded') return [];
    if (gate !== null && lastRun.finishedAt < gate.changedAt) return [];
    return [`last run of ${version} ${lastRun.status}: ${lastRun.reason}, ${time(lastRun.finishedAt)}`];
  });
}

function sinceText(since: string | null): string {
  return since === null ? '' : `, since ${time(since)}`;
}

/** The versions that may act nowhere: the same at every gate of a job. */
function quarantineText(voice: Voice, regions: readonly RegionStatus[]): string {
  const quarantined = new Map(
    regions.flatMap(({ gate }) => gate?.quarantined ?? []).map((each) => [each.version, each]),
  );
  return [...quarantined.values()]
    .map(({ version, reason, by, at }) => {
      const what = voice.paint(`${version} is quarantined`, toneOf('killed'));
      const [first = '', ...more] = wrapTo(
        printable(`by ${by}: ${reasonBeside(by, reason)}, since ${time(at)}`),
        Math.max(20, voice.tableOptions().columns - `${version} is quarantined `.length),
      );
      return [`${what} ${first}`, ...more.map((line) => `  ${line}`)].map((line) => `${line}\n`).join('');
    })
    .join('');
}

/** How long the gate stays open without a renewal; a held gate has no permit. */
function permitText(gate: GateView | null): Cell {
  if (gate?.state !== 'open') return '–';
  if (gate.permits) return `${secondsText(gate.permitRemainingMs)} left`;
  return { text: 'expired', tone: 'warning' };
}

/** Whole seconds below a minute: tenths would only flicker. */
function secondsText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : formatDurationMs(seconds * 1_000);
}

function changesText({ planned, applied, conflicts }: RunView): string {
  const text = `${number(total(applied))} of ${number(total(planned))}`;
  return conflicts === 0 ? text : `${text}, ${countOf(conflicts, 'conflict')}`;
}

/** A kill on its way, and how the gate closes meanwhile. */
function wishText({ by, reason, version, lapsesBy, trouble, at }: PendingKill): string {
  const what = version === null ? 'kill' : `quarantine of ${version}`;
  const expiry = lapsesBy === null ? 'permit expiry unknown' : `permit expires by ${time(lapsesBy)}`;
  return `pending ${what} by ${by}: ${reason}; ${expiry}; not reached yet: ${trouble}, since ${time(at)}`;
}
