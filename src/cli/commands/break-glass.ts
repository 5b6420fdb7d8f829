import { Option, type Command } from 'commander';
import { formatDurationMs, parseDurationMs } from '../../kernel/duration.js';
import { PortcullisError } from '../../kernel/errors.js';
import { time } from '../../kernel/words.js';
import { BREAK_GLASS_MS, LONGEST_BREAK_GLASS_MS } from '../../rollout/break-glass.js';
import { aloneText } from '../approval-text.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';
import { parseShare } from '../shares.js';
import type { BreakGlass } from '../../flags/browse-break-glass.js';

export function addBreakGlass(program: Command, context: Context): void {
  const breakGlass = group(
    program,
    'break-glass',
    'Let a version act beyond what a rollout has admitted, for a time.',
  );
  addRequest(breakGlass, context);
  addList(breakGlass, context);
  addRevoke(breakGlass, context);
}

interface RequestOptions {
  readonly version: string;
  readonly region: string;
  readonly share: number;
  readonly for: number;
  readonly reason: string;
  readonly alone?: boolean;
}

function addRequest(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'request <job>',
    'Ask for break-glass. A second person approves it: portcullis approve ID.\n' +
      'It ends by itself. It lifts no kill, no quarantine and no cap, and sets no flag.',
    [
      'portcullis break-glass request domain-claim --version 1.1.0 --region eu-west-1 --share 50% --for 6h --reason "the fix cannot wait for its bake"',
    ],
  )
    .requiredOption(
      '--version <version>',
      'the version: in full, its number, a unique prefix of its digest, or installed',
    )
    .requiredOption('-r, --region <region>', 'the region')
    .requiredOption('--share <percentage>', 'the share of the region, such as 50%', parseShare)
    .addOption(
      new Option(
        '--for <duration>',
        `how long from the approval on, at most ${formatDurationMs(LONGEST_BREAK_GLASS_MS)}`,
      )
        .argParser(durationOption)
        .default(BREAK_GLASS_MS, '24h'),
    )
    .requiredOption('--reason <text>', 'why it cannot wait for a rollout; it stays on record', reasonOption)
    .option(
      '--alone',
      'where nobody else may approve: it approves itself after an hour, which everybody is told and may cancel',
    )
    .action(async (job: string, options: RequestOptions) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const { version, region, share: permille, for: forMs, reason } = options;
        const order = { job, region, version, permille, forMs, reason };
        const asked = await invoke('requestBreakGlass', order);
        const alone = options.alone === true;
        const approval = alone ? await invoke('approveAlone', { id: asked.id }) : asked;
        voice.result(approval, () =>
          alone
            ? aloneText(approval)
            : `Break-glass of ${approval.subject} requested\na second approver must agree before ${time(approval.expiresAt)}:\n  portcullis approve ${approval.id}\n  portcullis reject ${approval.id}\n`,
        );
        voice.note(
          `once approved, give the share: portcullis flags set ${job} --region ${region} --version ${version} --share ${permille / 10}% --reason "…", or in Unleash`,
        );
      });
    });
}

function durationOption(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined) return ms;
  throw new PortcullisError('USAGE_INVALID', `invalid duration ${JSON.stringify(text)}`, {
    hint: 'use a number and a unit, such as 30m or 6h',
  });
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list [job]',
    'List break-glass, newest first: what is in force, and what ever was.',
    ['portcullis break-glass list', 'portcullis break-glass list domain-claim --in-force --json'],
  )
    .option('--in-force', 'only what counts now')
    .action(async (job: string | undefined, { inForce }: { readonly inForce?: true }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'look', async (invoke) => {
        const only = inForce === true ? ({ inForce: 'true' } as const) : {};
        const { items: grants } = await invoke('listBreakGlass', {
          ...(job !== undefined && { job }),
          ...only,
        });
        voice.result({ breakGlass: grants }, () => grantsText(voice, grants));
      });
    });
}

function addRevoke(parent: Command, context: Context): void {
  const command = leaf(parent, 'revoke <id>', 'End break-glass at once; this needs no second person.', [
    'portcullis break-glass revoke k3vq7m2x --reason "the queue is empty"',
  ])
    .requiredOption('--reason <text>', 'why, for the record', reasonOption)
    .action(async (id: string, { reason }: { readonly reason: string }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const { items: grants } = await invoke('revokeBreakGlass', { id, reason });
        voice.result({ breakGlass: grants }, () => grantsText(voice, grants));
      });
    });
}

const COLUMNS = [
  { title: 'id' },
  { title: 'state' },
  { title: 'version' },
  { title: 'region' },
  { title: 'share', align: 'right' as const },
  { title: 'until' },
  { title: 'asked by', dropped: 2 },
  { title: 'approved by', dropped: 3 },
  { title: 'runs', align: 'right' as const, dropped: 1 },
  { title: 'reason' },
];

function grantsText(voice: Voice, grants: readonly BreakGlass[]): string {
  if (grants.length === 0) return 'No break-glass\n';
  return voice.table(
    COLUMNS,
    grants.map((each) => [
      each.id,
      { text: each.ended ?? 'in force', tone: each.inForce ? 'warning' : 'quiet' },
      `${each.job} ${each.version}`,
      each.region,
      `${each.permille / 10}%`,
      time(each.endedAt ?? each.expiresAt),
      each.requestedBy,
      each.approvedBy,
      each.runs.length,
      each.reason,
    ]),
  );
}
