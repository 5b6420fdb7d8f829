import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, chmod, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from '@jest/globals';
import pg from 'pg';
import { serverUser } from '../../src/postgres/embedded-binaries.js';
import { requirePostgresProgram } from './debian-package.js';
import { freePort } from './prometheus.js';
import { TcpProxy } from './tcp-proxy.js';
import { until } from './until.js';

/** A server of Debian's, on loopback. */
export interface PostgresServer {
  readonly port: number;
  /** The superuser's URL of a database. */
  url(database: string): string;
  /** Runs a statement on the database `postgres`, and answers its rows. */
  query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>;
  /** Stops it as a crash does: `pg_ctl stop -m immediate`. */
  crash(): Promise<void>;
}

/** A primary, and a standby that streams from it through `link`. */
export interface StreamingPair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly link: TcpProxy;
}

const USER = 'portcullis';
/** A test ends what it has started, and nothing here is kept. */
const SETTINGS = {
  fsync: 'off',
  wal_keep_size: '512MB',
  max_connections: '100',
  listen_addresses: '127.0.0.1',
};

/** How long initdb and pg_basebackup may take. */
const COMPLETE_MS = 60_000;

/** A primary and its streaming standby, until the file's tests are over. To be called at a test file's top level. */
export async function streamingPair(): Promise<StreamingPair> {
  const children: ChildProcess[] = [];
  const link = new TcpProxy('127.0.0.1', 0);
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-streaming-'));
  const end = async (): Promise<void> => {
    await Promise.all(children.map(stop));
    await link.cut();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const pair = await startPair(folder, children, link);
    afterAll(end);
    return pair;
  } catch (error) {
    // Of a file that fails at its top level, jest runs no hook.
    await end();
    throw error;
  }
}

async function startPair(folder: string, children: ChildProcess[], link: TcpProxy): Promise<StreamingPair> {
  const programs = dirname(await requirePostgresProgram('initdb'));
  const user = serverUser();
  // As root, the servers run as another user, who must be able to enter.
  await chmod(folder, 0o755);
  const password = randomBytes(16).toString('hex');
  const passwordFile = join(folder, 'password');
  const data = (name: string): string => join(folder, name);
  await writeFile(passwordFile, password);
  for (const name of ['primary', 'standby']) await mkdir(data(name), { mode: 0o700 });
  if (user)
    for (const path of [passwordFile, data('primary'), data('standby')])
      await chown(path, user.uid, user.gid);

  const launch = (program: string, args: readonly string[], limitMs?: number): Launched => {
    const child = spawn(join(programs, program), args, {
      ...user,
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', PGPASSWORD: password },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
    });
    children.push(child);
    child.once('error', () => undefined);
    const launched = { child, said: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (launched.said += text));
    return launched;
  };
  const complete = async (program: string, args: readonly string[]): Promise<void> => {
    const launched = launch(program, args, COMPLETE_MS);
    await once(launched.child, 'close');
    const { exitCode, signalCode } = launched.child;
    if (exitCode !== 0) throw new Error(`${program} failed (${exitCode ?? signalCode}): ${launched.said}`);
  };
  const serve = async (name: string): Promise<PostgresServer> => {
    const port = await freePort();
    const settings = { ...SETTINGS, port: String(port), unix_socket_directories: '' };
    const options = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
    const launched = launch('postgres', ['-D', data(name), ...options]);
    const url = (database: string): string =>
      `postgresql://${USER}:${password}@127.0.0.1:${port}/${database}`;
    const query = async <Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> => {
      const client = new pg.Client({
        connectionString: url('postgres'),
        connectionTimeoutMillis: 10_000,
        query_timeout: 60_000,
      });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return (await client.query<Row>(sql)).rows;
      } finally {
        await client.end().catch(() => undefined);
      }
    };
    await until(`the ${name} answers`, async () => {
      if (launched.child.exitCode !== null) throw new Error(`the ${name} has ended: ${launched.said}`);
      return query('select').then(
        () => true,
        () => false,
      );
    });
    return { port, url, query, crash: () => stop(launched.child) };
  };

  await complete('initdb', [
    ...['-D', data('primary'), '-U', USER, '-E', 'UTF8', '--locale=C', '--auth=scram-sha-256'],
    ...[`--pwfile=${passwordFile}`, '--no-sync'],
  ]);
  const primary = await serve('primary');
  link.leadTo(primary.port);
  await link.open();
  // With -R it writes standby.signal, and that the standby streams from where it was copied: through the link.
  await complete('pg_basebackup', [
    ...['-D', data('standby'), '-h', '127.0.0.1', '-p', String(link.port), '-U', USER],
    ...['-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
  ]);
  const standby = await serve('standby');
  await until('the standby streams', async () => {
    const rows = await primary.query(`select from pg_stat_replication where state = 'streaming'`);
    return rows.length === 1;
  });
  return { primary, standby, link };
}

interface Launched {
  readonly child: ChildProcess;
  /** What it has printed. */
  said: string;
}

/** PostgreSQL's immediate shutdown, which takes its children along; of one that does not obey, the process is killed. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const over = once(child, 'close');
  child.kill('SIGQUIT');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await over;
  clearTimeout(impatience);
}
