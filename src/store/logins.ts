import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Plane } from './migrate.js';
import { inTransaction } from './pool.js';

/**
 * The lesser logins. The owner's login migrates and administers; everything else goes through one of these,
 * so that what a job or a worker must not do, its role cannot do.
 *
 * - `planner` reads the tables that jobs work on and can write nothing: a job plans through it.
 * - `worker` runs jobs: it writes the journal and the job's declared tables, and reads flags and policies. Of
 *   the rest of the control plane (tokens, approvals, the audit log) it sees nothing.
 *
 * Beside them stands the guard's role, as which nobody logs in and which nobody takes on: it owns the function that a
 * policy's invariants run through (region/015-invariants-confined.sql). It reads what the planner reads, and the plan
 * that is judged.
 */
export type Login = 'planner' | 'worker';

const LOGINS: readonly Login[] = ['planner', 'worker'];

/**
 * Creates the lesser roles where they are missing and grants each what it needs, no more. Role names carry
 * the database's name, so that two installations on one server do not share a role; passwords are random and
 * stand in a table that only the owner can read, which gives nothing away: the owner may set them anyhow.
 */
export async function provisionLogins(
  owner: pg.Pool,
  planes: readonly Plane[] = ['control', 'region'],
): Promise<void> {
  await inTransaction(owner, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [LOGIN_LOCK]);
    await client.query(`
      create table if not exists portcullis_store.login (
        login    text primary key,
        role     text not null,
        password text not null
      );
      revoke all on portcullis_store.login from public`);
    const { rows } = await client.query<{ login: string; role: string; exists: boolean }>(`
      select login, role, exists (select from pg_roles where rolname = role) as exists
      from portcullis_store.login`);
    const known = new Map(rows.map((row) => [row.login, row]));
    const database =
      (await client.query<{ name: string }>('select current_database() as name')).rows[0]?.name ?? '';
    for (const login of LOGINS) {
      const role = known.get(login)?.role ?? `${database}_${login}`;
      if (known.get(login)?.exists !== true) await createRole(client, login, role);
      const named = { role: pg.escapeIdentifier(role), database: pg.escapeIdentifier(database) };
      await client.query(grantsOf(login, named.role, named.database));
      if (login === 'worker' && planes.includes('control')) await client.query(controlGrants(named.role));
      if (login === 'worker') await provisionReader(client, role, `${database}_guard`);
    }
  });
}

const LOGIN_LOCK = 7_020_211;

async function createRole(client: pg.PoolClient, login: Login, role: string): Promise<void> {
  const password = randomBytes(24).toString('hex');
  const exists = await client.query('select from pg_roles where rolname = $1', [role]);
  const verb = exists.rowCount === 0 ? 'create' : 'alter';
  await client.query(
    `${verb} role ${pg.escapeIdentifier(role)} login nosuperuser nocreatedb nocreaterole password '${password}'`,
  );
  if (login === 'planner') {
    await client.query(`alter role ${pg.escapeIdentifier(role)} set default_transaction_read_only = on`);
  }
  await client.query(
    `insert into portcullis_store.login (login, role, password) values ($1, $2, $3)
     on conflict (login) do update set role = excluded.role, password = excluded.password`,
    [login, role, password],
  );
}

/**
 * The role that invariants run as, and the function that it owns; the worker may only call it. An owner who is no
 * superuser must be a member of the role to give it the function.
 */
async function provisionReader(client: pg.PoolClient, worker: string, preset: string): Promise<void> {
  const { rows } = await client.query<{ role: string }>('select role from portcullis_guard.reader');
  const name = rows[0]?.role ?? preset;
  const role = pg.escapeIdentifier(name);
  const exists = await client.query('select from pg_roles where rolname = $1', [name]);
  if (exists.rowCount === 0) await client.query(`create role ${role} nologin nosuperuser`);
  await client.query('insert into portcullis_guard.reader (role) values ($1) on conflict do nothing', [name]);
  await client.query(`
    grant usage on schema directory, portcullis_guard to ${role};
    grant select on all tables in schema directory to ${role};
    grant select on portcullis_guard.proposed, portcullis_guard.this_run, portcullis_guard.reader to ${role};
    grant ${role} to current_user;
    grant create on schema portcullis_guard to ${role};
    alter function portcullis_guard.ask owner to ${role};
    revoke create on schema portcullis_guard from ${role};
    grant usage on schema portcullis_guard to ${pg.escapeIdentifier(worker)};
    grant execute on function portcullis_guard.ask to ${pg.escapeIdentifier(worker)};
    revoke select on portcullis_guard.reader from ${pg.escapeIdentifier(worker)}`);
  // Earlier versions had the worker take the role on.
  const member = await client.query(
    `select from pg_auth_members where roleid = (select oid from pg_roles where rolname = $1)
       and member = (select oid from pg_roles where rolname = $2)`,
    [name, worker],
  );
  if (member.rowCount !== 0) await client.query(`revoke ${role} from ${pg.escapeIdentifier(worker)}`);
}

/**
 * Grants are repeated at every start: a migration may have added tables. `role` and `database` are quoted. The
 * owner becomes a member of the worker's role, since a kill must be able to end the workers' connections.
 */
function grantsOf(login: Login, role: string, database: string): string {
  const reading = `
    grant connect on database ${database} to ${role};
    grant usage on schema directory to ${role};
    grant select on all tables in schema directory to ${role};`;
  if (login === 'planner') {
    return `${reading}
      revoke temporary on database ${database} from public;`;
  }
  return `${reading}
    grant usage on schema portcullis_region to ${role};
    grant ${role} to current_user;
    grant select, insert, update on portcullis_region.gate, portcullis_region.run, portcullis_region.lane to ${role};
    grant select on portcullis_region.quarantine, portcullis_region.baseline to ${role};
    grant select, insert, update on portcullis_region.version_epoch to ${role};
    grant select on portcullis_region.confirmed_database to ${role};
    grant select, insert, update on portcullis_region.verdict, portcullis_region.rate to ${role};
    grant select, insert on portcullis_region.trip to ${role};
    grant select, insert, update on portcullis_region.plan to ${role};
    grant select, insert on portcullis_region.change, portcullis_region.batch, portcullis_region.conflict to ${role};
    grant update (found, refusal) on portcullis_region.conflict to ${role};
    grant insert, update, delete on all tables in schema directory to ${role};`;
}

function controlGrants(role: string): string {
  return `
    grant usage on schema portcullis_control to ${role};
    revoke all on all tables in schema portcullis_control from ${role};
    grant select on portcullis_control.policy, portcullis_control.flag, portcullis_control.flag_change to ${role};`;
}

/** The owner's URL with a lesser login in its place. */
export async function loginUrl(owner: pg.Pool, ownerUrl: string, login: Login): Promise<string> {
  const { rows } = await owner.query<{ role: string; password: string }>(
    'select role, password from portcullis_store.login where login = $1',
    [login],
  );
  const found = rows[0];
  if (!found) throw new Error(`login ${login} is not provisioned`);
  const url = new URL(ownerUrl);
  url.username = encodeURIComponent(found.role);
  url.password = found.password;
  return url.toString();
}
