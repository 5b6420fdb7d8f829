import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { inTransaction } from '../postgres/pool.js';

/**
 * Whether the database is one that permits hold on: the one that was migrated, or one that a person has confirmed. SQL,
 * for the statements that depend on it.
 */
export const CONFIRMED = `exists (
  select from portcullis_region.confirmed_database c
  where c.identity = portcullis_region.database_identity() and (c.expires_at is null or c.expires_at > clock_timestamp()))`;

/** Which database a region's is, and whether runs and restores may write to it. */
export interface DatabaseStanding {
  /** `SYSTEM/TIMELINE`: the cluster's identifier and its timeline; `unknown` for what the service does not tell. */
  readonly identity: string;
  readonly confirmed: boolean;
  /** The database that was confirmed last, and when; the one before, where this one is not confirmed. */
  readonly last: string | null;
  readonly lastConfirmedAt: Date | null;
  /** Until when another database is confirmed beforehand, for a switchover; null where none is. */
  readonly switchoverUntil: Date | null;
}

export async function readDatabase(region: pg.Pool | pg.PoolClient): Promise<DatabaseStanding> {
  const { rows } = await region.query<DatabaseStanding>(
    `select portcullis_region.database_identity() as identity, ${CONFIRMED} as confirmed,
       last.identity as last, last.confirmed_at as "lastConfirmedAt",
       (select max(expires_at) from portcullis_region.confirmed_database
        where expires_at > clock_timestamp() and identity <> portcullis_region.database_identity()) as "switchoverUntil"
     from (values (1)) as always
     left join lateral (
       select identity, confirmed_at from portcullis_region.confirmed_database
       where expires_at is null order by confirmed_at desc limit 1) last on true`,
  );
  const [standing] = rows;
  if (!standing) throw new Error('the database did not say which one it is');
  return standing;
}

/** Whether a service hides the identifier or the timeline: then a failover goes unnoticed. */
export function hidesIdentity({ identity }: Pick<DatabaseStanding, 'identity'>): boolean {
  return identity.split('/').includes('unknown');
}

/** Within so long a switchover that is confirmed beforehand must take place. */
export const SWITCHOVER_MS = 3_600_000;

export interface Confirmation {
  readonly by: string;
  readonly reason: string;
}

export interface Confirmed {
  /** The database that is confirmed, and the one that was confirmed last before it. */
  readonly identity: string;
  readonly was: string | null;
  /** Where it is confirmed beforehand: until when it must have been reached. */
  readonly expiresAt: string | null;
}

/**
 * Confirms the database that this is: its gates open again when their flags say so, and restores go on. Throws
 * DATABASE_CONFIRMED where it is confirmed already.
 */
export async function confirmDatabase(
  control: pg.Pool,
  owner: pg.Pool,
  { by, reason }: Confirmation,
): Promise<Confirmed> {
  const before = await readDatabase(owner);
  if (before.confirmed) {
    throw new PortcullisError('DATABASE_CONFIRMED', `database ${before.identity} is confirmed already`, {
      hint: 'nothing to do; for a switchover that is planned, give --switchover',
    });
  }
  const { identity, last: was } = before;
  // Recorded before it takes effect: what cannot go on record does not open anything.
  await inTransaction(owner, async (client) => {
    await keep(client, identity, { by, reason }, null);
    await recordAudit(control, {
      ...{ principal: by, action: 'confirm-database', subject: identity },
      evidence: { was, reason },
    });
  });
  return { identity, was, expiresAt: null };
}

/**
 * Confirms beforehand the database that a planned switchover leads to: this cluster's next timeline. It counts on the
 * replica that has received this row, and so everything before it. Throws DATABASE_UNCONFIRMED where this database is
 * not confirmed itself, DATABASE_IDENTITY_HIDDEN where the next one cannot be told.
 */
export async function confirmSwitchover(
  control: pg.Pool,
  owner: pg.Pool,
  confirmation: Confirmation,
  forMs: number,
): Promise<Confirmed> {
  const before = await readDatabase(owner);
  const { identity: was } = before;
  if (!before.confirmed) {
    throw new PortcullisError('DATABASE_UNCONFIRMED', `database ${was} is not confirmed itself`, {
      hint: 'confirm it first: portcullis database confirm --reason "…"',
    });
  }
  if (hidesIdentity(before)) {
    throw new PortcullisError(
      'DATABASE_IDENTITY_HIDDEN',
      `the service does not tell which database this is (${was})`,
      {
        hint: 'a switchover goes unnoticed here: hold the gates during it with portcullis stop --all',
      },
    );
  }
  const [system = '', timeline = ''] = was.split('/');
  const identity = `${system}/${Number(timeline) + 1}`;
  return inTransaction(owner, async (client) => {
    const until = await keep(client, identity, confirmation, forMs);
    const expiresAt = until?.toISOString() ?? null;
    await recordAudit(control, {
      ...{ principal: confirmation.by, action: 'confirm-switchover', subject: identity },
      evidence: { was, reason: confirmation.reason, expiresAt },
    });
    return { identity, was, expiresAt };
  });
}

async function keep(
  owner: pg.PoolClient,
  identity: string,
  { by, reason }: Confirmation,
  forMs: number | null,
): Promise<Date | null> {
  const { rows } = await owner.query<{ at: Date | null }>(
    `insert into portcullis_region.confirmed_database (identity, confirmed_by, reason, expires_at)
     values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4::float8 / 1000))
     on conflict (identity) do update
     set confirmed_at = clock_timestamp(), confirmed_by = $2, reason = $3, expires_at = excluded.expires_at
     returning expires_at as at`,
    [identity, by, reason, forMs],
  );
  return rows[0]?.at ?? null;
}

/** After a switchover that was confirmed beforehand, the database is confirmed for good. Answers whether it was that. */
export async function settleSwitchover(owner: pg.Pool): Promise<boolean> {
  const { rowCount } = await owner.query(
    `update portcullis_region.confirmed_database set expires_at = null
     where identity = portcullis_region.database_identity() and expires_at > clock_timestamp()`,
  );
  return (rowCount ?? 0) > 0;
}
