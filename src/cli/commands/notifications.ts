import type { Command } from 'commander';
import {
  DELIVERY_STATES,
  type Delivery,
  type DeliveryState,
  type Notification,
} from '../../notify/browse.js';
import { getsText, receiverState, type KnownReceiver } from '../../notify/known-receivers.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { limitOption, showList, stateOption } from '../listing.js';
import type { Row } from '../table.js';
import type { Tone } from '../tone.js';
import { countOf, time } from '../../kernel/words.js';

export function addNotifications(program: Command, context: Context): void {
  const notifications = group(program, 'notifications', 'List what people were told, and try the receivers.');
  addList(notifications, context);
  addRetry(notifications, context);
  addTest(notifications, context);
  addReceivers(notifications, context);
}

interface ListOptions {
  readonly state?: DeliveryState;
  readonly incident?: string;
  readonly limit: number;
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list',
    'List notifications and what became of their deliveries, newest first.',
    ['portcullis notifications list', 'portcullis notifications list --state dead --json'],
  )
    .addOption(stateOption(DELIVERY_STATES, 'only with a delivery in this state'))
    .option('--incident <id>', 'only of this incident')
    .addOption(limitOption('notifications'))
    .action(({ state, incident, limit }: ListOptions) =>
      showList(context, command, {
        ...{ as: 'notifications', limit, text: notificationsText },
        pageOf: (invoke, page) => invoke('listNotifications', { state, incident, ...page }),
      }),
    );
}

function addRetry(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'retry <id>',
    'Retry the failed deliveries of a notification. The control plane sends them.',
    ['portcullis notifications retry 0b6d3c1e-58b4-4c0f-9f0e-3a53f6f0a1de'],
  ).action(async (id: string) => {
    const voice = voiceOf(context, command);
    const retried = await withInvoke(context, 'change', (invoke) => invoke('retryNotification', { id }));
    const pending = retried.deliveries.filter((each) => each.state === 'pending').length;
    voice.result(retried, () => `${countOf(pending, 'delivery is', 'deliveries are')} tried again\n`);
  });
}

function addTest(parent: Command, context: Context): void {
  const command = leaf(parent, 'test [receiver]', 'Send a test notification to one receiver, or to all.', [
    'portcullis notifications test',
    'portcullis notifications test oncall',
  ]).action(async (receiver: string | undefined) => {
    const voice = voiceOf(context, command);
    const { id } = await withInvoke(context, 'change', (invoke) => invoke('testNotification', { receiver }));
    voice.result(
      { id },
      () => `${id} is queued: a running control plane sends it; see portcullis notifications list\n`,
    );
  });
}

function addReceivers(parent: Command, context: Context): void {
  const command = leaf(parent, 'receivers', 'List where notifications go, and whether they arrive.', [
    'portcullis notifications receivers',
    'portcullis notifications receivers --json',
  ])
    .addOption(limitOption('receivers'))
    .action(({ limit }: { readonly limit: number }) =>
      showList(context, command, {
        ...{ as: 'receivers', limit, text: receiversText },
        pageOf: (invoke, page) => invoke('listReceivers', page),
      }),
    );
}

function receiversText(voice: Voice, receivers: readonly KnownReceiver[]): string {
  if (receivers.length === 0) return 'No receivers: no running control plane has one configured\n';
  return voice.table(
    [
      ...[
        { title: 'receiver' },
        { title: 'state' },
        { title: 'kind', below: 4 },
        { title: 'target', below: 3 },
      ],
      ...[{ title: 'gets', below: 2 }, { title: 'pending' }, { title: 'dead' }],
      { title: 'last delivered', below: 1 },
    ],
    receivers.map((each): Row => {
      const { name, kind, target, pending, dead, deliveredAt } = each;
      const state = receiverState(each);
      return [
        ...[name, { text: state, tone: STATE_TONES[state] }, kind, target, getsText(each), String(pending)],
        ...[String(dead), deliveredAt === null ? '–' : time(deliveredAt)],
      ];
    }),
  );
}

const STATE_TONES = {
  'not served': 'bad',
  failing: 'bad',
  ok: 'good',
  untried: 'quiet',
} as const satisfies Record<string, Tone>;

const TONES: Readonly<Record<DeliveryState, Tone>> = { pending: 'warning', delivered: 'good', dead: 'bad' };

export function notificationsText(voice: Voice, notifications: readonly Notification[]): string {
  if (notifications.length === 0) return 'No notifications\n';
  return voice.table(
    [
      ...[{ title: 'id' }, { title: 'state' }, { title: 'at', below: 4 }, { title: 'kind', below: 5 }],
      ...[{ title: 'what' }, { title: 'receiver', below: 2 }, { title: 'attempts', below: 1 }],
      { title: 'last problem', below: 3 },
    ],
    notifications.flatMap((each) => rowsOf(each)),
  );
}

function rowsOf(notification: Notification): Row[] {
  const { id, at, kind, title, deliveries } = notification;
  const what = [time(at), kind, title];
  if (deliveries.length === 0) return [[id, { text: 'unsent', tone: 'quiet' }, ...what, '–', '0', '–']];
  return deliveries.map(({ receiver, state, attempts, lastProblem }: Delivery) => [
    id,
    { text: state, tone: TONES[state] },
    ...what,
    receiver,
    String(attempts),
    lastProblem ?? '–',
  ]);
}
