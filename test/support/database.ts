import { randomBytes } from 'node:crypto';
import { afterAll } from '@jest/globals';
import pg from 'pg';
import { loginUrl, provisionLogins } from '../../src/postgres/logins.js';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import type { SchemaKind } from '../../src/postgres/migrate.js';
import { openPool } from '../../src/postgres/pool.js';
import { schemaOf } from '../../src/worker/registry.js';

/** The tables that domain-claim brings. */
export const DIRECTORY = schemaOf(domainClaim) ?? 'region';

/** All that a database of tests has: both planes, and the tables of domain-claim. */
export const SCHEMAS: readonly SchemaKind[] = ['control', 'region', DIRECTORY];

export interface TestDatabase {
  /** The owner's URL and pool: may do everything. */
  readonly url: string;
  readonly owner: pg.Pool;
  /** The URLs of the lesser logins (src/postgres/logins.ts). */
  readonly workerUrl: string;
  readonly plannerUrl: string;
  /** A pool that is closed with the database. */
  pool(url: string, name?: string): pg.Pool;
}

const TEMPLATE = 'portcullis';

/**
 * A migrated, empty database of this test file's own, dropped when the file's tests are over. Call it once,
 * at the file's top level: `const database = await testDatabase();`
 */
export async function testDatabase(): Promise<TestDatabase> {
  const server = process.env['PORTCULLIS_TEST_SERVER'];
  if (server === undefined) throw new Error('no test server: run through jest, in a project with a database');
  const name = `t_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name} template ${TEMPLATE}`);
  const at = new URL(server);
  at.pathname = `/${name}`;
  const url = at.toString();
  const pools: pg.Pool[] = [];
  const pool = (poolUrl: string, poolName = 'test'): pg.Pool => {
    const opened = openPool(poolUrl, { name: poolName });
    pools.push(opened);
    return opened;
  };
  const owner = pool(url, 'test owner');
  // A copy is a database of its own: it gets roles of its own. As for the embedded database, nobody has TEMP by default.
  await owner.query(`revoke temporary on database ${name} from public`);
  await provisionLogins(owner);
  afterAll(async () => {
    await Promise.all(pools.map((each) => each.end()));
    await administer(server, `drop database if exists ${name} with (force)`);
    await administer(server, `drop role if exists ${name}_worker, ${name}_planner, ${name}_guard`);
  });
  return {
    url,
    owner,
    workerUrl: await loginUrl(owner, url, 'worker'),
    plannerUrl: await loginUrl(owner, url, 'planner'),
    pool,
  };
}

/** A database of somebody else's, without anything of ours, and how to run SQL on its server as a superuser. */
export interface GuestDatabase {
  readonly name: string;
  readonly url: string;
  readonly owner: pg.Pool;
  pool(url: string): pg.Pool;
}

/** An empty database, of a `locale` such as `template template0 …`; dropped with every role whose name begins with its own when the file's tests are over. */
export async function emptyDatabase(locale = ''): Promise<GuestDatabase> {
  const server = process.env['PORTCULLIS_TEST_SERVER'];
  if (server === undefined) throw new Error('no test server: run through jest, in a project with a database');
  const name = `e_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name} ${locale}`);
  const at = new URL(server);
  at.pathname = `/${name}`;
  const pools: pg.Pool[] = [];
  const pool = (url: string): pg.Pool => {
    const opened = openPool(url, { name: 'test' });
    pools.push(opened);
    return opened;
  };
  const owner = pool(at.toString());
  afterAll(async () => {
    const { rows } = await owner.query<{ name: string }>(
      'select rolname as name from pg_roles where starts_with(rolname, $1)',
      [name],
    );
    await Promise.all(pools.map((each) => each.end()));
    await administer(server, `drop database if exists ${name} with (force)`);
    for (const role of rows) await administer(server, `drop role if exists "${role.name}"`);
  });
  return { name, url: at.toString(), owner, pool };
}

async function administer(server: string, sql: string): Promise<void> {
  const at = new URL(server);
  at.pathname = '/postgres';
  const client = new pg.Client({ connectionString: at.toString() });
  await client.connect();
  try {
    // `create database … template` wants the template to itself; another file may be copying it.
    for (let attempt = 1; ; attempt += 1) {
      try {
        await client.query(sql);
        return;
      } catch (error) {
        if ((error as { code?: unknown }).code !== '55006' || attempt === 50) throw error;
        await new Promise((resume) => setTimeout(resume, 20 * attempt));
      }
    }
  } finally {
    await client.end();
  }
}
