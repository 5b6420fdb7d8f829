import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { inTransaction } from '../postgres/pool.js';
import { count, isoTime, named } from '../kernel/schema.js';
import { isoOf, viewColumns, viewOf } from '../postgres/view.js';
import type { OutgoingNotice } from './message.js';

export const DELIVERY_STATES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

const Delivery = z.strictObject({
  receiver: z.string().describe("the host, and a fingerprint of the address, which isn't shown"),
  state: z.enum(DELIVERY_STATES).describe('dead: given up'),
  attempts: count,
  lastProblem: z.string().nullable(),
  nextAt: isoTime.nullable().describe('when it is tried next; null where it is over'),
  endedAt: isoTime.nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

export const Notification = named(
  'Notification',
  z.strictObject({
    id: z.guid(),
    kind: z.string(),
    job: z.string().nullable(),
    region: z.string().nullable(),
    title: z.string(),
    lines: z.array(z.string()).readonly(),
    at: isoTime,
    deliveries: z.array(Delivery).readonly().describe('empty where no receiver is configured'),
  }),
);
export type Notification = z.infer<typeof Notification>;

/** A view's columns, and `at` to the microsecond, which a Date cannot hold and the walk must not lose. */
interface NotificationRow {
  readonly id: string;
  readonly key: string;
}

const COLUMNS = `
  ${viewColumns(Notification, {
    deliveries: `coalesce((
      select jsonb_agg(jsonb_build_object(
        'receiver', d.receiver, 'state', d.state, 'attempts', d.attempts, 'lastProblem', d.last_problem,
        'nextAt', case when d.state = 'pending' then ${isoOf('d.due_at')} end,
        'endedAt', ${isoOf('d.ended_at')}) order by d.receiver)
      from portcullis_control.delivery d where d.notice = n.id), '[]')`,
  })}, n.at::text as key`;

const NotificationKey = z.tuple([MomentKey, z.guid()]);

/** Notifications, newest first, with a delivery in that state. Throws REQUEST_INVALID for a cursor of another list. */
export async function listNotifications(
  control: pg.Pool,
  filter: { readonly state?: DeliveryState | undefined; readonly incident?: string | undefined },
  page: PageRequest,
): Promise<Page<Notification>> {
  const [at, id] = keyOfCursor(page.cursor, NotificationKey) ?? [null, null];
  const { rows } = await control.query<NotificationRow>(
    `select ${COLUMNS} from portcullis_control.notice n
     where ($1::text is null or exists (
              select from portcullis_control.delivery d where d.notice = n.id and d.state = $1))
       and ($2::timestamptz is null or (n.at <= $2 and (n.at < $2 or n.id > $3)))
       and ($5::text is null or n.details ->> 'incident' = $5)
     order by n.at desc, n.id
     limit $4`,
    [filter.state, at, id, page.limit + 1, filter.incident?.trim().toLowerCase()],
  );
  return pageOf(rows, page.limit, notificationOf, (row) => [row.key, row.id]);
}

/** As many as a timeline has room for. */
const MOST_OF_ONE_INCIDENT = 200;

/** What people were told of an incident, oldest first, as far as the outbox still has it (a month). */
export async function notificationsOf(control: pg.Pool, incident: string): Promise<Notification[]> {
  const { rows } = await control.query<NotificationRow>(
    `select ${COLUMNS} from portcullis_control.notice n
     where n.details ->> 'incident' = $1 order by n.at, n.id limit ${MOST_OF_ONE_INCIDENT}`,
    [incident],
  );
  return rows.map(notificationOf);
}

/**
 * Tries a notification's dead deliveries again, as if for the first time. Throws NOTIFICATION_UNKNOWN, or
 * NOTIFICATION_NOT_DEAD where none of its deliveries was given up.
 */
export async function retryNotification(control: pg.Pool, id: string, by: string): Promise<Notification> {
  if (!z.guid().safeParse(id).success) throw unknown(id);
  return inTransaction(control, async (client) => {
    const { rows: revived } = await client.query<{ receiver: string }>(
      `update portcullis_control.delivery
       set state = 'pending', attempts = 0, due_at = clock_timestamp(), ended_at = null
       where notice = $1 and state = 'dead' returning receiver`,
      [id],
    );
    const { rows } = await client.query<NotificationRow>(
      `select ${COLUMNS} from portcullis_control.notice n where n.id = $1`,
      [id],
    );
    if (!rows[0]) throw unknown(id);
    if (revived.length === 0) {
      throw new PortcullisError('NOTIFICATION_NOT_DEAD', `no delivery of ${id} was given up`, {
        hint: 'portcullis notifications list --state dead shows those that were',
        details: { id },
      });
    }
    await recordAudit(client, {
      principal: by,
      action: 'retry-notification',
      subject: id,
      evidence: { receivers: revived.map(({ receiver }) => receiver) },
    });
    return notificationOf(rows[0]);
  });
}

/** A notification as it goes out. Throws NOTIFICATION_UNKNOWN. */
export async function findNotice(control: pg.Pool, id: string): Promise<OutgoingNotice> {
  const { rows } = await control.query<Omit<OutgoingNotice, 'at'> & { readonly at: Date }>(
    'select id, kind, job, region, title, lines, details, at from portcullis_control.notice where id = $1',
    [id],
  );
  if (!rows[0]) throw unknown(id);
  return { ...rows[0], at: rows[0].at.toISOString() };
}

function notificationOf(row: NotificationRow): Notification {
  return viewOf(Notification, row);
}

function unknown(id: string): PortcullisError {
  return new PortcullisError('NOTIFICATION_UNKNOWN', `no notification has the id ${id}`, {
    hint: 'portcullis notifications list shows those there are',
    details: { id },
  });
}
