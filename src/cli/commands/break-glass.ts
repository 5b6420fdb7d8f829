import { Option, type Command } from 'commander';
import { type BreakGlass, listBreakGlass } from '../../flags/break-glass.js';
import { flagsAt } from '../../flags/flags-elsewhere.js';
import { formatDurationMs, parseDurationMs } from '../../kernel/duration.js';
import { PortcullisError } from '../../kernel/errors.js';
import { time } from '../../kernel/words.js';
import { approveAloneAndTell } from '../../notify/tell-alone.js';
import { orderBreakGlass } from '../../regions/order-rollout.js';
import { BREAK_GLASS_MS, LONGEST_BREAK_GLASS_MS, revokeBreakGlass } from '../../rollout/break-glass.js';
import { actingPrincipal, requireActing } from '../acting.js';
import { aloneText } from '../approval-text.js';
import { voiceOf, withInstallation, withLook, type Context, type Voice } from '../context.js';
import { group, leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';
import { parseShare } from '../shares.js';

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
  readonly region: readonly string[];
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
    .addOption(
      new Option('-r, --region <region>', 'a region; repeatable')
        .argParser((value: string, before: readonly string[]) => [...before, value])
        .default([] as readonly string[], 'none')
        .makeOptionMandatory(),
    )
    .requiredOption('--share <percentage>', 'the share of each region, such as 50%', parseShare)
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
      await withInstallation(context, async (installation) => {
        const principal = await actingPrincipal(context, installation);
        const { control, planes, jobs } = installation;
        const { version, region: regions, share: permille, for: forMs, reason } = options;
        const wish = { job, version, regions, permille, forMs, reason };
        const asked = await orderBreakGlass(control, planes, jobs, wish, principal);
        const alone = options.alone === true;
        const approval = alone ? await approveAloneAndTell(control, asked.id, principal) : asked;
        voice.result(approval, () =>
          alone
            ? aloneText(approval)
            : `Break-glass of ${approval.subject} requested\na second person decides until ${time(approval.expiresAt)}:\n  portcullis approve ${approval.id}\n  portcullis reject ${approval.id}\n`,
        );
        const elsewhere = flagsAt(context.app.settings.flagSource);
        voice.note(
          elsewhere === undefined
            ? `once approved, give the share: portcullis flags set ${job} --region ${regions[0] ?? 'R'} --version ${version} --share ${permille / 10}% --reason "…"`
            : `once approved, give the share in Unleash (${elsewhere})`,
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
      await withLook(context, async ({ control }) => {
        const grants = await listBreakGlass(control, { job, inForce });
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
      await withInstallation(context, async (installation) => {
        const principal = await requireActing(context, installation, 'kill');
        const grants = await revokeBreakGlass(installation.control, { id, reason }, principal);
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
