import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { join, resolve } from 'node:path';
import type pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { isOfFiles } from './file-error.js';
import { connectAlone } from './pool.js';
import { dataFolder, embeddedBinaries, serverUser, type ServerUser } from './embedded-binaries.js';

export interface EmbeddedServer {
  /** The owner's URL of the database `portcullis`. */
  readonly url: string;
  /** The cluster's folder: below Portcullis' own, unless the server's user cannot enter that. */
  readonly data: string;
  /** Whether a server that was already running was adopted. */
  readonly adopted: boolean;
  /**
   * Starts the server again, at the same address, where it is gone; answers whether it was. Throws
   * EMBEDDED_POSTGRES_FAILED: it can be tried again.
   */
  revive(): Promise<boolean>;
  /** Stops the server, unless another Portcullis process is still connected to it. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Portcullis' own folder; the cluster goes into `postgres/` below it where the server's user may enter. */
  readonly folder: string;
  /** Extra `name=value` settings: the tests trade durability for speed. */
  readonly settings?: readonly string[];
  /** Make no cluster where there is none: throw DATABASE_OUTDATED. */
  readonly existing?: boolean;
}

const DATABASE = 'portcullis';
const START_TIMEOUT_S = 60;
/** A server that stands still takes a connection, and then says nothing: nobody, and no kill, waits for it longer. */
const CONNECT_MS = 10_000;
const QUERY_MS = 30_000;

/**
 * Starts the PostgreSQL that npm installed, or adopts it where it already runs (after a `kill -9` of the
 * process that started it, or beside another process). The first start makes the cluster: about a second.
 * It listens on loopback only, with a password. Throws EMBEDDED_POSTGRES_FAILED, and FILE_UNWRITABLE where the
 * folder is not this user's to write, or full.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const folder = resolve(options.folder);
  try {
    return await startIn(folder, options);
  } catch (error) {
    throw isOfFiles(error)
      ? new PortcullisError('FILE_UNWRITABLE', `Portcullis' own folder ${folder}: ${messageOf(error)}`, {
          hint: 'give this user the right to write there, make room, or name another folder with PORTCULLIS_HOME',
          details: { folder },
          cause: error,
        })
      : error;
  }
}

async function startIn(
  folder: string,
  { settings = [], existing = false }: EmbeddedOptions,
): Promise<EmbeddedServer> {
  if (existing && !existsSync(folder)) throw noCluster(folder);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const user = serverUser();
  const native = embeddedBinaries(user, folder);
  const data = dataFolder(join(folder, 'postgres'), user);
  const cluster = new Cluster(native, data, user, join(folder, 'postgres-password'));
  if (existing && !(existsSync(join(data, 'PG_VERSION')) && existsSync(join(folder, 'postgres-password')))) {
    throw noCluster(folder);
  }
  await cluster.setAsideIfAbandoned();
  if (!existsSync(join(data, 'PG_VERSION'))) await cluster.initialise();
  const adopted = await cluster.isRunning();
  if (!adopted) await cluster.start(settings);
  await createDatabase(data, () => cluster.url('postgres'));
  const url = cluster.url(DATABASE);
  return {
    url,
    data,
    adopted,
    revive: () => cluster.revive(url, settings),
    stop: () => cluster.stopUnlessUsed(url),
  };
}

/** The URL of the server that runs in that folder, also while it stops; undefined where none does. Asks and starts nothing. */
export function runningUrl(folder: string): string | undefined {
  const password = join(folder, 'postgres-password');
  if (!existsSync(password)) return undefined;
  const user = serverUser();
  try {
    const cluster = new Cluster('', dataFolder(join(resolve(folder), 'postgres'), user), user, password);
    return cluster.isAlive() ? cluster.url(DATABASE) : undefined;
  } catch {
    return undefined;
  }
}

function noCluster(folder: string): PortcullisError {
  return new PortcullisError('DATABASE_OUTDATED', `${folder} has no embedded database yet`, {
    hint: 'portcullis start makes it; if you expected one, check PORTCULLIS_HOME, or set PORTCULLIS_DATABASE_URL to a database of your own',
    details: { folder },
  });
}

class Cluster {
  constructor(
    private readonly native: string,
    private readonly data: string,
    private readonly user: ServerUser | undefined,
    private readonly passwordFile: string,
  ) {}

  /**
   * Makes the cluster beside its place and then puts it there in one step, so that neither a start that was
   * cut short nor two first starts at once can leave or meet half a cluster.
   */
  async initialise(): Promise<void> {
    this.makePassword();
    const making = `${this.data}.making-${process.pid}-${randomBytes(4).toString('hex')}`;
    mkdirSync(making, { recursive: true, mode: 0o700 });
    // The server's user may not be able to read our password file, so initdb gets a copy for the moment.
    const password = `${making}.password`;
    try {
      writeFileSync(password, this.password(), { mode: 0o600 });
      if (this.user) for (const path of [making, password]) chownSync(path, this.user.uid, this.user.gid);
      await this.run('initdb', making, [
        ...['-U', 'portcullis', '-E', 'UTF8', '--locale=C', '--auth=scram-sha-256'],
        `--pwfile=${password}`,
      ]);
      renameSync(making, this.data);
    } catch (error) {
      // Another process was first: its cluster has the same password.
      if (!existsSync(join(this.data, 'PG_VERSION'))) throw error;
    } finally {
      rmSync(password, { force: true });
      rmSync(making, { recursive: true, force: true });
    }
  }

  /** Of several processes that make one at once, one does, and it is never seen half-written. */
  private makePassword(): void {
    const made = `${this.passwordFile}.${randomBytes(4).toString('hex')}`;
    writeFileSync(made, randomBytes(24).toString('hex'), { mode: 0o600 });
    try {
      linkSync(made, this.passwordFile);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    } finally {
      rmSync(made, { force: true });
    }
  }

  /**
   * A cluster without its password belongs to a folder that somebody has removed, to start over, while the
   * cluster itself stood elsewhere because the server's user could not enter that folder. It is kept under
   * another name: nothing is lost, and nothing old comes back.
   */
  async setAsideIfAbandoned(): Promise<void> {
    if (existsSync(this.passwordFile) || !existsSync(join(this.data, 'PG_VERSION'))) return;
    if (await this.isRunning()) await this.run('pg_ctl', this.data, ['stop', '-m', 'fast', '-w']);
    renameSync(this.data, `${this.data}.abandoned-${new Date().toISOString().replaceAll(':', '')}`);
  }

  async isRunning(): Promise<boolean> {
    if (!existsSync(this.pidFile())) return false;
    return this.run('pg_ctl', this.data, ['status']).then(
      () => true,
      () => false,
    );
  }

  /** Whether the process is there that the pid file names. Throws where there is no such file. */
  isAlive(): boolean {
    try {
      process.kill(Number(readFileSync(this.pidFile(), 'utf8').split('\n')[0]), 0);
      return true;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'ENOENT') throw error;
      // EPERM: it is another user's.
      return code !== 'ESRCH';
    }
  }

  /** Starts it where it was last, so that whoever was connected finds it again; elsewhere if that is taken. */
  async start(settings: readonly string[]): Promise<void> {
    const port = await freePort(this.lastPort());
    const flags = [
      `-p ${port}`,
      "-c listen_addresses='127.0.0.1'",
      "-c unix_socket_directories=''",
      ...settings.map((setting) => `-c ${setting}`),
    ].join(' ');
    const log = join(this.data, 'server.log');
    try {
      await this.run('pg_ctl', this.data, [
        'start',
        '-w',
        '-t',
        String(START_TIMEOUT_S),
        '-l',
        log,
        '-o',
        flags,
      ]);
    } catch (error) {
      // Another process may have started it in the same moment: then there is nothing to repair.
      if (await this.isRunning()) return;
      throw error;
    }
  }

  async revive(url: string, settings: readonly string[]): Promise<boolean> {
    if (await this.isRunning()) return false;
    await this.start(settings);
    if (this.url(DATABASE) === url) return true;
    throw new PortcullisError(
      'EMBEDDED_POSTGRES_FAILED',
      'the server came back, but its port had been taken',
      {
        hint: 'restart Portcullis',
      },
    );
  }

  /** From the options of its last start, which the server leaves in its folder; 0: there was none. */
  private lastPort(): number {
    try {
      return Number(/"-p" "(\d+)"/.exec(readFileSync(join(this.data, 'postmaster.opts'), 'utf8'))?.[1] ?? 0);
    } catch {
      return 0;
    }
  }

  async stopUnlessUsed(url: string): Promise<void> {
    if (await othersConnected(url)) return;
    if (await this.isRunning()) await this.run('pg_ctl', this.data, ['stop', '-m', 'fast', '-w']);
  }

  /** The port of the running server, from the fourth line of its own pid file. */
  url(database: string): string {
    const port = readFileSync(this.pidFile(), 'utf8').split('\n')[3] ?? '';
    return `postgresql://portcullis:${this.password()}@127.0.0.1:${port}/${database}`;
  }

  private pidFile(): string {
    return join(this.data, 'postmaster.pid');
  }

  private password(): string {
    return readFileSync(this.passwordFile, 'utf8').trim();
  }

  private async run(program: 'initdb' | 'pg_ctl', data: string, args: readonly string[]): Promise<void> {
    // Output goes to a file: the server inherits it and would hold a pipe open for as long as it lives.
    const outputFile = `${data}.${program}-${randomBytes(4).toString('hex')}.out`;
    const output = openSync(outputFile, 'w');
    const child = spawn(join(this.native, 'bin', program), ['-D', data, ...args], {
      ...this.user,
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', output, output],
    });
    try {
      const code = await new Promise<number | null>((done, fail) =>
        child.once('error', fail).once('exit', done),
      );
      if (code === 0) return;
      const said = readFileSync(outputFile, 'utf8').trim();
      throw new PortcullisError(
        'EMBEDDED_POSTGRES_FAILED',
        `${program} in ${data}: ${said === '' ? `exit code ${code ?? 'none'}` : said}`,
        {
          hint: `read ${join(data, 'server.log')}, or set PORTCULLIS_DATABASE_URL to use a server of your own`,
        },
      );
    } finally {
      closeSync(output);
      rmSync(outputFile, { force: true });
    }
  }
}

/** SQLSTATEs of a database that is there already: made before, or by another process in this moment. */
const THERE = new Set(['42P04', '23505']);
/** A server that another process has just started takes a moment before it lets anyone in. */
const NOT_YET = new Set(['57P03', 'ECONNREFUSED']);

async function createDatabase(data: string, adminUrl: () => string): Promise<void> {
  const giveUpAt = performance.now() + START_TIMEOUT_S * 1_000;
  for (;;) {
    let client: pg.Client | undefined;
    try {
      client = await connectTo(adminUrl());
      const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
      if (rowCount === 0) {
        await client.query(`create database ${DATABASE}`);
        // Our own database: the planner is to have no tables of any kind.
        await client.query(`revoke temporary on database ${DATABASE} from public`);
      }
      return;
    } catch (error) {
      const code = String((error as { code?: unknown }).code);
      if (THERE.has(code)) return;
      if (!NOT_YET.has(code) || performance.now() > giveUpAt) {
        throw new PortcullisError(
          'EMBEDDED_POSTGRES_FAILED',
          `the server in ${data} does not answer: ${messageOf(error)}`,
          {
            hint: `see what its process does (its id is the first line of ${join(data, 'postmaster.pid')}), and read ${join(data, 'server.log')}`,
            cause: error,
          },
        );
      }
      await wait(50);
    } finally {
      await client?.end().catch(() => undefined);
    }
  }
}

/**
 * A connection that was closed a moment ago, by this process or by a command beside it, may still be listed: that
 * long one must stay to count. One that began before this process did is another's, and counts at once: a command
 * beside a serving process does not wait.
 */
const LINGERING_MS = 1_000;

async function othersConnected(url: string): Promise<boolean> {
  let client: pg.Client | undefined;
  const until = performance.now() + LINGERING_MS;
  try {
    client = await connectTo(url);
    for (;;) {
      const { rows } = await client.query<{ elder: boolean }>(
        `select backend_start < clock_timestamp() - make_interval(secs => $1) as elder
         from pg_stat_activity where application_name like 'portcullis %' and pid <> pg_backend_pid()
         order by backend_start limit 1`,
        [process.uptime()],
      );
      const [oldest] = rows;
      if (!oldest) return false;
      if (oldest.elder || performance.now() > until) return true;
      await wait(20);
    }
  } catch (error) {
    // Whoever stands still, or takes no more connections, may well be in use: only one that is gone is not.
    return (error as { code?: unknown }).code !== 'ECONNREFUSED';
  } finally {
    await client?.end().catch(() => undefined);
  }
}

function connectTo(connectionString: string): Promise<pg.Client> {
  return connectAlone({ connectionString, connectionTimeoutMillis: CONNECT_MS, query_timeout: QUERY_MS });
}

/** That port, if it is free; else any that is. */
function freePort(wanted: number): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', (error) => {
      if (wanted === 0) fail(error);
      else freePort(0).then(done, fail);
    });
    probe.listen(wanted, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
