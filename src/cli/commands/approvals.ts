import { Option, type Command } from 'commander';
import { APPROVAL_STATES, listApprovals, type Approval, type ApprovalState } from '../../access/approvals.js';
import { requireActing } from '../acting.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import type { Tone } from '../tone.js';
import { limitUpTo, listUpTo } from '../up-to.js';
import { time } from '../../base/words.js';

const MOST = 10_000;

export function addApprovals(program: Command, context: Context): void {
  const command = leaf(
    program,
    'approvals',
    'List what was asked of a second person, newest first: what waits for a decision, and what became of the rest.',
    ['portcullis approvals', 'portcullis approvals --state pending --json'],
  )
    .addOption(new Option('-s, --state <state>', 'only in this state').choices(APPROVAL_STATES))
    .option('-n, --limit <requests>', `the most to list, 1 to ${MOST}`, limitUpTo(MOST), 20)
    .action(async ({ state, limit }: { state?: ApprovalState; limit: number }) => {
      const voice = voiceOf(context, command);
      await withLook(context, async (installation) => {
        await requireActing(context, installation, 'read');
        const approvals = await listUpTo(limit, (page) =>
          listApprovals(installation.control, { state }, page),
        );
        voice.result({ approvals }, () => approvalsText(voice, approvals));
      });
    });
}

const TONES: Readonly<Record<ApprovalState, Tone>> = {
  pending: 'warning',
  approved: 'good',
  rejected: 'bad',
  expired: 'quiet',
};

function approvalsText(voice: Voice, approvals: readonly Approval[]): string {
  if (approvals.length === 0) return 'No approvals\n';
  return voice.table(
    ['id', 'state', 'action', 'subject', 'asked by', 'at', 'until', 'decided by', 'reason'].map((title) => ({
      title,
    })),
    approvals.map((each) => [
      each.id,
      { text: each.state, tone: TONES[each.state] },
      each.action,
      each.subject,
      each.requestedBy,
      time(each.requestedAt),
      time(each.expiresAt),
      each.decidedBy ?? '–',
      each.reason,
    ]),
  );
}
