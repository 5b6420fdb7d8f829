import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError } from '../../kernel/errors.js';
import { keyOfCursor, MomentKey, pageOf, type Page, type PageRequest } from '../../postgres/page.js';
import { inTransaction } from '../../postgres/pool.js';
import { isoTime, named } from '../../kernel/schema.js';
import { viewColumns, viewOf } from '../../postgres/view.js';

export const ALERT_STATES = ['firing', 'resolved', 'expired', 'cleared'] as const;
/** `expired`: not resolved, and not sent again in time. Only one that is firing counts against a version. */
export type AlertState = (typeof ALERT_STATES)[number];

/** An alert as it was received. */
export const AlertView = named(
  'Alert',
  z.strictObject({
    id: z.string().describe("Alertmanager's fingerprint"),
    name: z.string(),
    job: z.string(),
    regions: z.array(z.string()).readonly(),
    state: z.enum(ALERT_STATES).describe('expired: not resolved, and not sent again for 24 hours'),
    startsAt: isoTime,
    receivedAt: isoTime,
    firesUntil: isoTime.describe('when it expires, unless it is sent again'),
    killedAt: isoTime.nullable().describe('when its gates had been killed'),
    resolvedAt: isoTime.nullable(),
    clearedAt: isoTime.nullable(),
    clearedBy: z.string().nullable(),
    clearReason: z.string().nullable(),
  }),
);
export type AlertView = z.infer<typeof AlertView>;

const STATE = `case when cleared_at is not null then 'cleared' when resolved_at is not null then 'resolved'
  when fires_until <= clock_timestamp() then 'expired' else 'firing' end`;

/** A view's columns, and receivedAt to the microsecond, which a Date cannot hold and the walk must not lose. */
interface AlertRow extends AlertView {
  readonly key: string;
}

const COLUMNS = `${viewColumns(AlertView, { id: 'fingerprint', state: STATE })}, received_at::text as key`;

const AlertKey = z.tuple([MomentKey, z.string()]);

/** Alerts, the last received first. Throws REQUEST_INVALID for a cursor of another list. */
export async function listAlerts(
  control: pg.Pool,
  filter: {
    readonly state?: AlertState | undefined;
    readonly job?: string | undefined;
    readonly region?: string | undefined;
  },
  page: PageRequest,
): Promise<Page<AlertView>> {
  const [at, id] = keyOfCursor(page.cursor, AlertKey) ?? [null, null];
  const { rows } = await control.query<AlertRow>(
    `select ${COLUMNS} from portcullis_control.alert
     where ($1::text is null or ${STATE} = $1) and ($2::text is null or job = $2)
       and ($3::text is null or $3 = any(regions))
       and ($4::timestamptz is null or (received_at, fingerprint) < ($4, $5))
     order by received_at desc, fingerprint desc limit $6`,
    [filter.state, filter.job, filter.region, at, id, page.limit + 1],
  );
  return pageOf(rows, page.limit, alertOf, (row) => [row.key, row.id]);
}

/** Alerts that name the job in that region and fire. */
export async function firingAlerts(
  control: pg.Pool,
  job: string,
  region: string,
): Promise<{ name: string }[]> {
  const { rows } = await control.query<{ name: string }>(
    `select distinct name from portcullis_control.alert
     where job = $1 and $2 = any(regions) and resolved_at is null and ${STATE} = 'firing' order by name`,
    [job, region],
  );
  return rows;
}

/**
 * Clears an alert that fires, on a person's word that it is over: it counts against no version any more until it
 * begins again. Re-arms nothing. Throws ALERT_UNKNOWN; ALERT_NOT_FIRING where there is nothing to clear; and what
 * `requireMay` throws for a region of it.
 */
export async function clearAlert(
  control: pg.Pool,
  id: string,
  order: {
    readonly by: string;
    readonly reason: string;
    readonly requireMay: (region: string) => void;
  },
): Promise<AlertView> {
  return inTransaction(control, async (client) => {
    const { rows } = await client.query<AlertRow>(
      `select ${COLUMNS} from portcullis_control.alert where fingerprint = $1
       order by ${STATE} = 'firing' desc, starts_at desc for update`,
      [id],
    );
    const [last] = rows;
    if (!last) {
      throw new PortcullisError('ALERT_UNKNOWN', `no alert has the id ${id}`, {
        hint: 'portcullis alerts list shows those there are',
        details: { id },
      });
    }
    for (const region of new Set(rows.flatMap(({ regions }) => regions))) order.requireMay(region);
    if (last.state !== 'firing') {
      throw new PortcullisError('ALERT_NOT_FIRING', `${last.name} ${id} is ${last.state}`, {
        hint: 'portcullis alerts list --state firing shows those that can be cleared',
        details: { id, state: last.state },
      });
    }
    const { rows: cleared } = await client.query<AlertRow>(
      `update portcullis_control.alert
       set cleared_at = clock_timestamp(), cleared_by = $2, clear_reason = $3
       where fingerprint = $1 and ${STATE} = 'firing' returning ${COLUMNS}`,
      [id, order.by, order.reason],
    );
    await recordAudit(client, {
      ...{ principal: order.by, action: 'clear-alert', subject: last.job },
      evidence: { alert: id, name: last.name, regions: last.regions, reason: order.reason },
    });
    return alertOf(cleared[0] ?? last);
  });
}

/** The regions that an alert names, or has named; empty where there is no such alert. */
export async function regionsOfAlert(control: pg.Pool, id: string): Promise<string[]> {
  const { rows } = await control.query<{ region: string }>(
    'select distinct unnest(regions) as region from portcullis_control.alert where fingerprint = $1',
    [id],
  );
  return rows.map(({ region }) => region);
}

/** Forgets alerts that were last received more than 90 days ago. */
export async function forgetAlerts(control: pg.Pool): Promise<void> {
  await control.query(
    `delete from portcullis_control.alert where received_at < clock_timestamp() - interval '90 days'`,
  );
}

function alertOf(row: AlertRow): AlertView {
  return viewOf(AlertView, row);
}
