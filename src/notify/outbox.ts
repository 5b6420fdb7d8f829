import type pg from 'pg';
import { inTransaction } from '../postgres/pool.js';
import type { OutgoingNotice } from './message.js';
import { takes, type Receiver } from './receivers.js';

/** One delivery that is this process's to try now. */
export interface Claimed {
  readonly receiver: string;
  /** This attempt's number, from 1: whoever ends the delivery must still be at it. */
  readonly attempt: number;
  readonly notice: OutgoingNotice;
  /** Whether the receiver has been told that the notice's incident has ended. */
  readonly over: boolean;
}

/** Notices that nobody was there to receive for so long are not sent any more: they would be read as news. */
const STALE_HOURS = 24;
/** How long a notice is kept, delivered or not. */
const KEPT_DAYS = 30;

/**
 * Addresses new notices to the receivers that take them, each notice once; gives up what has been due for a day without
 * anybody who knows its receiver, and forgets what is a month old. Answers the deliveries given up.
 */
export async function address(control: pg.Pool, receivers: readonly Receiver[]): Promise<number> {
  await inTransaction(control, async (client) => {
    const { rows } = await client.query<Pick<OutgoingNotice, 'id' | 'kind' | 'job' | 'details'>>(
      `update portcullis_control.notice set addressed_at = clock_timestamp()
       where id in (
         select id from portcullis_control.notice
         where addressed_at is null and at > clock_timestamp() - make_interval(hours => $1)
         order by at limit 1000 for update skip locked)
       returning id, kind, job, details`,
      [STALE_HOURS],
    );
    const pairs = rows.flatMap((notice) =>
      receivers.filter((each) => takes(each, notice)).map(({ name }) => ({ notice: notice.id, name })),
    );
    if (pairs.length === 0) return;
    await client.query(
      `insert into portcullis_control.delivery (notice, receiver) select * from unnest($1::uuid[], $2::text[])`,
      [pairs.map(({ notice }) => notice), pairs.map(({ name }) => name)],
    );
  });
  const { rowCount } = await control.query(
    `update portcullis_control.delivery
     set state = 'dead', ended_at = clock_timestamp(),
         last_problem = 'no process knows this receiver any more'
     where state = 'pending' and due_at < clock_timestamp() - make_interval(hours => $1)
       and receiver <> all($2)`,
    [STALE_HOURS, namesOf(receivers)],
  );
  await control.query(
    `delete from portcullis_control.notice where at < clock_timestamp() - make_interval(days => $1)`,
    [KEPT_DAYS],
  );
  return rowCount ?? 0;
}

/**
 * Takes up to `most` deliveries that are due, for `leaseMs`: until then nobody else tries them, and if this
 * process is gone by then, somebody does. What PagerDuty is told of an incident it is told in order: an alert that its end
 * overtook would stay open.
 */
export async function claim(
  control: pg.Pool,
  receivers: readonly Receiver[],
  most: number,
  leaseMs: number,
): Promise<Claimed[]> {
  const { rows } = await control.query<
    Omit<OutgoingNotice, 'at'> & { at: Date; receiver: string; attempt: number; over: boolean }
  >(
    `with due as (
       select d.notice, d.receiver from portcullis_control.delivery d
       join portcullis_control.notice told on told.id = d.notice
       where d.state = 'pending' and d.due_at <= clock_timestamp() and d.receiver = any($1)
         and not (d.receiver = any($4) and exists (
           select from portcullis_control.notice before
           join portcullis_control.delivery waits on waits.notice = before.id and waits.receiver = d.receiver
           where before.details ->> 'incident' = told.details ->> 'incident' and before.details ? 'incident'
             and (before.at, before.id) < (told.at, told.id) and waits.state = 'pending'))
       order by d.due_at limit $2 for update of d skip locked
     )
     update portcullis_control.delivery d
     set attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
     from due, portcullis_control.notice n
     where (d.notice, d.receiver) = (due.notice, due.receiver) and n.id = d.notice
     returning d.receiver, d.attempts as attempt, n.id, n.kind, n.job, n.region, n.title, n.lines, n.details, n.at,
       exists (select from portcullis_control.notice ending
               join portcullis_control.delivery told on told.notice = ending.id and told.receiver = d.receiver
               where ending.details ->> 'incident' = n.details ->> 'incident' and ending.details ? 'incident'
                 and ending.details ->> 'moved' = 'closed' and ending.id <> n.id
                 and told.state = 'delivered') as over`,
    [namesOf(receivers), most, leaseMs, namesOf(receivers.filter(({ kind }) => kind === 'pagerduty'))],
  );
  return rows.map(({ receiver, attempt, over, at, ...notice }) => ({
    receiver,
    attempt,
    over,
    notice: { ...notice, at: at.toISOString() },
  }));
}

function namesOf(receivers: readonly Receiver[]): string[] {
  return receivers.map(({ name }) => name);
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
