import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { runningUrl, startEmbedded } from '../postgres/embedded-server.js';
import { LOCKS } from '../postgres/locks.js';
import { connectAlone } from '../postgres/pool.js';

/** Where tests may create databases and roles: the URL of a server's superuser, or of a role with CREATEDB and CREATEROLE. */
const GIVEN = 'PORTCULLIS_TEST_SERVER';

/** What is lost with the server is made again by the next test. */
export const SETTINGS = [
  ...['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'],
  ...['max_connections=300', 'shared_buffers=128MB'],
] as const;

const START_MS = 90_000;

/** A test's session on the server, as whoever may create databases there. It keeps the server from being stopped. */
export interface ServerSession {
  readonly admin: pg.Client;
  /** The URL of a database of the server. */
  readonly urlOf: (database: string) => string;
}

/**
 * Runs `work` with a PostgreSQL server: the one that PORTCULLIS_TEST_SERVER names, else the embedded one, which all of
 * this user's test processes share. It is started when it is first needed, and stops some seconds after the last test.
 */
export async function withServer<T>(work: (session: ServerSession) => Promise<T>): Promise<T> {
  const given = process.env[GIVEN];
  const session =
    given === undefined || given === '' ? await embedded() : sessionAt(await connect(given), given);
  try {
    return await work(session);
  } finally {
    await session.admin.end();
  }
}

function sessionAt(admin: pg.Client, url: string): ServerSession {
  return { admin, urlOf: (database) => at(url, database) };
}

/** A URL of a server, with another database's name. */
export function at(url: string, database: string): string {
  const place = new URL(url);
  place.pathname = `/${database}`;
  return place.toString();
}

function connect(url: string): Promise<pg.Client> {
  return connectAlone({ connectionString: at(url, 'postgres'), connectionTimeoutMillis: 10_000 });
}

/** What a connection meets while the server starts or stops. */
const NOT_NOW = new Set(['57P03', '57P01', 'ECONNREFUSED', 'ECONNRESET']);

async function embedded(): Promise<ServerSession> {
  const folder = ownFolder();
  const giveUpAt = performance.now() + START_MS;
  for (;;) {
    const url = runningUrl(folder) ?? (await startEmbedded({ folder, settings: SETTINGS })).url;
    const admin = await entered(url);
    if (admin !== undefined) {
      await keepFor(admin, folder);
      return sessionAt(admin, url);
    }
    if (performance.now() > giveUpAt) throw new Error(`the server in ${folder} does not let tests in`);
    await wait(20);
  }
}

/** A session that keeps the server from being stopped; undefined while it is. */
async function entered(url: string): Promise<pg.Client | undefined> {
  let admin: pg.Client | undefined;
  try {
    admin = await connect(url);
    const { rows } = await admin.query<{ shared: boolean }>(
      'select pg_try_advisory_lock_shared($1) as shared',
      [LOCKS.testServer],
    );
    if (rows[0]?.shared === true) return admin;
  } catch (error) {
    if (!NOT_NOW.has(String((error as { code?: unknown }).code))) throw error;
  }
  await admin?.end().catch(() => undefined);
  return undefined;
}

/** Starts the process that stops the server when no test uses it any more, where there is none. */
async function keepFor(admin: pg.Client, folder: string): Promise<void> {
  const { rowCount } = await admin.query(
    `select from pg_locks where locktype = 'advisory' and granted and objid = $1`,
    [LOCKS.testKeeper],
  );
  if (rowCount !== 0) return;
  const keeper = fileURLToPath(new URL('server-keeper.js', import.meta.url));
  spawn(process.execPath, [keeper, folder], { detached: true, stdio: 'ignore', cwd: '/' })
    .on('error', () => undefined)
    .unref();
}

/** The same for all processes of this user and this installation of Portcullis. */
function ownFolder(): string {
  const { uid } = userInfo();
  const hash = createHash('sha256')
    .update(import.meta.url)
    .digest('hex');
  const folder = join(tmpdir(), `portcullis-testing-${uid}-${hash.slice(0, 8)}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || (uid >= 0 && found.uid !== uid))
    throw new Error(`${folder} is not this user's folder; remove it, or set TMPDIR to a folder of your own`);
  return folder;
}
