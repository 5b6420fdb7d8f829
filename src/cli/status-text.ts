import { formatDurationMs } from '../base/duration.js';
import type { GateView } from '../gate/browse-gates.js';
import type { KillWish } from '../gate/kill-wish.js';
import type { RunView } from '../scheduler/browse-runs.js';
import type { Voice } from './context.js';
import { flagStateText } from './flag-text.js';
import { sharesText } from './shares.js';
import type { JobStatus, RegionStatus } from './status.js';
import type { Cell } from './table.js';
import { toneOf } from './tone.js';
import { countOf, number, time } from '../base/words.js';
import { reasonBeside, total } from './wording.js';

const COLUMNS = [
  { title: 'region' },
  { title: 'flag' },
  { title: 'versions', dropped: 4 },
  { title: 'gate' },
  { title: 'permit', dropped: 2 },
  { title: 'last run' },
  { title: 'slot', dropped: 1 },
  { title: 'changes', dropped: 3 },
  { title: 'why' },
];

/** Every job's gates as tables. */
export function statusText(voice: Voice, jobs: readonly JobStatus[]): string {
  if (jobs.length === 0) return 'there is no job\n';
  return jobs.map((job) => jobText(voice, job)).join('\n');
}

function jobText(voice: Voice, { job, version, schedule, nextSlot, regions }: JobStatus): string {
  const heading = [
    `${voice.paint(job, 'strong')} ${version ?? 'is not installed here'}`,
    schedule === null ? 'no policy: runs nowhere' : `schedule ${schedule} (UTC)`,
    ...(nextSlot === null ? [] : [`next slot ${time(nextSlot)}`]),
  ].join(' · ');
  return `${heading}\n\n${voice.table(COLUMNS, regions.map(regionRow))}${quarantineText(voice, regions)}`;
}

/** The versions that may act nowhere: the same at every gate of a job. */
function quarantineText(voice: Voice, regions: readonly RegionStatus[]): string {
  const quarantined = new Map(
    regions.flatMap(({ gate }) => gate?.quarantined ?? []).map((each) => [each.version, each]),
  );
  return [...quarantined.values()]
    .map(({ version, reason, by, at }) => {
      const what = voice.paint(`${version} is quarantined`, toneOf('killed'));
      return `${what} by ${by} since ${time(at)}: ${reasonBeside(by, reason)}\n`;
    })
    .join('');
}

function regionRow({ region, flag, gate, lastRun, unreachable, killWish }: RegionStatus): Cell[] {
  return [
    region,
    flag === null ? { text: 'none', tone: 'bad' } : flagStateText(flag),
    (flag && sharesText(flag.variants)) || '–',
    unreachable !== null
      ? { text: 'unreachable', tone: 'bad' }
      : gate === null
        ? '–'
        : { text: gate.state, tone: toneOf(gate.state) },
    permitText(gate),
    lastRun === null
      ? unreachable === null
        ? 'never'
        : '–'
      : { text: lastRun.status, tone: toneOf(lastRun.status) },
    lastRun === null ? '–' : time(lastRun.slot),
    lastRun === null ? '–' : changesText(lastRun),
    killWish === null ? (unreachable ?? whyText(gate, lastRun)) : wishText(killWish),
  ];
}

/** How long the gate stays open without news; a held gate has no permit to lapse. */
function permitText(gate: GateView | null): Cell {
  if (gate?.state !== 'open') return '–';
  if (gate.permits) return `${secondsText(gate.permitRemainingMs)} left`;
  return { text: 'lapsed', tone: 'warning' };
}

/** Whole seconds below a minute: tenths would only flicker. */
function secondsText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds} s` : formatDurationMs(seconds * 1_000);
}

function changesText({ dryRun, planned, applied, conflicts }: RunView): string {
  if (dryRun) return `${number(total(planned))} planned, dry`;
  const text = `${number(total(applied))} of ${number(total(planned))}`;
  return conflicts === 0 ? text : `${text}, ${countOf(conflicts, 'conflict')}`;
}

/** A kill on its way, and how the gate closes meanwhile. */
function wishText({ by, reason, version, lapsesBy, trouble }: KillWish): string {
  const what = version === null ? 'killed' : `${version} quarantined`;
  const lapse =
    lapsesBy === null ? 'nobody can say by when its permit lapses' : `permit lapsed by ${time(lapsesBy)}`;
  return `to be ${what} as soon as it can be reached, asked for by ${by}: ${reason}; ${lapse}; ${trouble}`;
}

/** Why nothing would run now, or else why the last run did not do all it might. */
function whyText(gate: GateView | null, lastRun: RunView | null): string {
  if (gate === null) return 'no worker has looked at it yet';
  if (gate.state === 'killed') {
    const what = gate.stopped ? 'everything was stopped' : 'killed';
    return `${what} by ${gate.killedBy ?? 'nobody known'}: ${reasonBeside(gate.killedBy, gate.reason)}`;
  }
  if (gate.state !== 'open') return gate.reason;
  if (!gate.permits) {
    return gate.permitUntil === null
      ? 'never permitted'
      : `permit lapsed at ${time(gate.permitUntil)}: no worker renews it`;
  }
  if (lastRun === null || lastRun.status === 'succeeded') return '';
  return lastRun.reason;
}
