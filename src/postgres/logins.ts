import pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { underMigrationLock, type SchemaKind, type Schema } from './migrate.js';
import { connectAlone, isUnreachable, withoutPassword } from './pool.js';
import { isDone, planRoles, readFacts, readRecorded, type Login, type RolePlan } from './role-plan.js';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/**
 * The lesser logins. The owner's login migrates and administers; everything else goes through one of these,
 * so that what a job or a worker must not do, its role cannot do.
 *
 * - `planner` reads the tables that jobs work on and can write nothing: a job plans through it.
 * - `worker` runs jobs: it writes the journal and the job's declared tables, and reads flags and policies. Of
 *   the rest of the control plane (tokens, approvals, the audit log) it sees nothing.
 *
 * Beside them stands a role that nobody logs in as, the guard's: it owns the function that a policy's invariants run
 * through (region/015-invariants-confined.sql). It reads what the planner reads, and the plan that is judged.
 */
export type { Login } from './role-plan.js';

/** A database, its schema and its logins. */
export interface DatabaseSetup {
  /** `control`, or the variable that holds its address. */
  readonly name: string;
  readonly owner: pg.Pool;
  readonly schemas: readonly SchemaKind[];
  /** Logins that a DBA made. */
  readonly given: GivenLogins;
  /** As it was found when the database was opened; absent where it could not be. */
  readonly schema: Schema | undefined;
  /** The URL of a lesser login: never shown, never logged. */
  loginUrl(login: Login): Promise<string>;
}

/** URLs of logins that a DBA has made. For these no role is created, altered or marked. */
export type GivenLogins = Partial<Readonly<Record<Login, string>>>;

/** How long to wait for the migrations' lock. */
const LOCK_MS = 15_000;

/**
 * Creates the lesser roles where they are missing and grants each what it needs, no more. A role that bears no
 * mark of this database is never touched: where one has the name that ours would have, ours gets another. Answers
 * whether anything was done; where nothing was, nothing was written and no lock was asked for. Throws ROLES_MISSING
 * where the owner's login may not create roles, and MIGRATION_LOCKED.
 */
export async function provisionLogins(
  owner: pg.Pool,
  schemas: readonly SchemaKind[] = ['control', 'region'],
  given: GivenLogins = {},
): Promise<boolean> {
  const names = await rolesGiven(given);
  if (isDone(await planRoles(owner, schemas, names))) return false;
  return underMigrationLock(owner, LOCK_MS, async (client) => {
    const plan = await planRoles(client, schemas, names);
    requireCreatable(plan);
    for (const sql of [...plan.creating, ...plan.recording]) await client.query(sql);
    for (const login of plan.passwordless) await setPassword(client, login);
    for (const sql of [...plan.joining, ...plan.granting]) await client.query(sql);
    return true;
  });
}

function requireCreatable({ mayCreate, roles, owner, database, creating, passwordless }: RolePlan): void {
  const missing = roles.filter(({ standing }) => standing === 'missing').map(({ role }) => role);
  const fixed = roles.filter(
    ({ kind, standing, mayAlter }) =>
      standing !== 'missing' && !mayAlter && kind !== 'guard' && passwordless.includes(kind),
  );
  if (creating.length + passwordless.length === 0 || (mayCreate && fixed.length === 0)) return;
  const what =
    missing.length > 0
      ? `may not create roles, and ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`
      : `may not set the password of ${fixed.map(({ role }) => role).join(' and ')}`;
  throw new PortcullisError('ROLES_MISSING', `${database}: the login ${owner} ${what}`, {
    hint: 'give a DBA the SQL of portcullis migrate --sql, and set PORTCULLIS_WORKER_URL and PORTCULLIS_PLANNER_URL; or grant the login CREATEROLE',
    details: { database, login: owner, missing },
  });
}

/**
 * Gives a login of ours a new password. The database makes it and keeps it where the owner alone can read it; what
 * is sent is a verifier, so that the password stands in no statement and no log.
 */
async function setPassword(client: pg.PoolClient, login: Login): Promise<void> {
  const { rows } = await client.query<{ role: string; password: string }>(
    `update portcullis_store.login set password = replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
     where login = $1 returning role, password`,
    [login],
  );
  for (const { role, password } of rows) {
    await client.query(`alter role ${pg.escapeIdentifier(role)} password '${scramVerifier(password)}'`);
  }
}

/** The roles that given URLs log in as. Behind a pooler, the user in the URL may be named otherwise: they are asked. */
export async function rolesGiven(given: GivenLogins): Promise<Partial<Record<Login, string>>> {
  const named: Partial<Record<Login, string>> = {};
  for (const login of ['worker', 'planner'] as const) {
    const url = given[login];
    if (url !== undefined) named[login] = await roleOf(login, url);
  }
  return named;
}

/** The user that a URL names. */
export function userOf(url: string): string {
  return decodeURIComponent(new URL(url).username);
}

const CONNECT_MS = 5_000;

async function roleOf(login: Login, url: string): Promise<string> {
  try {
    const client = await connectAlone({
      connectionString: url,
      application_name: `portcullis ${login}`,
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: CONNECT_MS,
    });
    try {
      const { rows } = await client.query<{ role: string }>('select current_user as role');
      return rows[0]?.role ?? '';
    } finally {
      await client.end().catch(() => undefined);
    }
  } catch (error) {
    throw new PortcullisError(
      isUnreachable(error) ? 'DATABASE_UNREACHABLE' : 'DATABASE_REFUSED',
      `the ${login}'s login ${withoutPassword(url)}: ${messageOf(error)}`,
      {
        hint: `check PORTCULLIS_${login.toUpperCase()}_URL: user, password, host and database`,
        cause: error,
      },
    );
  }
}

/**
 * The URL of a lesser login: the one that was given, or the owner's with ours in its place. Throws DATABASE_OUTDATED
 * where there is none yet.
 */
export async function loginUrl(
  owner: pg.Pool,
  ownerUrl: string,
  login: Login,
  given: GivenLogins = {},
): Promise<string> {
  const own = given[login];
  if (own !== undefined) return own;
  const facts = await readFacts(owner);
  const found = (await readRecorded(owner, facts)).get(login);
  const { rows } =
    found?.standing === 'ours'
      ? await owner.query<{ role: string; password: string | null }>(
          'select role, password from portcullis_store.login where login = $1',
          [login],
        )
      : { rows: [] };
  const password = rows[0]?.password ?? undefined;
  if (found === undefined || password === undefined) {
    throw new PortcullisError(
      'DATABASE_OUTDATED',
      `${facts.database}: Portcullis' ${login} login is not set up`,
      {
        hint: `run portcullis migrate; or set PORTCULLIS_${login.toUpperCase()}_URL to a login that a DBA made`,
      },
    );
  }
  const url = new URL(ownerUrl);
  url.username = encodeURIComponent(found.role);
  url.password = password;
  return url.toString();
}

/** PostgreSQL's own default (`scram_iterations`). */
const ITERATIONS = 4_096;

/**
 * What PostgreSQL stores for a password under SCRAM-SHA-256 (RFC 5803). It proves a login, and nobody can log in
 * with it: it may stand in a server's log, where the password may not. The password must be plain ASCII.
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
