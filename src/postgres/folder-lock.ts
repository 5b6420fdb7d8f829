import { hostname } from 'node:os';
import { PortcullisError } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { LOCKS } from './locks.js';
import { connectAlone } from './pool.js';

const CONNECT_MS = 10_000;
const HOLDER = 'portcullis serving';

export interface FolderLock {
  /** Whether the session that holds it is still there: with the server, the lock is gone. */
  held(): boolean;
  release(): Promise<void>;
}

/**
 * Takes the folder of an embedded database for one serving process. The lock is a session's in that very
 * database, so it ends with its holder however that ends, and no stale lock file can be left. Throws
 * FOLDER_HELD, saying which process holds it and since when.
 */
export async function lockFolder(url: string, folder: string): Promise<FolderLock> {
  const client = await connectAlone({
    connectionString: url,
    application_name: shorten(`${HOLDER} pid ${process.pid} on ${hostname()}`, 63),
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_MS,
  });
  let there = true;
  client.on('end', () => (there = false));
  const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [
    LOCKS.folder,
  ]);
  if (rows[0]?.taken === true) return { held: () => there, release: () => client.end() };
  const { rows: holders } = await client.query<{ name: string; since: Date }>(
    `select a.application_name as name, a.backend_start as since
     from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and l.objid = $1 and l.database = (select oid from pg_database where datname = current_database())`,
    [LOCKS.folder],
  );
  await client.end();
  const holder = holders[0];
  const who = holder
    ? `${holder.name.slice(HOLDER.length).trim()}, since ${holder.since.toISOString()}`
    : 'another process';
  throw new PortcullisError('FOLDER_HELD', `${folder} is held by ${who}`, {
    hint: 'stop that process, or give this one a folder of its own with PORTCULLIS_HOME',
    details: { folder, holder: who },
  });
}
