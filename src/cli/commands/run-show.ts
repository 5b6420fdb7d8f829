import { InvalidArgumentError, Option, type Command } from 'commander';
import { formatDurationMs } from '../../kernel/duration.js';
import {
  CHANGE_STATES,
  listChanges,
  type ChangeFilter,
  type ChangeState,
  type ChangeView,
} from '../../journal/browse-changes.js';
import { verdictsOf, type VerdictView } from '../../guard/verdict-rows.js';
import type { Verdict } from '../../containment/verdict.js';
import { listLanes, type LaneView } from '../../journal/browse-lanes.js';
import { findRunOf, type FoundRun } from '../../regions/browse.js';
import type { RunView } from '../../runs/browse-runs.js';
import { recordPersonalRead } from '../../access/personal-data.js';
import { requireActing } from '../acting.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import type { Cell } from '../table.js';
import { toneOf, type Tone } from '../tone.js';
import { number, time } from '../../kernel/words.js';
import { changedColumns, counts, imageText, total } from '../wording.js';

/** How many changes of each sort are shown where not all are asked for. */
const SHOWN = 5;
const SHOWN_CONFLICTS = 20;
/** The most that one page of changes has. */
const PAGE = 200;

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
      await withLook(context, async (installation) => {
        const principal = await requireActing(context, installation, 'read');
        const found = await findRunOf(installation.planes, id);
        const recorded = recordPersonalRead(installation.control, principal, `run ${found.run.runId}`, {
          all,
        });
        if (all) {
          await recorded;
          await printChanges(context, voice, found, options);
          return;
        }
        // A run can be looked at where nothing can be written, such as on a replica: then without rows of people.
        const rows = await recorded.then(
          () => true,
          () => false,
        );
        await printRun(voice, found, rows);
        if (!rows) voice.note('changes are not shown: that they were read could not be put on record');
      });
    });
}

function kindName(text: string): string {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw new InvalidArgumentError('A kind of change is a word such as claim.');
}

/** `rows`: also some of its changes, which are rows of people. */
async function printRun(voice: Voice, { run, plane }: FoundRun, rows: boolean): Promise<void> {
  const none = { items: [] };
  const pool = plane.worker;
  const [verdicts, lanes, conflicts, changes] = await Promise.all([
    verdictsOf(pool, run.runId),
    listLanes(pool, run.runId),
    rows ? listChanges(pool, run.runId, { state: 'conflict' }, { limit: SHOWN_CONFLICTS }) : none,
    rows ? listChanges(pool, run.runId, {}, { limit: SHOWN }) : none,
  ]);
  const shown = { conflictingChanges: rows ? conflicts.items : null, changes: rows ? changes.items : null };
  voice.result({ ...run, verdicts, lanes, ...shown }, () =>
    [
      voice.facts(factsOf(run)),
      kindsText(voice, run),
      verdictsText(voice, verdicts),
      lanesText(voice, lanes),
      section(
        voice,
        run.conflicts > conflicts.items.length
          ? `the first ${conflicts.items.length} of ${number(run.conflicts)} conflicts: rows that were not as planned`
          : 'conflicts: rows that were not as planned',
        conflicts.items,
      ),
      section(
        voice,
        total(run.planned) > changes.items.length
          ? `the first ${changes.items.length} of ${number(total(run.planned))} changes (--changes shows all)`
          : 'changes',
        changes.items,
      ),
    ].join(''),
  );
}

/** `12 units: admitted to 10 %, flag asks 50 %`. */
function admittedText({ admittedUnits, askedPermille, admittedPermille }: RunView): string {
  if (admittedUnits === null) return '–';
  const units = `${number(admittedUnits)} units`;
  if (askedPermille === null || admittedPermille === null) return units;
  return admittedPermille < askedPermille
    ? `${units}: admitted to ${admittedPermille / 10}%, flag asks ${askedPermille / 10}%`
    : `${units}: ${askedPermille / 10}%`;
}

function breakGlassText(id: string): string {
  return `ran under break-glass ${id}: no rollout had admitted it (portcullis break-glass list)`;
}

function factsOf(run: RunView): (readonly [string, Cell])[] {
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
  ];
}

function judgementOf(run: RunView): Cell {
  switch (run.reasonCode) {
    case 'guard-tripped':
    case 'guard-failed':
      return { text: 'a rule failed', tone: 'bad' };
    case 'guard-held':
      return { text: 'a rule could not vouch for the plan', tone: 'warning' };
  }
  return run.plannedAt === null ? 'not: there was no plan' : { text: 'every rule let it pass', tone: 'good' };
}

function kindsText(voice: Voice, run: RunView): string {
  const kinds = Object.keys(run.planned);
  if (kinds.length === 0) return '';
  const rows = kinds.map((kind) => [kind, run.planned[kind] ?? 0, run.applied[kind] ?? 0]);
  const columns = [{ title: 'kind' }, { title: 'planned' }, { title: 'applied' }];
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
  facts.push(['because', JSON.stringify(evidence)]);
  return voice.facts(facts);
}

/** Streams every change that fits, page by page: memory stays flat however many there are. */
async function printChanges(
  { io }: Context,
  voice: Voice,
  { run, plane }: FoundRun,
  { kind, state }: ShowOptions,
): Promise<void> {
  const filter: ChangeFilter = { kind, state };
  let cursor: string | undefined;
  let printed = 0;
  do {
    const page = await listChanges(plane.worker, run.runId, filter, { limit: PAGE, cursor });
    for (const change of page.items) {
      voice.result(change, () => `${printed === 0 ? '' : '\n'}${changeLines(voice, change)}`);
      printed += 1;
    }
    cursor = page.next ?? undefined;
    await io.stdout.drained();
  } while (cursor !== undefined && !io.stdout.closed);
  if (printed === 0) {
    voice.note(`run ${run.runId} has no such change; it planned ${counts(run.planned)}`);
    if (kind !== undefined && run.planned[kind] === undefined && total(run.planned) > 0) io.exitWith(1);
  }
}
