import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { PortcullisError } from '../../kernel/errors.js';
import { LOCKS } from '../../postgres/locks.js';
import { connectAlone } from '../../postgres/pool.js';
import { sessionOf } from '../../postgres/session.js';

const PREFIX = 'portcullis_replay_';
/** The databases of one replay: each is a copy of the one before, and all of them go when it is over. */
export interface ReplayDatabases {
  /** Makes an empty database. Answers the owner's URL. */
  create(name: string): Promise<string>;
  /** Makes a copy of another, which nobody may be connected to. Answers the owner's URL. */
  copy(name: string, from: string): Promise<string>;
  drop(name: string): Promise<void>;
  /** Drops every database and login of this replay. */
  close(): Promise<void>;
}

/**
 * Opens a place for a replay's databases on a server, of whose databases it touches no other. What replays
 * that were killed have left there is dropped. `serverUrl` is the owner's, to any database.
 */
export async function openReplayDatabases(serverUrl: string): Promise<ReplayDatabases> {
  const at = (database: string): string => {
    const url = new URL(serverUrl);
    url.pathname = `/${database}`;
    return url.toString();
  };
  const client = await connectAlone({
    connectionString: at('postgres'),
    application_name: 'portcullis replay',
    keepAlive: true,
  });
  if ((await sessionOf(client)).pooled) {
    await client.end();
    throw new PortcullisError(
      'POOLER_UNSUITABLE',
      'a replay holds a lock for as long as it runs, which no connection pooler keeps',
      {
        hint: 'set PORTCULLIS_DATABASE_URL to the server itself for the replay',
      },
    );
  }
  await dropLeftOvers(client);
  await client.query('select pg_advisory_lock_shared($1)', [LOCKS.replay]);
  const prefix = `${PREFIX}${randomBytes(4).toString('hex')}_`;
  return {
    create: async (name) => {
      await client.query(`create database ${prefix}${name}`);
      return at(`${prefix}${name}`);
    },
    copy: async (name, from) => {
      // Files are copied as they are, which for hundreds of megabytes is faster than through the log.
      await client.query(`create database ${prefix}${name} template ${prefix}${from} strategy file_copy`);
      return at(`${prefix}${name}`);
    },
    drop: (name) => dropDatabase(client, `${prefix}${name}`),
    close: async () => {
      try {
        await dropAll(client, prefix);
      } finally {
        await client.end();
      }
    },
  };
}

async function dropLeftOvers(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ alone: boolean }>('select pg_try_advisory_lock($1) as alone', [
    LOCKS.replay,
  ]);
  if (rows[0]?.alone !== true) return;
  try {
    await dropAll(client, PREFIX);
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCKS.replay]);
  }
}

/** Drops the databases whose names begin so, and then the logins that they were given. */
async function dropAll(client: pg.Client, prefix: string): Promise<void> {
  const databases = await client.query<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [prefix],
  );
  for (const { name } of databases.rows) await dropDatabase(client, name);
  const roles = await client.query<{ name: string }>(
    `select rolname as name from pg_roles where starts_with(rolname, $1)`,
    [prefix],
  );
  for (const { name } of roles.rows) await client.query(`drop role ${pg.escapeIdentifier(name)}`);
}

async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
}
