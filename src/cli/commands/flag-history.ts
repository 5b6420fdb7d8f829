import { InvalidArgumentError, type Command } from 'commander';
import type { FlagChangeView } from '../../flags/flag-store.js';
import { number, time } from '../../kernel/words.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { flagStateText } from '../flag-text.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { limitOption, showList } from '../listing.js';
import { reasonOption } from '../reason-option.js';
import { sharesText } from '../shares.js';

type Explanation = OutputOf<Operations['explainFlag']>;

/** `flags history`, `flags revert` and `flags explain`; `setText` says what a flag was and is. */
export function addFlagHistory(
  flags: Command,
  context: Context,
  setText: (voice: Voice, flags: readonly OutputOf<Operations['revertFlag']>[]) => string,
): void {
  addHistory(flags, context);
  addRevert(flags, context, setText);
  addExplain(flags, context);
}

function addHistory(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'history <job>',
    "List a flag's changes, newest first: what each changed, by whom and why.",
    [
      'portcullis flags history domain-claim --region eu-west-1',
      'portcullis flags history domain-claim --region eu-west-1 --limit 3 --json',
    ],
  )
    .requiredOption('-r, --region <region>', 'the region of the flag')
    .addOption(limitOption('changes'));
  command.action((job: string, { region, limit }: { region: string; limit: number }) =>
    showList(context, command, {
      as: 'changes',
      limit,
      pageOf: (invoke, page) => invoke('listFlagChanges', { job, region, ...page }),
      text: (voice, changes) => historyText(voice, changes as readonly FlagChangeView[]),
    }),
  );
}

function historyText(voice: Voice, changes: readonly FlagChangeView[]): string {
  if (changes.length === 0) return 'No changes\n';
  return voice.table(
    [
      { title: 'revision' },
      { title: 'change' },
      { title: 'when' },
      { title: 'by' },
      { title: 'reason', below: 1 },
    ],
    changes.map((entry) => [
      String(entry.revision),
      changeText(entry),
      time(entry.changedAt),
      entry.changedBy,
      entry.reason,
    ]),
  );
}

type Setting = NonNullable<FlagChangeView['before']>;

/** What a change made of the flag: only what it changed. */
function changeText({ enabled, variants, before }: FlagChangeView): string {
  const state = (of: Setting): string => flagStateText(of).text;
  const shares = (of: Setting): string => sharesText(of.variants) || 'no version';
  const now = { enabled, variants };
  if (before === null) return `new: ${state(now)}, ${shares(now)}`;
  const parts = [state, shares].flatMap((text) =>
    text(before) === text(now) ? [] : [`${text(before)} → ${text(now)}`],
  );
  return parts.length === 0 ? 'nothing' : parts.join('; ');
}

interface RevertOptions {
  readonly region: string;
  readonly to: number;
  readonly reason: string;
}

function addRevert(
  parent: Command,
  context: Context,
  setText: (voice: Voice, flags: readonly OutputOf<Operations['revertFlag']>[]) => string,
): void {
  const command = leaf(
    parent,
    'revert <job>',
    'Set a flag as it was at a revision; what versions are admitted to limits it, as it limits any change.',
    ['portcullis flags revert domain-claim --region eu-west-1 --to 41 --reason "the share was for a test"'],
  )
    .requiredOption('-r, --region <region>', 'the region of the flag')
    .requiredOption('--to <revision>', 'the revision to return to: see flags history', revisionOption)
    .requiredOption('--reason <text>', 'why, for whoever reads the history', reasonOption)
    .action(async (job: string, { region, to, reason }: RevertOptions) => {
      const voice = voiceOf(context, command);
      const flag = await withInvoke(context, 'change', (invoke) =>
        invoke('revertFlag', { job, region, revision: to, reason }),
      );
      voice.result({ flags: [flag] }, () => setText(voice, [flag]));
    });
}

function revisionOption(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('A revision is a whole number.');
}

function addExplain(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'explain <job>',
    'Say which version a flag gives to one unit, and why, as a worker would be answered now.\n' +
      'Exits with 0 when a version may act for it, 3 when none may.',
    ['portcullis flags explain domain-claim --region eu-west-1 --unit org-1'],
  )
    .requiredOption('-r, --region <region>', 'the region of the flag')
    .requiredOption('--unit <unit>', 'the unit that is asked about, such as a customer’s id')
    .action(async (job: string, { region, unit }: { region: string; unit: string }) => {
      const voice = voiceOf(context, command);
      const found = await withInvoke(context, 'look', (invoke) =>
        invoke('explainFlag', { job, region, unit }),
      );
      voice.result(found, () => explanationText(voice, found));
      if (found.version === null) context.io.exitWith(3);
    });
}

function explanationText(voice: Voice, found: Explanation): string {
  const { flag, unit, version, code, reason, bucket, spans, revision } = found;
  const facts = voice.facts([
    ['flag', revision === null ? flag : `${flag}, revision ${revision}`],
    ['unit', unit],
    ['version', version ?? { text: 'none', tone: 'warning' }],
    ['why', `${reason} (${code})`],
    ...(bucket === null ? [] : [['bucket', `${number(bucket)} of 1,000`] as const]),
  ]);
  if (spans.length === 0) return facts;
  const rows = spans.map((span) => [span.version, `${span.from} to ${span.to}`]);
  return `${facts}\n${voice.table([{ title: 'version' }, { title: 'buckets' }], rows)}`;
}
