import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { KnownReceiver, listReceivers, requireReceiver } from '../notify/known-receivers.js';
import { DELIVERY_STATES, listNotifications, retryNotification, Notification } from '../notify/browse.js';
import { pageOfList } from '../postgres/page.js';
import { inTransaction } from '../postgres/pool.js';
import { notify, testNotice } from '../notify/notice.js';
import { operation } from './operation.js';
import { named, pageSchema, word } from '../kernel/schema.js';
import { namePath, pageQuery } from './schemas.js';

const NotificationPage = pageSchema('NotificationPage', Notification);
const ReceiverPage = pageSchema('ReceiverPage', KnownReceiver);
const NotificationTest = named(
  'NotificationTest',
  z.strictObject({ receiver: word.optional().describe('only to this receiver; absent: to all') }),
);

/** What people were told, and whether it reached them. */
export const notificationOperations = {
  listNotifications: operation({
    at: 'GET /api/v1/notifications',
    example: { state: 'dead' },
    summary: 'Notifications and what became of their deliveries, newest first',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(DELIVERY_STATES).optional().describe('only with a delivery in this state'),
      incident: word.optional().describe('only of this incident'),
    }),
    result: NotificationPage,
    run: ({ control }, query) => listNotifications(control, query, query),
  }),
  listReceivers: operation({
    at: 'GET /api/v1/receivers',
    example: {},
    summary: 'Where notifications go, what each receiver gets, and whether it takes them',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: ReceiverPage,
    run: async ({ control }, page) => pageOfList(await listReceivers(control), page, ({ name }) => [name]),
  }),
  retryNotification: operation({
    at: 'POST /api/v1/notifications/:id/retry',
    example: { id: '5eed0000-0000-4000-8000-000000000000' },
    summary: 'Retries the failed deliveries of a notification',
    action: 'notify',
    params: z.strictObject({ id: namePath }),
    oneCommit: true,
    result: Notification,
    errors: ['NOTIFICATION_UNKNOWN', 'NOTIFICATION_NOT_DEAD'],
    run: ({ control }, { id }, caller) => retryNotification(control, id, caller.name),
  }),
  testNotification: operation({
    at: 'POST /api/v1/notifications/test',
    example: {},
    summary: 'Sends a test notification to one receiver, or to all',
    action: 'notify',
    body: NotificationTest,
    oneCommit: true,
    result: z.strictObject({ id: z.guid() }),
    errors: ['NOTHING_REACHED', 'RECEIVER_UNKNOWN'],
    run: async ({ control, receivers }, { receiver }, caller) => {
      if (receivers === 0)
        throw new PortcullisError('NOTHING_REACHED', 'no notification sent: no receiver is configured', {
          hint: 'name receivers in a file (PORTCULLIS_RECEIVERS) where portcullis start runs: docs/guide/notifications.md',
        });
      if (receiver !== undefined) await requireReceiver(control, receiver);
      return {
        id: await inTransaction(control, (client) => notify(client, testNotice(caller.name, receiver))),
      };
    },
  }),
};
