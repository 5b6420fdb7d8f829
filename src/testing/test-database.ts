import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { LOCKS } from '../postgres/locks.js';
import { provisionLogins } from '../postgres/logins.js';
import { migrate, readMigrations, type JobSchema, type SchemaKind } from '../postgres/migrate.js';
import { openPool } from '../postgres/pool.js';
import type { ServerSession } from './server.js';

const SCHEMAS: readonly SchemaKind[] = ['control', 'region'];
const NAME = 'portcullis_test';
/** Templates are kept for so long, as the next run of the same tests wants them. */
const KEPT = '7 days';
const IN_USE = '55006';

export interface TestDatabase {
  readonly url: string;
  readonly owner: pg.Pool;
}

/** What a test's database has besides Portcullis' own. */
export interface TestContent {
  /** The tables that the job brings. */
  readonly brought: readonly JobSchema[];
  /** Further tables, and rows. */
  readonly sql: readonly string[];
  readonly grants: string;
}

/**
 * Runs `work` on a migrated database with these tables and rows, and drops it. It is the copy of a template that the
 * first test with this SQL makes; `grants` is run on the copy, whose roles are its own.
 */
export async function withTestDatabase<T>(
  session: ServerSession,
  { sql, brought, grants }: TestContent,
  work: (database: TestDatabase) => Promise<T>,
): Promise<T> {
  const { admin } = session;
  const template = await templateOf(session, [...SCHEMAS, ...brought], sql);
  const name = `${template}_${randomBytes(4).toString('hex')}`;
  await whenFree(() => admin.query(`create database ${name} template ${template}`));
  const url = session.urlOf(name);
  const owner = openPool(url, { name: 'test owner' });
  try {
    // As for the embedded database: the planner has no tables of any kind.
    await owner.query(`revoke temporary on database ${name} from public`);
    await provisionLogins(owner);
    await owner.query(grants);
    return await work({ url, owner });
  } finally {
    await owner.end();
    await dropDatabase(admin, name);
  }
}

async function templateOf(
  session: ServerSession,
  schemas: readonly SchemaKind[],
  sql: readonly string[],
): Promise<string> {
  const migrations = (await Promise.all(schemas.map(readMigrations))).flat();
  const content = JSON.stringify([
    sql,
    migrations.map(({ name, sha256, of }) => [name, sha256, of?.schemas]),
  ]);
  const name = `${NAME}_${createHash('sha256').update(content).digest('hex').slice(0, 12)}`;
  const { admin } = session;
  if (await exists(admin, name)) return name;
  await admin.query('select pg_advisory_lock($1)', [LOCKS.testTemplate]);
  try {
    if (!(await exists(admin, name))) await makeTemplate(session, name, schemas, sql);
  } finally {
    await admin.query('select pg_advisory_unlock($1)', [LOCKS.testTemplate]);
  }
  return name;
}

async function makeTemplate(
  { admin, urlOf }: ServerSession,
  name: string,
  schemas: readonly SchemaKind[],
  sql: readonly string[],
): Promise<void> {
  const making = `${name}_making`;
  await dropDatabase(admin, making);
  await admin.query(`create database ${making}`);
  const owner = openPool(urlOf(making), { name: 'test template', max: 1 });
  try {
    await migrate(owner, schemas);
    for (const each of sql) await owner.query(each);
  } catch (error) {
    await owner.end();
    await dropDatabase(admin, making);
    throw error;
  }
  await owner.end();
  const { rows } = await admin.query<{ now: string }>(`select now()::text as now`);
  await admin.query(`comment on database ${making} is ${pg.escapeLiteral(rows[0]?.now ?? '')}`);
  // A connection that was closed a moment ago may still be there.
  await whenFree(() => admin.query(`alter database ${making} rename to ${name}`));
}

async function exists(admin: pg.Client, database: string): Promise<boolean> {
  return (await admin.query('select from pg_database where datname = $1', [database])).rowCount !== 0;
}

/** Drops a database, and the roles that Portcullis made for it. */
async function dropDatabase(admin: pg.Client, database: string): Promise<void> {
  await admin.query(`drop database if exists ${database} with (force)`);
  const { rows } = await admin.query<{ name: string }>(
    `select rolname as name from pg_roles where rolname = any($1)`,
    [['worker', 'planner', 'guard'].map((kind) => `${database}_${kind}`)],
  );
  for (const { name } of rows) await admin.query(`drop role if exists ${name}`);
}

/** Drops what tests left behind that ended without dropping it, and templates that nobody has made lately. */
export async function dropLeftovers(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    `select datname as name from pg_database
     where datname ~ $1 and (datname !~ $2 or shobj_description(oid, 'pg_database')::timestamptz < now() - $3::interval)`,
    [`^${NAME}_[0-9a-f]{12}`, `^${NAME}_[0-9a-f]{12}$`, KEPT],
  );
  for (const { name } of rows) await dropDatabase(admin, name);
}

/** While one test copies a template, another waits for its turn. */
async function whenFree(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== IN_USE || attempt === 200) throw error;
      await new Promise((resume) => setTimeout(resume, Math.min(20 * attempt, 500)));
    }
  }
}
