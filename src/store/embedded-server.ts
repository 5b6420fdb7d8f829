import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { PortcullisError, messageOf } from '../base/errors.js';
import { dataFolder, embeddedBinaries, serverUser, type ServerUser } from './embedded-binaries.js';

export interface EmbeddedServer {
  /** The owner's URL of the database `portcullis`. */
  readonly url: string;
  /** Whether a server that was already running was adopted. */
  readonly adopted: boolean;
  /** Stops the server, unless another Portcullis process is still connected to it. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Portcullis' own folder; the cluster goes into `postgres/` below it where the server's user may enter. */
  readonly folder: string;
  /** Extra `name=value` settings: the tests trade durability for speed. */
  readonly settings?: readonly string[];
}

const DATABASE = 'portcullis';
const START_TIMEOUT_S = 60;

/**
 * Starts the PostgreSQL that npm installed, or adopts it where it already runs (after a `kill -9` of the
 * process that started it, or beside another process). The first start makes the cluster: about a second.
 * It listens on loopback only, with a password.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const folder = resolve(options.folder);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const user = serverUser();
  const native = embeddedBinaries(user, folder);
  const data = dataFolder(join(folder, 'postgres'), user);
  const cluster = new Cluster(native, data, user, join(folder, 'postgres-password'));
  if (!existsSync(join(data, 'PG_VERSION'))) await cluster.initialise();
  const adopted = await cluster.isRunning();
  if (!adopted) await cluster.start(options.settings ?? []);
  const url = cluster.url(DATABASE);
  await createDatabase(cluster.url('postgres'));
  return { url, adopted, stop: () => cluster.stopUnlessUsed(url) };
}

class Cluster {
  constructor(
    private readonly native: string,
    private readonly data: string,
    private readonly user: ServerUser | undefined,
    private readonly passwordFile: string,
  ) {}

  async initialise(): Promise<void> {
    if (!existsSync(this.passwordFile)) {
      writeFileSync(this.passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
    }
    // A cluster whose making was cut short has no PG_VERSION; initdb wants an empty folder.
    rmSync(this.data, { recursive: true, force: true });
    mkdirSync(this.data, { recursive: true, mode: 0o700 });
    if (this.user) chownSync(this.data, this.user.uid, this.user.gid);
    // The server's user may not be able to read our password file, so initdb gets a copy for the moment.
    const password = `${this.data}.password`;
    writeFileSync(password, this.password(), { mode: 0o600 });
    if (this.user) chownSync(password, this.user.uid, this.user.gid);
    try {
      await this.run('initdb', [
        ...['-D', this.data, '-U', 'portcullis', '-E', 'UTF8', '--locale=C', '--auth=scram-sha-256'],
        `--pwfile=${password}`,
      ]);
    } finally {
      rmSync(password, { force: true });
    }
  }

  async isRunning(): Promise<boolean> {
    if (!existsSync(this.pidFile())) return false;
    return this.run('pg_ctl', ['status', '-D', this.data]).then(
      () => true,
      () => false,
    );
  }

  async start(settings: readonly string[]): Promise<void> {
    const port = await freePort();
    const flags = [
      `-p ${port}`,
      "-c listen_addresses='127.0.0.1'",
      "-c unix_socket_directories=''",
      ...settings.map((setting) => `-c ${setting}`),
    ].join(' ');
    const log = join(this.data, 'server.log');
    try {
      await this.run('pg_ctl', [
        'start',
        '-w',
        '-t',
        String(START_TIMEOUT_S),
        '-D',
        this.data,
        '-l',
        log,
        '-o',
        flags,
      ]);
    } catch (error) {
      // Another process may have started it in the same moment: then there is nothing to mend.
      if (await this.isRunning()) return;
      throw error;
    }
  }

  async stopUnlessUsed(url: string): Promise<void> {
    if (await othersConnected(url)) return;
    if (await this.isRunning()) await this.run('pg_ctl', ['stop', '-m', 'fast', '-w', '-D', this.data]);
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

  private async run(program: 'initdb' | 'pg_ctl', args: readonly string[]): Promise<void> {
    // Output goes to a file: the server inherits it and would hold a pipe open for as long as it lives.
    const outputFile = join(this.data, '..', `.${program}-${process.pid}.out`);
    const output = openSync(outputFile, 'w');
    const child = spawn(join(this.native, 'bin', program), args, {
      ...this.user,
      cwd: this.data,
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', output, output],
    });
    try {
      const code = await new Promise<number | null>((done, fail) =>
        child.once('error', fail).once('exit', done),
      );
      if (code !== 0) {
        throw new PortcullisError(
          'EMBEDDED_POSTGRES_FAILED',
          `${program} in ${this.data}: ${readFileSync(outputFile, 'utf8').trim() || `exit code ${code ?? 'none'}`}`,
          {
            mend: `read ${join(this.data, 'server.log')}, or set PORTCULLIS_DATABASE_URL to use a server of your own`,
          },
        );
      }
    } finally {
      closeSync(output);
      rmSync(outputFile, { force: true });
    }
  }
}

async function createDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } catch (error) {
    // Two processes may create it in the same moment; one finds it made.
    if ((error as { code?: unknown }).code === '42P04' || (error as { code?: unknown }).code === '23505')
      return;
    throw new PortcullisError('EMBEDDED_POSTGRES_FAILED', messageOf(error), { cause: error });
  } finally {
    await client.end();
  }
}

async function othersConnected(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const { rowCount } = await client.query(
      `select from pg_stat_activity where application_name like 'portcullis %' and pid <> pg_backend_pid() limit 1`,
    );
    return rowCount !== 0;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
