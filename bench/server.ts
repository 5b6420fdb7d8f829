import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbedded, type EmbeddedServer } from '#dist/postgres/embedded-server.js';
import { loginUrl, provisionLogins } from '#dist/postgres/logins.js';
import { migrate } from '#dist/postgres/migrate.js';
import { openPool } from '#dist/postgres/pool.js';
import { domainClaim } from '#dist/jobs/domain-claim/job.js';
import { schemaOf } from '#dist/worker/registry.js';
import { atEnd } from './endings.js';

/** A migrated database of its own, with the logins that a worker and a planner have. */
export interface BenchDatabase {
  readonly owner: pg.Pool;
  readonly ownerUrl: string;
  readonly workerUrl: string;
  readonly plannerUrl: string;
  /** Writes everything out that waits to be written, so that nothing of the past slows what comes next. */
  settle(): Promise<void>;
  drop(): Promise<void>;
}

export interface BenchServer {
  /** A migrated database, filled by `fill` once, to be copied for each run. Answers its name. */
  template(name: string, fill: (owner: pg.Pool) => Promise<void>): Promise<string>;
  /** A fresh copy of a template. */
  copyOf(template: string): Promise<BenchDatabase>;
}

/**
 * Sized for the machine, as a company's server is: the default cache of 128 MB is smaller than the directory
 * of a million accounts, and the default log has a checkpoint in the middle of some runs and not of others.
 */
const SETTINGS = ['shared_buffers=1GB', 'max_wal_size=8GB'];

/**
 * A PostgreSQL of the bench's own in a folder of its own, the same for both sides. Nothing is traded away for
 * speed: every commit is on disk before it is answered. Gone when the process ends.
 */
export async function startServer(): Promise<BenchServer> {
  const folder = temporaryFolder();
  const starting = startEmbedded({ folder, settings: SETTINGS });
  // Also where the end comes while it starts.
  atEnd(async () => {
    const started = await starting.catch(() => undefined);
    if (started) await remove(started);
  });
  const server = await starting;
  const admin = openPool(at(server.url, 'postgres'), { name: 'bench' });
  let copies = 0;
  return {
    async template(name, fill) {
      await admin.query(`create database ${name}`);
      const owner = openPool(at(server.url, name), { name: 'bench' });
      try {
        const tables = schemaOf(domainClaim);
        await migrate(owner, ['control', 'region', ...(tables ? [tables] : [])]);
        await provisionLogins(owner);
        await fill(owner);
        await owner.query('vacuum (freeze, analyze)');
      } finally {
        await owner.end();
      }
      return name;
    },
    async copyOf(template) {
      copies += 1;
      const name = `run_${copies}`;
      await admin.query(`create database ${name} template ${template} strategy file_copy`);
      const ownerUrl = at(server.url, name);
      const owner = openPool(ownerUrl, { name: 'bench' });
      // A copy is a database of its own: it gets roles of its own.
      await provisionLogins(owner);
      return {
        owner,
        ownerUrl,
        workerUrl: await loginUrl(owner, ownerUrl, 'worker'),
        plannerUrl: await loginUrl(owner, ownerUrl, 'planner'),
        settle: async () => {
          await owner.query('checkpoint');
        },
        drop: async () => {
          await owner.end();
          await admin.query(`drop database ${name} with (force)`);
        },
      };
    },
  };
}

/** Stops a server, whoever is still connected to it, and removes its data, wherever they are. */
async function remove(server: EmbeddedServer): Promise<void> {
  const client = new pg.Client({ connectionString: at(server.url, 'postgres') });
  await client.connect();
  const { rows } = await client.query<{ data_directory: string }>('show data_directory');
  // Nobody comes back while the server stops.
  await client.query(`update pg_database set datallowconn = false where datname <> 'postgres'`);
  await client.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
     where pid <> pg_backend_pid() and backend_type = 'client backend'`,
  );
  await client.end();
  await server.stop();
  for (const { data_directory } of rows) rmSync(data_directory, { recursive: true, force: true });
}

/** A folder that the server's user may enter too, removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  chmodSync(folder, 0o755);
  // A server that is just ending may still write to it.
  atEnd(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

function at(url: string, database: string): string {
  const moved = new URL(url);
  moved.pathname = `/${database}`;
  return moved.toString();
}
