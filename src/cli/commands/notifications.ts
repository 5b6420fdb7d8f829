import type { Command } from 'commander';
import {
  DELIVERY_STATES,
  type Delivery,
  type DeliveryState,
  type Notification,
} from '../../notify/browse.js';
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
  const command = leaf(parent, 'test', 'Send a test notification.', ['portcullis notifications test']).action(
    async () => {
      const voice = voiceOf(context, command);
      const { id } = await withInvoke(context, 'change', (invoke) => invoke('testNotification', {}));
      voice.result(
        { id },
        () => `${id} is queued: a running control plane sends it; see portcullis notifications list\n`,
      );
    },
  );
}

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
