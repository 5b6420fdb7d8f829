import { formatDurationMs } from '../kernel/duration.js';
import { skipperText } from '../rollout/plan-advance.js';
import type { PartView, RolloutView, WaveView } from '../rollout/rollout-view.js';
import type { SkipView } from '../rollout/skip-bake.js';
import type { Voice } from './context.js';
import type { Cell } from './table.js';
import { toneOf } from './tone.js';
import { countOf, number, time, unitsOf, type UnitLabel } from '../kernel/words.js';
import { share } from './wording.js';
import { breakGlassLine } from '../flags/browse-break-glass.js';

/** A rollout for a person: what it does next, and every wave and region. */
export function rolloutText(voice: Voice, rollout: RolloutView): string {
  const facts: (readonly [string, Cell])[] = [
    ['rollout', `${rollout.job} ${rollout.version}`],
    ['status', { text: rollout.status, tone: toneOf(rollout.status) }],
    ['started', `${time(rollout.startedAt)} by ${rollout.startedBy}: ${rollout.reason}`],
  ];
  if (rollout.endedAt !== null) {
    facts.push(['ended', `${time(rollout.endedAt)} by ${rollout.endedBy ?? ''}: ${rollout.endReason ?? ''}`]);
  }
  if (rollout.incident !== null) {
    facts.push([
      'incident',
      { text: `${rollout.incident}: portcullis incident show ${rollout.incident}`, tone: 'bad' },
    ]);
  }
  if (rollout.next) {
    const { action, reason, blockers, earliest } = rollout.next;
    facts.push([
      'next',
      {
        text: `${NEXT[action]}: ${blockers.length === 0 ? reason : blockers.join('; ')}`,
        tone: action === 'abort' ? 'bad' : action === 'hold' ? 'warning' : 'plain',
      },
    ]);
    if (earliest !== null) facts.push(['earliest', time(earliest)]);
  }
  for (const { region, skipped } of rollout.waves.flatMap(({ regions }) => regions)) {
    for (const each of skipped)
      facts.push(['not checked', { text: skippedText(region, each), tone: 'warning' }]);
  }
  for (const each of rollout.breakGlass)
    facts.push(['break-glass', { text: breakGlassLine(each), tone: 'warning' }]);
  if (rollout.skip !== null) facts.push(['skip', { text: skipText(rollout.skip), tone: 'warning' }]);
  for (const { name, approval } of rollout.waves) {
    const why = approval?.lapsedReason ?? (approval?.state === 'pending' ? approval.againBecause : null);
    if (why !== null) {
      const text = `what wave ${name} was requested or approved on became worse, so it must be approved again: ${why}`;
      facts.push(['lapsed', { text, tone: 'warning' }]);
    }
  }
  if (rollout.policyChanged) {
    facts.push([
      'policy',
      {
        text: 'The policy changed after this rollout began; it keeps its original waves',
        tone: 'warning',
      },
    ]);
  }
  const waves = rollout.waves.map((wave) => waveText(voice, rollout, wave)).join('');
  return `${voice.facts(facts)}${waves}`;
}

/** What nobody checked, who decided that, and why. */
function skippedText(
  region: string,
  { permille, by, approvedBy, reason }: PartView['skipped'][number],
): string {
  const who = skipperText({ by, ...(approvedBy !== null && { approvedBy }) });
  return `bake of ${permille / 10}% in ${region}: skipped by ${who}: ${reason}`;
}

function skipText({
  state,
  lapsedReason,
  requestedBy,
  bakes,
  reason,
  decidedBy,
  ...asked
}: SkipView): string {
  const what = bakes.map(({ region, permille }) => `bake of ${permille / 10}% in ${region}`).join(', ');
  const request = `${requestedBy} asked to skip the ${what} (${reason})`;
  if (lapsedReason !== null) return `${request}; must be requested again: ${lapsedReason}`;
  if (state === 'pending')
    return `${request}; another person decides until ${time(asked.expiresAt)}: portcullis approve ${asked.request}`;
  return `${request}; ${state}${decidedBy === null ? '' : ` by ${decidedBy}`}`;
}

const NEXT = { advance: 'moves', wait: 'waits', hold: 'held', abort: 'aborts' } as const;

const COLUMNS = [
  { title: 'region' },
  { title: 'state' },
  { title: 'share', align: 'right' as const },
  { title: 'step' },
  { title: 'bake', below: 3 },
  { title: 'rules', below: 1 },
  { title: 'waits', below: 2 },
  { title: 'why' },
];

function waveText(voice: Voice, rollout: RolloutView, wave: WaveView): string {
  const table = voice.table(
    COLUMNS,
    wave.regions.map((part) => [
      part.region,
      part.state === null ? '–' : { text: part.state, tone: toneOf(part.state) },
      share(rollout.status === 'aborted' ? 0 : part.permille),
      `${part.step} of ${part.steps}`,
      bakeText(part),
      rulesText(part),
      waitingText(part, rollout.unitLabel),
      whyText(part),
    ]),
  );
  return `\nwave ${wave.name}${approvalText(wave)}\n${table}`;
}

function approvalText({ approvals, approval }: WaveView): string {
  if (approvals === 0) return '';
  if (!approval) return ', needs a second person';
  const { request, state, decidedBy, introducedBy, caution, lapsedReason } = approval;
  if (lapsedReason !== null) return ', needs a second person again';
  if (state === 'pending') return `, waits for a second person: portcullis approve ${request}`;
  const who = decidedBy === null ? '' : ` by ${decidedBy}`;
  const through = introducedBy === null ? '' : `, introduced by ${introducedBy}`;
  return `, ${state}${who}${through}${caution === null ? '' : ` (${caution})`}`;
}

/** `2 of 3 runs, 41 of 50 changes, 37 of 60 minutes`. */
function bakeText({ bake }: PartView): string {
  if (!bake) return '–';
  const minutes = (ms: number): string => number(Math.floor(ms / 60_000));
  return [
    `${number(bake.runs)} of ${number(bake.runsNeeded)} runs`,
    `${number(bake.changes)} of ${number(bake.changesNeeded)} changes`,
    bake.elapsedNeededMs >= 60_000
      ? `${minutes(bake.elapsedMs)} of ${minutes(bake.elapsedNeededMs)} minutes`
      : `${formatDurationMs(bake.elapsedMs)} of ${formatDurationMs(bake.elapsedNeededMs)}`,
  ].join(', ');
}

function rulesText({ verdicts }: PartView): Cell {
  if (verdicts.length === 0) return '–';
  const bad = verdicts.filter(({ verdict }) => verdict !== 'pass');
  if (bad.length === 0) return { text: `${countOf(verdicts.length, 'rule')} pass`, tone: 'good' };
  const failed = bad.some(({ verdict }) => verdict === 'fail');
  return {
    text: bad.map(({ rule, verdict }) => `${rule} ${verdict}`).join(', '),
    tone: failed ? 'bad' : 'warning',
  };
}

/** Units whose version no worker can run now. */
function waitingText({ waiting, withoutWorker }: PartView, unitLabel: UnitLabel): Cell {
  if (withoutWorker.length === 0 || waiting === 0) return '–';
  const who = waiting === null ? `some ${unitLabel.many}` : `about ${unitsOf(waiting, unitLabel)}`;
  return { text: `${who}: no worker has ${withoutWorker.join(', ')}`, tone: 'warning' };
}

/** What blocks it, and until when where that is known. */
function whyText({ state, reason, blockers, earliest, skipped }: PartView): string {
  if (state === 'done') return reason;
  const left = skipped.map(({ permille }) => `${permille / 10}% not checked`);
  if (state !== 'baking') return [...left, reason].filter((each) => each !== '').join('; ');
  const when = earliest === null ? [] : [`not before ${time(earliest)}`];
  return [...left, ...blockers, ...when].join('; ');
}
