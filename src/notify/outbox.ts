import type pg from 'pg';
import type { OutgoingNotice } from './message.js';

/** One delivery that is this process's to try now. */
export interface Claimed {
  readonly receiver: string;
  /** This attempt's number, from 1: whoever ends the delivery must still be at it. */
  readonly attempt: number;
  readonly notice: OutgoingNotice;
}

/** Notices that nobody was there to receive for so long are not sent any more: they would be read as news. */
const STALE_HOURS = 24;
/** How long a notice is kept, delivered or not. */
const KEPT_DAYS = 30;

/**
 * Addresses new notices to the receivers, each notice once; gives up what has been due for a day without
 * anybody who knows its receiver, and forgets what is a month old. Answers the deliveries given up.
 */
export async function address(control: pg.Pool, receivers: readonly string[]): Promise<number> {
  await control.query(
    `with fresh as (
       update portcullis_control.notice set addressed_at = clock_timestamp()
       where id in (
         select id from portcullis_control.notice
         where addressed_at is null and at > clock_timestamp() - make_interval(hours => $2)
         order by at limit 1000 for update skip locked)
       returning id
     )
     insert into portcullis_control.delivery (notice, receiver)
     select id, receiver from fresh cross join unnest($1::text[]) receiver`,
    [receivers, STALE_HOURS],
  );
  const { rowCount } = await control.query(
    `update portcullis_control.delivery
     set state = 'dead', ended_at = clock_timestamp(),
         last_problem = 'no process knows this receiver any more'
     where state = 'pending' and due_at < clock_timestamp() - make_interval(hours => $1)
       and receiver <> all($2)`,
    [STALE_HOURS, receivers],
  );
  await control.query(
    `delete from portcullis_control.notice where at < clock_timestamp() - make_interval(days => $1)`,
    [KEPT_DAYS],
  );
  return rowCount ?? 0;
}

/**
 * Takes up to `most` deliveries that are due, for `leaseMs`: until then nobody else tries them, and if this
 * process is gone by then, somebody does.
 */
export async function claim(
  control: pg.Pool,
  receivers: readonly string[],
  most: number,
  leaseMs: number,
): Promise<Claimed[]> {
  const { rows } = await control.query<
    Omit<OutgoingNotice, 'at'> & { at: Date; receiver: string; attempt: number }
  >(
    `with due as (
       select notice, receiver from portcullis_control.delivery
       where state = 'pending' and due_at <= clock_timestamp() and receiver = any($1)
       order by due_at limit $2 for update skip locked
     )
     update portcullis_control.delivery d
     set attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     from due, portcullis_control.notice n
     where (d.notice, d.receiver) = (due.notice, due.receiver) and n.id = d.notice
     returning d.receiver, d.attempts as attempt, n.id, n.kind, n.job, n.region, n.title, n.lines, n.details, n.at`,
    [receivers, most, leaseMs],
  );
  return rows.map(({ receiver, attempt, at, ...notice }) => ({
    receiver,
    attempt,
    notice: { ...notice, at: at.toISOString() },
  }));
}

/** What became of an attempt. */
export type Attempted =
  | { readonly state: 'delivered' }
  | { readonly state: 'pending'; readonly problem: string; readonly retryInMs: number }
  | { readonly state: 'dead'; readonly problem: string };

/** Notes what became of an attempt, unless the delivery has passed to somebody else meanwhile. */
export async function settle(control: pg.Pool, claimed: Claimed, attempted: Attempted): Promise<void> {
  await control.query(
    `update portcullis_control.delivery
     set state = $4, last_problem = $5,
         due_at = case when $4 = 'pending' then clock_timestamp() + make_interval(secs => $6::float8 / 1000) else due_at end,
         ended_at = case when $4 = 'pending' then null else clock_timestamp() end
     where notice = $1 and receiver = $2 and attempts = $3 and state = 'pending'`,
    [
      claimed.notice.id,
      claimed.receiver,
      claimed.attempt,
      attempted.state,
      attempted.state === 'delivered' ? null : attempted.problem,
      attempted.state === 'pending' ? attempted.retryInMs : 0,
    ],
  );
}

/** Deliveries that wait, and that were given up. */
export async function backlog(control: pg.Pool): Promise<{ pending: number; dead: number }> {
  const { rows } = await control.query<{ pending: number; dead: number }>(
    `select count(*) filter (where state = 'pending') as pending, count(*) filter (where state = 'dead') as dead
     from portcullis_control.delivery`,
  );
  return rows[0] ?? { pending: 0, dead: 0 };
}
