import pg from 'pg';
import { provisionLogins, rolesGiven, userOf, type GivenLogins } from './logins.js';
import { migrate, migrationScript, readSchema, toMigrate, type SchemaKind } from './migrate.js';
import { isDone, planRoles, type RolePlan } from './role-plan.js';

/** A database that Portcullis is set up in. */
export interface SetUpDatabase {
  readonly owner: pg.Pool;
  readonly schemas: readonly SchemaKind[];
  /** Logins that a DBA made. */
  readonly given: GivenLogins;
}

/** What is to be done, or was. */
export interface SetUpReport {
  readonly migrations: readonly string[];
  /** Roles that were made, or are to be. */
  readonly roles: readonly string[];
  /** Whether rights, limits or passwords of our roles are to be set, or were. */
  readonly rights: boolean;
}

export function nothingToDo({ migrations, roles, rights }: SetUpReport): boolean {
  return migrations.length === 0 && roles.length === 0 && !rights;
}

/** Reads what is to be done. Writes nothing and waits for no lock. Throws what `migrate` throws. */
export async function readSetUp({ owner, schemas, given }: SetUpDatabase): Promise<SetUpReport> {
  const missing = toMigrate(await readSchema(owner, schemas)).map(({ name }) => name);
  const plan = await planRoles(owner, schemas, await rolesGiven(given));
  return { migrations: missing, roles: rolesToMake(plan), rights: missing.length > 0 || !isDone(plan) };
}

/** Does what is to be done, and answers what that was. Where there is nothing, nothing is written and no lock taken. */
export async function setUp(database: SetUpDatabase): Promise<SetUpReport> {
  const { owner, schemas, given } = database;
  const { roles } = await readSetUp(database);
  const migrations = await migrate(owner, schemas);
  const rights = await provisionLogins(owner, schemas, given);
  return { migrations, roles: rights ? roles : [], rights };
}

function rolesToMake({ roles }: RolePlan): string[] {
  return roles.filter(({ standing }) => standing === 'missing').map(({ role }) => role);
}

/**
 * The SQL that does what is to be done, for a DBA to run: the schema and its rights as the owner's login, the roles
 * as whoever runs it. It has no passwords. Undefined where nothing is to be done.
 */
export async function setUpSql({ owner, schemas, given }: SetUpDatabase): Promise<string | undefined> {
  const missing = toMigrate(await readSchema(owner, schemas));
  const names = Object.fromEntries(Object.entries(given).map(([login, url]) => [login, userOf(url)]));
  const plan = await planRoles(owner, schemas, names, {
    asDba: true,
    pending: missing.flatMap(({ name, of, takesUp }) =>
      takesUp ? takesUp.ran.map((file) => `job/${of?.job ?? ''}/${file.name}`) : [name],
    ),
    pendingSchemas: missing.flatMap(({ of }) => of?.schemas ?? []),
  });
  const ours = [...plan.recording, ...plan.granting];
  if (missing.length + plan.creating.length + plan.joining.length + ours.length === 0) return undefined;
  const asOwner = `set local role ${pg.escapeIdentifier(plan.owner)};`;
  const lines = (statements: readonly string[]): string => statements.map((sql) => `${sql};\n`).join('');
  return `-- Portcullis in the database ${plan.database}: ${String(missing.length)} migrations, roles and rights.
-- Run it connected to that database, as a superuser, or as a role with CREATEROLE that is a member of
-- ${plan.owner}. All or nothing: a role that exists by then fails it, and nothing is changed.
begin;

${missing.length > 0 ? `${asOwner}\n${migrationScript(missing)}\nreset role;\n` : ''}
-- Roles. No other role is altered.
${lines(plan.creating)}${lines(plan.joining)}
${asOwner}
${lines(ours)}
commit;
${passwordNotes(plan)}`;
}

function passwordNotes({ passwordless, roles }: RolePlan): string {
  if (passwordless.length === 0) return '';
  const nameOf = (login: string): string => roles.find(({ kind }) => kind === login)?.role ?? '';
  return `
-- The logins have no password yet. In psql, \\password asks for one and sends only a SCRAM verifier:
${passwordless.map((login) => `--   \\password ${nameOf(login)}`).join('\n')}
-- Then give Portcullis the logins (for a region's own database, with its suffix: PORTCULLIS_WORKER_URL_EU_CENTRAL):
${passwordless.map((login) => `--   PORTCULLIS_${login.toUpperCase()}_URL=postgresql://${encodeURIComponent(nameOf(login))}:PASSWORD@HOST:5432/DATABASE`).join('\n')}
`;
}
