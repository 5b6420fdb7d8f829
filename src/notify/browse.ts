import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { inTransaction } from '../postgres/pool.js';
import type { OutgoingNotice } from './message.js';

export const DELIVERY_STATES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** Times are ISO 8601 in UTC. */
export interface Delivery {
  readonly receiver: string;
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly lastProblem: string | null;
  /** When it is tried next; null where it is over. */
  readonly nextAt: string | null;
  readonly endedAt: string | null;
}

export interface Notification extends Omit<OutgoingNotice, 'details'> {
  /** Empty where nobody was there to receive it. */
  readonly deliveries: readonly Delivery[];
}

interface NotificationRow extends Omit<Notification, 'at'> {
  readonly at: Date;
  /** `at` to the microsecond, which a Date cannot hold and the walk must not lose. */
  readonly key: string;
}

/** As PostgreSQL writes a moment within jsonb, without its three or six digits behind the second. */
const ISO = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;
const COLUMNS = `
  n.id, n.kind, n.job, n.region, n.title, n.lines, n.at, n.at::text as key,
  coalesce((select jsonb_agg(jsonb_build_object(
      'receiver', d.receiver, 'state', d.state, 'attempts', d.attempts, 'lastProblem', d.last_problem,
      'nextAt', case when d.state = 'pending' then to_char(d.due_at at time zone 'UTC', ${ISO}) end,
      'endedAt', to_char(d.ended_at at time zone 'UTC', ${ISO})) order by d.receiver)
    from portcullis_control.delivery d where d.notice = n.id), '[]') as deliveries`;

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

function notificationOf(row: NotificationRow): Notification {
  const { id, kind, job, region, title, lines, deliveries } = row;
  return { id, kind, job, region, title, lines, at: row.at.toISOString(), deliveries };
}

function unknown(id: string): PortcullisError {
  return new PortcullisError('NOTIFICATION_UNKNOWN', `no notification has the id ${id}`, {
    hint: 'portcullis notifications list shows those there are',
    details: { id },
  });
}
