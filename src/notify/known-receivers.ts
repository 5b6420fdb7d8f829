import type pg from 'pg';
import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { count, isoTime, named } from '../kernel/schema.js';
import { inTransaction } from '../postgres/pool.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import { NOTICE_KINDS, SEVERITIES } from './notice.js';
import type { Receiver } from './receivers.js';
import { RECEIVER_KINDS } from './settings.js';

export const KnownReceiver = named(
  'Receiver',
  z.strictObject({
    name: z.string(),
    kind: z.enum(RECEIVER_KINDS),
    target: z.string().describe('a host, or a workspace and channel of Slack; never an address'),
    severities: z.array(z.enum(SEVERITIES)).readonly().nullable().describe('null: all'),
    kinds: z.array(z.enum(NOTICE_KINDS)).readonly().nullable().describe('null: all'),
    jobs: z.array(z.string()).readonly().nullable().describe('null: all'),
    served: z.boolean().describe('whether a process that sends to it has said so in the last 2 minutes'),
    seenAt: isoTime.describe('when one last did'),
    pending: count.describe('deliveries that wait'),
    dead: count.describe('deliveries that were given up'),
    deliveredAt: isoTime.nullable().describe('when it last took one; null: none in 30 days'),
    lastProblem: z.string().nullable().describe('what the newest delivery that is not delivered met'),
  }),
);
export type KnownReceiver = z.infer<typeof KnownReceiver>;

const COLUMNS = viewColumns(KnownReceiver, {
  served: `r.seen_at > clock_timestamp() - interval '2 minutes'`,
  pending: `(select count(*)::int from portcullis_control.delivery d where d.receiver = r.name and d.state = 'pending')`,
  dead: `(select count(*)::int from portcullis_control.delivery d where d.receiver = r.name and d.state = 'dead')`,
  deliveredAt: `(select max(d.ended_at) from portcullis_control.delivery d where d.receiver = r.name and d.state = 'delivered')`,
  lastProblem: `(select d.last_problem from portcullis_control.delivery d
                 join portcullis_control.notice n on n.id = d.notice
                 where d.receiver = r.name and d.state <> 'delivered' and d.last_problem is not null
                 order by n.at desc limit 1)`,
});

/** The receivers that processes have been sending to of late, by name. */
export async function listReceivers(control: pg.Pool): Promise<KnownReceiver[]> {
  const { rows } = await control.query<object>(
    `select ${COLUMNS} from portcullis_control.receiver r order by r.name`,
  );
  return rows.map((row) => viewOf(KnownReceiver, row));
}

/** Where a receiver is, as far as that may be shown: an address may be a secret itself. */
function targetOf(receiver: Receiver): string {
  return receiver.kind === 'slack' ? `${receiver.team}/${receiver.channel}` : new URL(receiver.url).host;
}

/** Says to which receivers this process sends, and forgets those that no process has sent to for an hour. */
export async function announceReceivers(control: pg.Pool, receivers: readonly Receiver[]): Promise<void> {
  await inTransaction(control, async (client) => {
    // By name: two processes that take the same rows in different orders would wait for each other.
    for (const each of [...receivers].sort((one, other) => (one.name < other.name ? -1 : 1))) {
      const { name, kind, severities, kinds, jobs } = each;
      await client.query(
        `insert into portcullis_control.receiver (name, kind, target, severities, kinds, jobs)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (name) do update set kind = excluded.kind, target = excluded.target,
           severities = excluded.severities, kinds = excluded.kinds, jobs = excluded.jobs, seen_at = clock_timestamp()`,
        [name, kind, targetOf(each), severities, kinds, jobs],
      );
    }
    await client.query(
      `delete from portcullis_control.receiver where seen_at < clock_timestamp() - interval '1 hour'`,
    );
  });
}

/** Throws RECEIVER_UNKNOWN, with the nearest name, unless a process sends to a receiver of that name. */
export async function requireReceiver(control: pg.Pool, name: string): Promise<void> {
  const names = (await listReceivers(control)).map((each) => each.name);
  if (names.includes(name)) return;
  const meant = nearest(name, names);
  throw new PortcullisError('RECEIVER_UNKNOWN', `no process sends to a receiver ${name}`, {
    hint:
      meant !== undefined
        ? `did you mean ${meant}?`
        : names.length > 0
          ? `there is ${names.join(', ')}`
          : 'none is configured, or no portcullis start is running: see docs/guide/notifications.md',
    details: { receiver: name, known: names },
  });
}

/** Whether a receiver is of use: in a word. */
export function receiverState({
  served,
  dead,
  lastProblem,
  deliveredAt,
}: Pick<KnownReceiver, 'served' | 'dead' | 'lastProblem' | 'deliveredAt'>):
  'not served' | 'failing' | 'ok' | 'untried' {
  if (!served) return 'not served';
  if (dead > 0 || lastProblem !== null) return 'failing';
  return deliveredAt === null ? 'untried' : 'ok';
}

/** What a receiver gets: `critical, warning; of domain-claim`. */
export function getsText({
  severities,
  kinds,
  jobs,
}: Pick<KnownReceiver, 'severities' | 'kinds' | 'jobs'>): string {
  const parts = [
    severities?.join(', '),
    kinds?.join(', '),
    jobs === null ? undefined : `of ${jobs.join(', ')}`,
  ];
  return parts.filter((each) => each !== undefined).join('; ') || 'everything';
}
