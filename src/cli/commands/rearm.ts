import type { Command } from 'commander';
import { PortcullisError } from '../../kernel/errors.js';
import type { Approval, Decision } from '../../access/approvals.js';
import { BREAK_GLASS } from '../../rollout/break-glass.js';
import { SKIP_BAKE } from '../../rollout/skip-bake.js';
import { BEGIN_WAVE } from '../../rollout/wave-approval.js';
import { aloneText, askedByText, decidedByText } from '../approval-text.js';
import { voiceOf, type Context } from '../context.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';
import { time } from '../../kernel/words.js';

interface RearmOptions {
  readonly region?: string[];
  readonly all?: true;
  readonly version?: string;
  readonly reason: string;
  readonly alone?: boolean;
}

/** The option of every command that asks for, or approves, something. */
const ALONE_HELP =
  'where nobody else may approve: it approves itself after an hour, which everybody is told and may cancel';

export function addRearm(program: Command, context: Context): void {
  const command = leaf(
    program,
    'rearm <job>',
    'Ask for a killed job to be re-armed. A second person approves it: portcullis approve ID.',
    [
      'portcullis rearm domain-claim --region eu-west-1 --reason "fixed in 1.1.1; answers the kill of this morning"',
      'portcullis rearm domain-claim --all --reason "the incident is over"',
      'portcullis rearm domain-claim --version 1.1.0_9f3c2a1b --reason "the build was not at fault"',
    ],
  )
    .option(
      '-r, --region <region...>',
      'the region whose gate was killed, or several: one request for all of them',
    )
    .option('--all', 'every region whose gate is killed: one request for all of them')
    .option(
      '--version <version>',
      'the version whose quarantine to lift, everywhere (the full version, its number, a unique prefix of its digest, or installed)',
    )
    .requiredOption(
      '--reason <reason>',
      'why it is safe now: the incident or reason that this answers',
      reasonOption,
    )
    .option('--alone', ALONE_HELP)
    .action(async (job: string, { region, all, version, reason, alone }: RearmOptions) => {
      if ([region, all, version].filter((each) => each !== undefined).length !== 1) {
        throw new PortcullisError('USAGE_INVALID', 'give one of --region, --all and --version', {
          hint: '--region re-arms the gates of these regions, --all every killed gate of the job; --version lifts a quarantine everywhere',
        });
      }
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const asked = await invoke('requestRearm', { job, regions: region, all, version, reason });
        const approval = alone === true ? await invoke('approveAlone', { id: asked.id }) : asked;
        if (asked.joined) {
          voice.note(
            `${askedByText(asked)} has asked for that already, at ${time(asked.requestedAt)}: joined`,
          );
        }
        for (const other of asked.others ?? []) {
          voice.note(
            `${other.id} asks for ${other.regions.join(', ')} too: once this request is approved, reject that one`,
          );
        }
        voice.result({ ...asked, ...approval, joined: asked.joined }, () =>
          alone === true ? aloneText(approval) : askedText(approval),
        );
      });
    });
}

function askedText({ id, subject, expiresAt }: Approval): string {
  return `Re-arm of ${subject} requested\na second approver must agree before ${time(expiresAt)}:\n  portcullis approve ${id}\n  portcullis reject ${id}\n`;
}

export function addApprove(program: Command, context: Context): void {
  addDecision(program, context, 'approve', 'Approve a request of somebody else; it is carried out at once.');
  addDecision(program, context, 'reject', 'Reject a request, or cancel one that would approve itself.');
}

interface DecisionOptions {
  readonly alone?: boolean;
  readonly reason?: string;
}

function addDecision(program: Command, context: Context, decision: Decision, summary: string): void {
  const command = leaf(program, `${decision} <id>`, summary, [`portcullis ${decision} k3vq7m2x`]);
  command.option('--reason <text>', 'why, for the record', reasonOption);
  if (decision === 'approve') command.option('--alone', ALONE_HELP);
  command.action(async (id: string, { alone, reason }: DecisionOptions) => {
    const voice = voiceOf(context, command);
    await withInvoke(context, 'change', async (invoke) => {
      if (alone === true) {
        const asked = await invoke('approveAlone', { id });
        voice.result(asked, () => aloneText(asked));
        return;
      }
      const decided = await invoke(decision, { id, ...(reason !== undefined && { reason }) });
      voice.result(decided, () => decidedText(decided));
    });
  });
}

function decidedText(approval: Approval): string {
  const { action, state, subject, caution } = approval;
  if (state !== 'approved') return `refused: ${subject} stays as it is\n`;
  const who = `asked for by ${askedByText(approval)} and approved by ${decidedByText(approval)}`;
  const done =
    action === SKIP_BAKE
      ? `${subject} is skipped, not checked: ${who}\n`
      : action === BEGIN_WAVE
        ? `${subject} may begin, ${who}\n`
        : action === BREAK_GLASS
          ? `${subject} is in force, ${who}\n`
          : `${subject} is re-armed, ${who}; it opens when its flag says so\n`;
  return caution === null ? done : `${done}on record: ${caution}\n`;
}
