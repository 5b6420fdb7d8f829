import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { storable, storableJson } from '../kernel/text.js';

export const NOTICE_KINDS = [
  ...(['trip', 'kill', 'hold', 'incident', 'rollout', 'alert', 'approval', 'break-glass', 'test'] as const),
] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** In PagerDuty's words. */
export const SEVERITIES = ['critical', 'warning', 'info'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** `critical`: damage is done, or stopped at a price; `warning`: somebody must look today; `info`: news, and requests. */
const SEVERITY: Readonly<Record<NoticeKind, Severity>> = {
  trip: 'critical',
  kill: 'critical',
  incident: 'critical',
  alert: 'critical',
  hold: 'warning',
  'break-glass': 'warning',
  rollout: 'info',
  approval: 'info',
  test: 'info',
};

/** How bad it is. A drill, and an incident's progress to its end, wake nobody. */
export function severityOf({ kind, details = {} }: Pick<Notice, 'kind' | 'details'>): Severity {
  return details['drill'] === true || 'moved' in details ? 'info' : SEVERITY[kind];
}

/** Something that people are to be told. */
export interface Notice {
  readonly kind: NoticeKind;
  readonly job?: string;
  readonly region?: string;
  /** One sentence: what has happened. */
  readonly title: string;
  /** What else a person needs to know, a sentence each. */
  readonly lines?: readonly string[];
  /** The same for programs: plain JSON. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * Puts a notice into the outbox. Given a client, it does so in the transaction that the client is in, so that
 * what happened and the telling of it commit together. It is sent by whichever control plane comes first.
 * Of several notices with one `key`, only the first is made, and another once that is older than `againAfterMs`,
 * if given. Answers the notice's id.
 */
export async function notify(
  control: pg.Pool | pg.PoolClient,
  notice: Notice,
  key?: string,
  againAfterMs?: number,
): Promise<string> {
  const { kind, job, region, title, lines = [], details = {} } = notice;
  if (key !== undefined && againAfterMs !== undefined) {
    // The one before gives its key up.
    await control.query(
      `update portcullis_control.notice set key = null
       where key = $1 and at < clock_timestamp() - make_interval(secs => $2::float8 / 1000)`,
      [key, againAfterMs],
    );
  }
  const id = randomUUID();
  const { rows } = await control.query<{ id: string }>(
    `with made as (
       insert into portcullis_control.notice (id, key, kind, job, region, title, lines, details)
       values ($1, $2, $3, $4, $5, $6, $7, $8)
       on conflict (key) do nothing
       returning id
     )
     select id from made union all select id from portcullis_control.notice where key = $2`,
    [id, key, kind, job, region, storable(title), storableJson(lines), storableJson(details)],
  );
  // Another transaction made it between the insert and the select's snapshot.
  return rows[0]?.id ?? id;
}

/** A notice that says nothing but that it has arrived: at one receiver, or at all. */
export function testNotice(by: string, receiver?: string): Notice {
  return {
    ...{ kind: 'test', title: 'Portcullis: a test', lines: [`asked for by ${by}; nothing has happened`] },
    ...(receiver !== undefined && { details: { receiver } }),
  };
}
