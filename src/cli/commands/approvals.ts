import type { Command } from 'commander';
import { APPROVAL_STATES, type Approval, type ApprovalState } from '../../access/approvals.js';
import { askedByText, decidedByText } from '../approval-text.js';
import type { Context, Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { limitOption, showList, stateOption } from '../listing.js';
import type { Tone } from '../tone.js';
import { time } from '../../kernel/words.js';

export function addApprovals(program: Command, context: Context): void {
  const command = leaf(
    program,
    'approvals',
    'List requests for approval, newest first, with the decision on each.',
    ['portcullis approvals', 'portcullis approvals --state pending --json'],
  )
    .addOption(stateOption(APPROVAL_STATES))
    .addOption(limitOption('requests'))
    .action(({ state, limit }: { state?: ApprovalState; limit: number }) =>
      showList(context, command, {
        ...{ as: 'approvals', limit, text: approvalsText },
        pageOf: (invoke, page) => invoke('listApprovals', { state, ...page }),
      }),
    );
}

const TONES: Readonly<Record<ApprovalState, Tone>> = {
  pending: 'warning',
  approved: 'good',
  rejected: 'bad',
  expired: 'quiet',
};

export function approvalsText(voice: Voice, approvals: readonly Approval[]): string {
  if (approvals.length === 0) return 'No approvals\n';
  const table = voice.table(
    [
      ...[{ title: 'id' }, { title: 'state' }, { title: 'action', below: 5 }, { title: 'subject', below: 6 }],
      ...[
        { title: 'asked by', below: 4 },
        { title: 'at', below: 1 },
        { title: 'until', below: 3 },
      ],
      ...[{ title: 'decided by', below: 2 }, { title: 'reason' }],
    ],
    approvals.map((each) => [
      each.id,
      { text: each.aloneAt === null ? each.state : `${each.state}, alone`, tone: TONES[each.state] },
      each.action,
      each.subject,
      askedByText(each),
      time(each.requestedAt),
      time(each.expiresAt),
      decidedByText(each),
      each.reason,
    ]),
  );
  const cautions = approvals.flatMap(({ id, caution }) => (caution === null ? [] : [`${id}: ${caution}\n`]));
  return table + cautions.join('');
}
