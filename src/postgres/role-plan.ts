import { createHash, randomUUID } from 'node:crypto';
import pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { readInstalled, type SchemaKind } from './migrate.js';
import { grantsOf } from './role-grants.js';

/** The logins that are not the owner's: see logins.ts. */
export type Login = 'planner' | 'worker';

/** The guard's role cannot log in. */
export type RoleKind = Login | 'guard';

const KINDS: readonly RoleKind[] = ['planner', 'worker', 'guard'];

/** Of the connections that a server has for ordinary logins, the percentage that each of our logins may have. */
const LIMIT_PERCENT: Readonly<Record<Login, number>> = { worker: 60, planner: 20 };
const LEAST_LIMIT = 5;

/** A role that Portcullis uses in a database. */
export interface RoleStanding {
  readonly kind: RoleKind;
  readonly role: string;
  /** `given`: by URL. `adopted`: made by a version that set no marks. `missing`: to be made. */
  readonly standing: 'given' | 'ours' | 'adopted' | 'missing';
  /** Stands in the role's comment; empty for a given one. */
  readonly mark: string;
  /** The connections that it is to be limited to; null: none of our business. */
  readonly limit: number | null;
  readonly limitNow: number | null;
  readonly hasPassword: boolean;
  readonly mayAlter: boolean;
}

/** What a database has of roles, and the statements that bring about what it lacks. */
export interface RolePlan {
  readonly database: string;
  /** The owner's login, as which this was read. */
  readonly owner: string;
  readonly mayCreate: boolean;
  readonly roles: readonly RoleStanding[];
  /** For whoever may create roles. */
  readonly creating: readonly string[];
  /** Logins of ours that have no password yet. */
  readonly passwordless: readonly Login[];
  /** For the owner. */
  readonly recording: readonly string[];
  /** For whoever may administer the roles. */
  readonly joining: readonly string[];
  /** For the owner. */
  readonly granting: readonly string[];
}

export function isDone({ creating, passwordless, recording, joining, granting }: RolePlan): boolean {
  return [creating, passwordless, recording, joining, granting].every((each) => each.length === 0);
}

export interface PlanOptions {
  /** For somebody who may alter every role. */
  readonly asDba?: boolean;
  /** Migrations that will have run by then. */
  readonly pending?: readonly string[];
  /** The schemas of jobs that these will have made. */
  readonly pendingSchemas?: readonly string[];
}

/**
 * Reads what there is of roles, and works out what is to be done. Writes nothing and waits for no lock. `given` are
 * the names of roles that a DBA made.
 */
export async function planRoles(
  database: pg.Pool | pg.PoolClient,
  schemas: readonly SchemaKind[],
  given: Partial<Readonly<Record<Login, string>>>,
  { asDba = false, pending = [], pendingSchemas = [] }: PlanOptions = {},
): Promise<RolePlan> {
  const facts = await readFacts(database);
  const recorded = await readRecorded(database, facts);
  const taken = await readTaken(database, facts);
  const roles = KINDS.map((kind): RoleStanding => {
    const found = recorded.get(kind);
    const limit = kind === 'guard' ? null : limitOf(kind, facts);
    const named = kind === 'guard' ? undefined : given[kind];
    if (named !== undefined && (!asDba || found?.role !== named)) {
      return { ...GIVEN, kind, role: named };
    }
    if (found !== undefined) return { ...found, limit, mayAlter: asDba || found.mayAlter };
    const role = freeName(facts, kind, taken);
    return { ...GIVEN, kind, role, standing: 'missing', mark: randomUUID(), limit, hasPassword: false };
  });
  const apart = await readApart(database, membersOf(roles, facts));
  const formerly = await readFormer(database, roles);
  return writePlan(
    facts,
    roles,
    [...apart.map((each) => memberSql(each, facts.version)), ...formerly],
    await readGranted(database, facts, pending, pendingSchemas),
    schemas,
  );
}

const GIVEN = {
  standing: 'given',
  mark: '',
  limit: null,
  limitNow: null,
  hasPassword: true,
  mayAlter: false,
} as const;

/** The connections that one of our logins may have: the rest is the owner's, who kills, and other applications'. */
function limitOf(login: Login, { maxConnections, reserved }: Facts): number {
  return Math.max(LEAST_LIMIT, Math.floor(((maxConnections - reserved) * LIMIT_PERCENT[login]) / 100));
}

export interface Facts {
  readonly database: string;
  readonly databaseOid: number;
  readonly owner: string;
  readonly mayCreate: boolean;
  readonly version: number;
  readonly maxConnections: number;
  /** Connections that ordinary logins cannot have. */
  readonly reserved: number;
  /** Whether every login may connect to the database. */
  readonly connectable: boolean;
  /** Whether our tables of roles are there, and whether what was granted is kept. */
  readonly recorded: boolean;
  readonly granted: boolean;
  readonly migrated: boolean;
  /** Whether the migrations of jobs are kept. */
  readonly jobs: boolean;
}

export async function readFacts(database: pg.Pool | pg.PoolClient): Promise<Facts> {
  const { rows } = await database.query<Facts>(`
    select d.datname as database, d.oid::bigint as "databaseOid", current_user as owner,
      (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as "mayCreate",
      current_setting('server_version_num')::integer as version,
      current_setting('max_connections')::integer as "maxConnections",
      current_setting('superuser_reserved_connections')::integer
        + coalesce(current_setting('reserved_connections', true)::integer, 0) as reserved,
      has_database_privilege('public', d.oid, 'connect') as connectable,
      to_regclass('portcullis_store.login') is not null as recorded,
      to_regclass('portcullis_store.granted') is not null as granted,
      to_regclass('portcullis_store.migration') is not null as migrated,
      to_regclass('portcullis_store.job_migration') is not null as jobs
    from pg_database d where d.datname = current_database()`);
  const [facts] = rows;
  if (!facts) throw new Error('the database does not know itself');
  return facts;
}

/**
 * The roles that our table names and that are this database's. Ours bear a comment with this database's oid and the
 * mark that only the owner can read in our table: neither a role that has the name by chance nor that of a database
 * which this one is a copy of does. A version before marks made roles too: those are adopted, unless something says
 * that they were not made by it, or that anybody else uses them (they own something, have rights in another
 * database, are members of another role, or have attributes that ours never had).
 */
const RECORDED = `
  with named as (
    select login, role, to_jsonb(l) ->> 'mark' as mark, password is not null as "hasPassword"
    from portcullis_store.login l
    union all
    select 'guard', role, null, false from portcullis_guard.reader
    where not exists (select from portcullis_store.login where login = 'guard')
  ), found as (
    select n.*, r.oid, r.rolconnlimit as "limitNow", shobj_description(r.oid, 'pg_authid') as comment,
      format('Portcullis %s of database %s, mark %s', n.login, $1::bigint, n.mark) as expected,
      r.rolsuper or r.rolcreatedb or r.rolcreaterole or r.rolreplication or r.rolbypassrls as powerful,
      me.rolsuper or (me.rolcreaterole and (current_setting('server_version_num')::integer < 160000
        or pg_has_role(r.oid, 'member with admin option'))) as "mayAlter"
    from named n join pg_roles r on r.rolname = n.role join pg_roles me on me.rolname = current_user
  )
  select login as kind, role, mark, "limitNow", "mayAlter", "hasPassword",
    case when comment = expected then 'ours' else 'adopted' end as standing
  from found f
  where comment = expected
    or (mark is null and comment is null and not powerful
      and not exists (
        select from pg_shdepend s
        where s.refclassid = 'pg_authid'::regclass and s.refobjid = f.oid
          and (s.deptype = 'o' or s.dbid not in (0, $1::bigint::oid)
            or (s.classid = 'pg_database'::regclass and s.objid <> $1::bigint::oid)))
      and not exists (
        select from pg_auth_members m
        where m.member = f.oid and m.roleid not in (select oid from found where login = 'guard')))`;

export async function readRecorded(
  database: pg.Pool | pg.PoolClient,
  { recorded, databaseOid }: Facts,
): Promise<Map<RoleKind, Omit<RoleStanding, 'limit'>>> {
  if (!recorded) return new Map();
  const { rows } = await database.query<Omit<RoleStanding, 'limit' | 'mark'> & { mark: string | null }>(
    RECORDED,
    [databaseOid],
  );
  return new Map(rows.map((row) => [row.kind, { ...row, mark: row.mark ?? randomUUID() }]));
}

const MOST_NAME_BYTES = 63;

/** The names that a role may get, the best first. */
function namesFor({ database, databaseOid }: Facts, kind: RoleKind): string[] {
  const wanted = `${database}_${kind}`;
  // PostgreSQL would cut a longer name without a word.
  const base = Buffer.byteLength(wanted) > MOST_NAME_BYTES - 2 ? `portcullis_${databaseOid}_${kind}` : wanted;
  return [base, ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `${base}_${n}`)];
}

async function readTaken(database: pg.Pool | pg.PoolClient, facts: Facts): Promise<Set<string>> {
  const names = KINDS.flatMap((kind) => namesFor(facts, kind));
  const { rows } = await database.query<{ name: string }>(
    'select rolname as name from pg_roles where rolname = any($1)',
    [names],
  );
  return new Set(rows.map(({ name }) => name));
}

function freeName(facts: Facts, kind: RoleKind, taken: ReadonlySet<string>): string {
  const names = namesFor(facts, kind);
  const free = names.find((name) => !taken.has(name));
  if (free !== undefined) return free;
  throw new PortcullisError(
    'ROLES_MISSING',
    `the roles ${names.join(', ')} exist, and none is Portcullis' own`,
    {
      hint: 'drop those that nobody uses; or make the logins yourself, and set PORTCULLIS_WORKER_URL and PORTCULLIS_PLANNER_URL',
      details: { taken: names },
    },
  );
}

interface Membership {
  readonly role: string;
  readonly member: string;
  /** Whether the member is to have the role's rights without taking it on. */
  readonly inherit: boolean;
}

/**
 * Who is to be a member of which role: a kill must be able to end the worker's connections, and the guard's role is
 * given its function.
 */
function membersOf(roles: readonly RoleStanding[], { owner }: Facts): Membership[] {
  const roleOf = (kind: RoleKind): RoleStanding | undefined => roles.find((each) => each.kind === kind);
  const [worker, guard] = [roleOf('worker'), roleOf('guard')];
  if (!worker || !guard) return [];
  return [
    ...(worker.standing === 'given' ? [] : [{ role: worker.role, member: owner, inherit: true }]),
    { role: guard.role, member: owner, inherit: true },
  ];
}

/** The memberships that are not there yet. A superuser is a member of every role. */
async function readApart(
  database: pg.Pool | pg.PoolClient,
  wanted: readonly Membership[],
): Promise<Membership[]> {
  const { rows } = await database.query<{ role: string; member: string }>(
    `select w.role, w.member
     from unnest($1::text[], $2::text[], $3::boolean[]) as w (role, member, inherit)
     left join pg_roles r on r.rolname = w.role left join pg_roles m on m.rolname = w.member
     where r.oid is null or m.oid is null
       or not pg_has_role(m.oid, r.oid, case when w.inherit then 'usage' else 'member' end)`,
    [
      wanted.map(({ role }) => role),
      wanted.map(({ member }) => member),
      wanted.map(({ inherit }) => inherit),
    ],
  );
  return wanted.filter(({ role, member }) => rows.some((row) => row.role === role && row.member === member));
}

/** Versions before had the worker take the guard's role on. */
async function readFormer(
  database: pg.Pool | pg.PoolClient,
  roles: readonly RoleStanding[],
): Promise<string[]> {
  const [guard, worker] = (['guard', 'worker'] as const).map((kind) =>
    roles.find((each) => each.kind === kind),
  );
  if (!guard || !worker || guard.standing === 'missing') return [];
  const { rowCount } = await database.query(
    `select from pg_auth_members where roleid = (select oid from pg_roles where rolname = $1)
       and member = (select oid from pg_roles where rolname = $2)`,
    [guard.role, worker.role],
  );
  return rowCount === 0
    ? []
    : [`revoke ${pg.escapeIdentifier(guard.role)} from ${pg.escapeIdentifier(worker.role)}`];
}

interface Granted {
  readonly digest: string | undefined;
  /** By the time that rights are granted. */
  readonly migrations: readonly string[];
  /** The schemas of jobs by then. */
  readonly jobSchemas: readonly string[];
}

async function readGranted(
  database: pg.Pool | pg.PoolClient,
  { granted, migrated, jobs }: Facts,
  pending: readonly string[],
  pendingSchemas: readonly string[],
): Promise<Granted> {
  const ran = migrated
    ? await database.query<{ name: string }>(
        `select name from portcullis_store.migration
         ${jobs ? `union all select 'job/' || job || '/' || name from portcullis_store.job_migration` : ''}`,
      )
    : { rows: [] };
  const installed = await readInstalled(database);
  const jobSchemas = [...installed.flatMap(({ schemas }) => schemas), ...pendingSchemas];
  const kept = granted
    ? await database.query<{ digest: string }>('select digest from portcullis_store.granted')
    : { rows: [] };
  const migrations = [...new Set([...ran.rows.map(({ name }) => name), ...pending])].sort();
  return { digest: kept.rows[0]?.digest, migrations, jobSchemas: [...new Set(jobSchemas)].sort() };
}

function writePlan(
  facts: Facts,
  roles: readonly RoleStanding[],
  joining: readonly string[],
  granted: Granted,
  schemas: readonly SchemaKind[],
): RolePlan {
  const { database, owner, mayCreate } = facts;
  const nameOf = (kind: RoleKind): string => roles.find((each) => each.kind === kind)?.role ?? '';
  const grants = grantsOf(
    { planner: nameOf('planner'), worker: nameOf('worker'), guard: nameOf('guard') },
    {
      connectTo: facts.connectable ? undefined : database,
      control: schemas.includes('control'),
      jobSchemas: granted.jobSchemas,
    },
  );
  const digest = createHash('sha256')
    .update(JSON.stringify([grants, granted.migrations]))
    .digest('hex');
  const changed = roles.filter(({ standing }) => standing === 'missing' || standing === 'adopted');
  return {
    database,
    owner,
    mayCreate,
    roles,
    creating: roles.flatMap((each) => createSql(each, facts)),
    passwordless: roles.flatMap(({ kind, standing, hasPassword }) =>
      kind === 'guard' || standing === 'given' || (standing === 'ours' && hasPassword) ? [] : [kind],
    ),
    recording: changed.map(({ kind, role, mark }) => recordSql(kind, role, mark)),
    joining,
    granting: granted.digest === digest && changed.length === 0 ? [] : [...grants, digestSql(digest)],
  };
}

function createSql(
  { kind, role, standing, mark, limit, limitNow, mayAlter }: RoleStanding,
  facts: Facts,
): string[] {
  const name = pg.escapeIdentifier(role);
  const limited = limit === null ? '' : ` connection limit ${limit}`;
  const comment = `comment on role ${name} is 'Portcullis ${kind} of database ${facts.databaseOid}, mark ${mark}'`;
  if (standing === 'missing') {
    const login = kind === 'guard' ? 'nologin' : 'login';
    return [
      `create role ${name} ${login} nosuperuser nocreatedb nocreaterole noreplication nobypassrls${limited}`,
      comment,
      ...(kind === 'planner' ? [`alter role ${name} set default_transaction_read_only = on`] : []),
    ];
  }
  if (standing === 'given') return [];
  const unlimited = limit !== null && limitNow !== limit && mayAlter;
  return [
    ...(unlimited ? [`alter role ${name}${limited}`] : []),
    ...(standing === 'adopted' ? [comment] : []),
  ];
}

function recordSql(kind: RoleKind, role: string, mark: string): string {
  return `insert into portcullis_store.login (login, role, mark, password) values ('${kind}', ${pg.escapeLiteral(role)}, '${mark}', null)
    on conflict (login) do update set role = excluded.role, mark = excluded.mark, password = null`;
}

function memberSql({ role, member, inherit }: Membership, version: number): string {
  const how = inherit && version >= 160_000 ? ' with inherit true' : '';
  return `grant ${pg.escapeIdentifier(role)} to ${pg.escapeIdentifier(member)}${how}`;
}

function digestSql(digest: string): string {
  return `insert into portcullis_store.granted (digest) values ('${digest}') on conflict (one) do update set digest = excluded.digest`;
}
