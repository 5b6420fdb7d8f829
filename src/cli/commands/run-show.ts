import { evidenceText } from '../wording.js';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { formatDurationMs } from '../../kernel/duration.js';
import { CHANGE_STATES, type ChangeState, type ChangeView } from '../../journal/browse-changes.js';
import { partText } from '../../journal/restore-plan.js';
import type { VerdictView } from '../../guard/verdict-rows.js';
import type { Verdict } from '../../containment/verdict.js';
import type { LaneView } from '../../journal/browse-lanes.js';
import type { RunDetail } from '../../operations/runs.js';
import { messageOf } from '../../kernel/errors.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import type { Cell } from '../table.js';
import { toneOf, type Tone } from '../tone.js';
import { triggerFacts } from '../trigger-text.js';
import { number, time, unitsOf } from '../../kernel/words.js';
import { changedColumns, counts, imageText, total } from '../wording.js';

/** How many changes of each sort are shown where not all are asked for. */
const SHOWN = 5;
const SHOWN_CONFLICTS = 20;

interface ShowOptions {
  readonly changes?: boolean;
  readonly kind?: string;
  readonly state?: ChangeState;
}

/** Adds `show ID` to a command. */
export function addShow(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'show <id>',
    'Show what a run planned, how it was judged, what it applied, and why. The beginning of an id is enough.',
    ['portcullis run show 3f2a9c1e', 'portcullis run show 3f2a9c1e --changes --state conflict --json'],
  )
    .option(
      '--changes',
      'every change with its evidence, instead of a few; with --json one object on each line',
    )
    .addOption(new Option('--kind <kind>', 'with --changes: only this kind').argParser(kindName))
    .addOption(new Option('--state <state>', 'with --changes: only these').choices([...CHANGE_STATES]))
    .action(async (id: string, options: ShowOptions) => {
      const voice = voiceOf(context, command);
      const all = options.changes === true || options.kind !== undefined || options.state !== undefined;
      await withInvoke(context, 'look', async (invoke) => {
        const run = await invoke('getRun', { id });
        await (all ? printChanges(context, voice, invoke, run, options) : printRun(voice, invoke, run));
      });
    });
}

function kindName(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw new InvalidArgumentError('A kind of change is a word such as claim.');
}

async function printRun(voice: Voice, invoke: Invoke, run: RunDetail): Promise<void> {
  const { runId: id } = run;
  const [{ verdicts }, { lanes }, rows] = await Promise.all([
    invoke('listRunVerdicts', { id }),
    invoke('listRunLanes', { id }),
    someRows(invoke, run).catch((error: unknown) => messageOf(error)),
  ]);
  const unread = typeof rows === 'string' ? rows : undefined;
  const { conflicts, changes } = typeof rows === 'string' ? NO_ROWS : rows;
  const shown =
    unread === undefined
      ? { conflictingChanges: conflicts, changes }
      : { conflictingChanges: null, changes: null };
  voice.result({ ...run, verdicts, lanes, ...shown }, () =>
    [
      voice.facts(factsOf(run)),
      kindsText(voice, run),
      verdictsText(voice, verdicts),
      lanesText(voice, lanes),
      section(
        voice,
        run.conflicts > conflicts.length
          ? `the first ${conflicts.length} of ${number(run.conflicts)} conflicts: rows that were not as planned`
          : 'conflicts: rows that were not as planned',
        conflicts,
      ),
      section(
        voice,
        total(run.planned) > changes.length
          ? `the first ${changes.length} of ${number(total(run.planned))} changes (--changes shows all)`
          : 'changes',
        changes,
      ),
    ].join(''),
  );
  if (unread !== undefined)
    voice.note(`changes are not shown: that they were read could not be put on record: ${unread}`);
}

interface SomeRows {
  readonly conflicts: readonly ChangeView[];
  readonly changes: readonly ChangeView[];
}

const NO_ROWS: SomeRows = { conflicts: [], changes: [] };

/**
 * Some of a run's changes, which are rows of people: reading them goes on record. A run can be looked at where nothing
 * can be written, such as on a replica: then without these.
 */
async function someRows(invoke: Invoke, { runId: id, planned, conflicts }: RunDetail): Promise<SomeRows> {
  if (total(planned) === 0) return NO_ROWS;
  const { items: changes } = await invoke('listRunChanges', { id, limit: SHOWN });
  if (conflicts === 0) return { conflicts: [], changes };
  const found = await invoke('listRunChanges', { id, state: 'conflict', limit: SHOWN_CONFLICTS });
  return { conflicts: found.items, changes };
}

/** `12 organisations: admitted to 10 %, flag asks 50 %`. */
function admittedText({ admittedUnits, askedPermille, admittedPermille, unitLabel }: RunDetail): string {
  if (admittedUnits === null) return '–';
  const units = unitsOf(admittedUnits, unitLabel);
  if (askedPermille === null || admittedPermille === null) return units;
  return admittedPermille < askedPermille
    ? `${units}: admitted to ${admittedPermille / 10}%, flag asks ${askedPermille / 10}%`
    : `${units}: ${askedPermille / 10}%`;
}

function breakGlassText(id: string): string {
  return `ran under break-glass ${id}: no rollout had admitted it (portcullis break-glass list)`;
}

function factsOf(run: RunDetail): (readonly [string, Cell])[] {
  const took = run.durationMs === null ? [] : [['took', formatDurationMs(run.durationMs)] as const];
  return [
    ['run', run.runId],
    ['job', `${run.job} ${run.version} in ${run.region}`],
    ['slot', `${time(run.slot)} (${run.trigger}${run.dryRun ? ', dry run' : ''})`],
    ['status', { text: run.status, tone: toneOf(run.status) }],
    ['reason', `${run.reason} (${run.reasonCode})`],
    ['judged', judgementOf(run)],
    ['admitted', admittedText(run)],
    ...(run.breakGlass === null
      ? []
      : [['break-glass', { text: breakGlassText(run.breakGlass), tone: 'warning' as const }] as const]),
    ['worker', `${run.worker}${run.attempt > 1 ? `, the ${run.attempt}. to have it` : ''}`],
    ['began', time(run.createdAt)],
    ['planned', run.plannedAt === null ? '–' : time(run.plannedAt)],
    ['ended', run.finishedAt === null ? '–' : time(run.finishedAt)],
    ...took,
    ...(run.part === null ? [] : [['restores', `only ${partText(run.part)}`] as const]),
    ...(run.triggers === null ? [] : triggerFacts(run.triggers.fire, run.triggers.trial)),
  ];
}

function judgementOf(run: RunDetail): Cell {
  switch (run.reasonCode) {
    case 'guard-tripped':
    case 'guard-failed':
      return { text: 'a rule failed', tone: 'bad' };
    case 'guard-held':
      return { text: 'a rule could not vouch for the plan', tone: 'warning' };
  }
  return run.plannedAt === null ? 'not: there was no plan' : { text: 'every rule let it pass', tone: 'good' };
}

function kindsText(voice: Voice, run: RunDetail): string {
  const kinds = Object.keys(run.planned);
  if (kinds.length === 0) return '';
  const besides = Object.keys({ ...run.cascading, ...run.cascaded }).length > 0;
  const rows = kinds.map((kind) => [
    ...[kind, run.planned[kind] ?? 0],
    ...(besides ? [run.cascading[kind] ?? 0] : []),
    run.applied[kind] ?? 0,
    ...(besides ? [run.cascaded[kind] ?? 0] : []),
  ]);
  const columns = [
    ...['kind', 'planned'],
    ...(besides ? ['rows to go with them'] : []),
    'applied',
    ...(besides ? ['rows that went'] : []),
  ].map((title) => ({ title }));
  return `\n${voice.table(columns, rows)}${run.conflicts > 0 ? `conflicts: ${number(run.conflicts)}\n` : ''}`;
}

const VERDICT_TONES: Readonly<Record<Verdict, Tone>> = {
  pass: 'good',
  'too-few': 'quiet',
  'no-data': 'warning',
  unreachable: 'warning',
  fail: 'bad',
};

function verdictsText(voice: Voice, verdicts: readonly VerdictView[]): string {
  if (verdicts.length === 0) return '';
  const rows = verdicts.map(({ stage, verdict, reason }) => [
    stage,
    { text: verdict, tone: VERDICT_TONES[verdict] },
    reason,
  ]);
  return `\n${voice.table([{ title: 'stage' }, { title: 'verdict' }, { title: 'what the rule said' }], rows)}`;
}

function lanesText(voice: Voice, lanes: readonly LaneView[]): string {
  if (lanes.length === 0) return '';
  const rows = lanes.map(({ lane, changes, passed, conflicts, batches, firstAppliedAt, lastAppliedAt }) => [
    String(lane),
    changes,
    passed,
    conflicts,
    batches,
    ...(firstAppliedAt === null || lastAppliedAt === null
      ? ['–', '–']
      : [firstAppliedAt, formatDurationMs(Date.parse(lastAppliedAt) - Date.parse(firstAppliedAt))]),
  ]);
  const columns = ['lane', 'changes', 'passed', 'conflicts', 'batches', 'first batch', 'first to last'];
  return `\n${voice.table(
    columns.map((title) => ({ title })),
    rows,
  )}`;
}

function section(voice: Voice, heading: string, changes: readonly ChangeView[]): string {
  if (changes.length === 0) return '';
  return `\n${voice.paint(heading, 'strong')}\n${changes.map((change) => `\n${changeLines(voice, change)}`).join('')}`;
}

/** A change over several lines: what, before and after, what was found, and the evidence. */
function changeLines(voice: Voice, change: ChangeView): string {
  const { kind, resource, key, unit, state, evidence, found, refusal } = change;
  const applied = change.appliedAt === null ? '' : ` at ${time(change.appliedAt)}`;
  const facts: (readonly [string, Cell])[] = [
    [kind, `${resource} ${key} for ${unit}`],
    ['', { text: `${state}${applied}`, tone: toneOf(state) }],
    ...changedColumns(change.before, change.after).map(
      (column, at) => [at === 0 ? 'change' : '', column] as const,
    ),
  ];
  if (state === 'conflict') {
    facts.push(['found', imageText(found)]);
    if (refusal !== null) facts.push(['refusal', refusal]);
  }
  facts.push(['because', evidenceText(evidence)]);
  return voice.facts(facts);
}

/** Streams every change that fits: memory stays flat however many there are. */
async function printChanges(
  { io }: Context,
  voice: Voice,
  invoke: Invoke,
  { runId, planned }: RunDetail,
  { kind, state }: ShowOptions,
): Promise<void> {
  let printed = 0;
  for await (const change of await invoke('exportRunChanges', { id: runId, kind, state })) {
    voice.result(change, () => `${printed === 0 ? '' : '\n'}${changeLines(voice, change)}`);
    printed += 1;
    await io.stdout.drained();
    if (io.stdout.closed) return;
  }
  if (printed === 0) {
    voice.note(`run ${runId} has no such change; it planned ${counts(planned)}`);
    if (kind !== undefined && planned[kind] === undefined && total(planned) > 0) io.exitWith(1);
  }
}
