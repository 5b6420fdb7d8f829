import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { runProgram } from './program.js';
import { freePort } from './prometheus.js';
import { until } from './until.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = join(ROOT, 'test/real/unleash');
const ADMIN = '*:*.unleash-test-admin';
/** What its API calls them. */
const PROJECT = '/api/admin/projects/default';
const ENVIRONMENT = 'development';
const START_MS = 180_000;

/** A variant of a strategy: what a flag gives to a version, in thousandths. */
export interface Share {
  readonly name: string;
  readonly weight: number;
}

/**
 * A real Unleash server of this test file's own, on a database of its own. It is installed apart from the main
 * lockfile, once for each version of its own: it wants a newer Node.js than we do, and runs on ours.
 */
export class RealUnleash {
  #child: ChildProcess | undefined;
  #said = '';

  private constructor(
    private readonly folder: string,
    private readonly database: string,
    private readonly port: number,
  ) {}

  /** To be called in `beforeAll`, with minutes to spare: the installation takes one, and ten on a busy machine; once. */
  static async open(): Promise<RealUnleash> {
    const folder = await install();
    const server = process.env['PORTCULLIS_TEST_SERVER'];
    if (server === undefined)
      throw new Error('no test server: run through jest, in a project with a database');
    const at = new URL(server);
    const name = `unleash_${randomBytes(6).toString('hex')}`;
    await administer(server, `create database ${name}`);
    at.pathname = `/${name}`;
    const unleash = new RealUnleash(folder, at.toString(), await freePort());
    await unleash.start();
    return unleash;
  }

  /** To be called when the file's tests are over. */
  async close(): Promise<void> {
    await this.stop();
    const { pathname } = new URL(this.database);
    const server = process.env['PORTCULLIS_TEST_SERVER'] ?? '';
    await administer(server, `drop database if exists ${pathname.slice(1)} with (force)`);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/api`;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, ['node_modules/unleash-server/dist/server.js'], {
      cwd: this.folder,
      env: {
        ...{ PATH: process.env['PATH'], TZ: 'UTC', NODE_ENV: 'production', LOG_LEVEL: 'warn' },
        ...{ HTTP_HOST: '127.0.0.1', HTTP_PORT: String(this.port), INIT_ADMIN_API_TOKENS: ADMIN },
        ...{ DATABASE_URL: this.database, DATABASE_SSL: 'false' },
        ...{ CHECK_VERSION: 'false', SEND_TELEMETRY: 'false', SCARF_ANALYTICS: 'false' },
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const hear = (text: Buffer): void => void (this.#said = (this.#said + String(text)).slice(-4_000));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    await until(
      'the Unleash server answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`unleash-server ended: ${this.#said}`);
        const health = await fetch(`http://127.0.0.1:${this.port}/health`).catch(() => undefined);
        return health?.ok === true;
      },
      START_MS,
    );
  }

  /** Kills it at once, as a crash would. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Makes a token for SDKs of a backend. */
  async issueToken(): Promise<string> {
    const body = { tokenName: 'portcullis', type: 'backend', environment: ENVIRONMENT, projects: ['*'] };
    const { secret } = (await this.#call('POST', '/api/admin/api-tokens', body)) as { secret: string };
    return secret;
  }

  async revokeToken(secret: string): Promise<void> {
    await this.#call('DELETE', `/api/admin/api-tokens/${encodeURIComponent(secret)}`);
  }

  /** Makes a flag that is on, with one strategy for everyone and its variants. */
  async create(name: string, variants: readonly Share[]): Promise<void> {
    await this.#call('POST', `${PROJECT}/features`, { name, type: 'operational' });
    await this.addStrategy(name, variants);
    await this.turn(name, 'on');
  }

  /** Adds a strategy for everyone. Throws where the server refuses it. */
  async addStrategy(name: string, variants: readonly Share[]): Promise<void> {
    await this.#call('POST', `${PROJECT}/features/${name}/environments/${ENVIRONMENT}/strategies`, {
      name: 'flexibleRollout',
      constraints: [],
      parameters: { rollout: '100', stickiness: 'default', groupId: name },
      // At least one takes what the others leave.
      variants: variants.map((each, at) => ({
        ...each,
        weightType: at === variants.length - 1 ? 'variable' : 'fix',
        stickiness: 'default',
      })),
    });
  }

  async turn(name: string, to: 'on' | 'off'): Promise<void> {
    await this.#call('POST', `${PROJECT}/features/${name}/environments/${ENVIRONMENT}/${to}`);
  }

  /** What its UI downloads of a flag, as the text of a file. */
  async exported(name: string): Promise<string> {
    const asked = { features: [name], environment: ENVIRONMENT, downloadFile: false };
    return JSON.stringify(await this.#call('POST', '/api/admin/features-batch/export', asked));
  }

  /** Imports such a file, as a person does in its UI: the server takes no token for that. */
  async imported(text: string): Promise<void> {
    const login = await fetch(`http://127.0.0.1:${this.port}/auth/simple/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'admin', password: 'unleash4all' }),
    });
    const cookie = login.headers.getSetCookie().map((each) => each.split(';')[0]);
    const data = JSON.parse(text) as unknown;
    const body = { project: 'default', environment: ENVIRONMENT, data };
    await this.#call('POST', '/api/admin/features-batch/import', body, { cookie: cookie.join('; ') });
  }

  async #call(
    method: string,
    path: string,
    body?: unknown,
    who: Readonly<Record<string, string>> = { authorization: ADMIN },
  ): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { ...who, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answers ${response.status}: ${text}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  }
}

const INSTALL_MS = 600_000;

/** Where it is installed: made once for each lockfile, by whoever comes first, and kept among the modules. */
async function install(): Promise<string> {
  const lock = await readFile(join(PACKAGE, 'package-lock.json'));
  const digest = createHash('sha256').update(lock).digest('hex').slice(0, 12);
  const cache = join(ROOT, 'node_modules/.cache');
  const folder = join(cache, `unleash-server-${digest}`);
  if (
    await access(folder).then(
      () => true,
      () => false,
    )
  )
    return folder;
  const own = `${folder}.${process.pid}`;
  await mkdir(own, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) await cp(join(PACKAGE, file), join(own, file));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const installed = await Promise.race([
    runProgram('npm', ['ci', '--ignore-scripts', '--engine-strict=false', ...quiet], { cwd: own }),
    new Promise<never>((_, reject) => {
      const late = new Error(`npm ci in ${PACKAGE} took over ${INSTALL_MS / 60_000} minutes`);
      setTimeout(() => reject(late), INSTALL_MS).unref();
    }),
  ]);
  if (installed.exit !== 0) throw new Error(`npm ci in ${PACKAGE}: ${installed.stderr}`);
  // Another process may have been faster; its folder is as good.
  await rename(own, folder).catch(() => rm(own, { recursive: true, force: true }));
  return folder;
}

async function administer(server: string, sql: string): Promise<void> {
  const at = new URL(server);
  at.pathname = '/postgres';
  const client = new pg.Client({ connectionString: at.toString() });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
