import pg from 'pg';
import { jobPlacesInForce } from '../flags/policy-places.js';
import { PortcullisError } from '../kernel/errors.js';
import { countOf, number } from '../kernel/words.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import { readInstalled, underMigrationLock } from '../postgres/migrate.js';
import { isUnreachable } from '../postgres/pool.js';
import { readFacts, readRecorded } from '../postgres/role-plan.js';

const OWN_SCHEMAS = ['portcullis_control', 'portcullis_region', 'portcullis_guard', 'portcullis_store'];
const LOCK_MS = 15_000;

/** A schema that an uninstall drops, with what is in it. */
export interface DroppedSchema {
  readonly name: string;
  /** Whose tables these are; null: Portcullis' own. */
  readonly job: string | null;
  readonly tables: number;
  /** As the database's statistics have it. */
  readonly rows: number;
}

/** What an uninstall would remove from a database. */
export interface UninstallPlan {
  readonly database: string;
  readonly schemas: readonly DroppedSchema[];
  readonly roles: readonly string[];
  /** What is in use: it is removed all the same where somebody insists. */
  readonly inUse: readonly string[];
  /** What is somebody else's, or cannot be done: nobody can insist. */
  readonly impossible: readonly string[];
  /** For the owner of the schemas. */
  readonly dropping: readonly string[];
  /** For whoever may administer the roles. */
  readonly leaving: readonly string[];
}

/** Where an uninstall looks for what is in use. */
export interface Surroundings {
  readonly control: pg.Pool;
  /** Every database that this process has an address of. */
  readonly databases: readonly Pick<DatabaseSetup, 'name' | 'owner'>[];
}

/**
 * Reads what Portcullis made in a database, and what stands in the way of removing it. Writes nothing and waits for no
 * lock. `asDba`: somebody else runs the statements, who may drop roles.
 */
export async function planUninstall(
  { name, owner }: Pick<DatabaseSetup, 'name' | 'owner'>,
  surroundings: Surroundings,
  asDba = false,
): Promise<UninstallPlan> {
  const installed = await readInstalled(owner);
  const jobOf = new Map(installed.flatMap(({ job, schemas }) => schemas.map((each) => [each, job])));
  const schemas = await readSchemas(owner, [...OWN_SCHEMAS, ...jobOf.keys()]);
  const facts = await readFacts(owner);
  const recorded = [...(await readRecorded(owner, facts)).values()];
  const roles = recorded.map(({ role }) => role);
  const names = schemas.map((each) => each.name);
  const fixed = asDba ? [] : recorded.filter(({ mayAlter }) => !mayAlter).map(({ role }) => role);
  return {
    database: name,
    schemas: schemas.map((each) => ({ ...each, job: jobOf.get(each.name) ?? null })),
    roles,
    inUse: [
      ...(await runsUnderWay(owner, names)),
      ...(await sessionsOf(owner, roles)),
      ...(await incidentsOf(name, surroundings)),
      ...(name === 'control' ? await installedElsewhere(surroundings) : []),
    ],
    impossible: [
      ...(await dependents(owner, names)),
      ...(await rightsElsewhere(owner, roles, names)),
      ...(fixed.length === 0
        ? []
        : [`the login ${facts.owner} may not drop ${fixed.join(', ')}: give a DBA the SQL of --sql`]),
    ],
    dropping:
      names.length === 0
        ? []
        : [`drop schema ${names.map((each) => pg.escapeIdentifier(each)).join(', ')} cascade`],
    leaving: await leavingOf(owner, roles, facts.version, asDba),
  };
}

/** Whether there is nothing of Portcullis in the database. */
export function isUninstalled({ schemas, roles }: UninstallPlan): boolean {
  return schemas.length + roles.length === 0;
}

/** Removes what the plan names, all or nothing. Throws MIGRATION_LOCKED. */
export async function uninstall({ owner }: Pick<DatabaseSetup, 'owner'>, plan: UninstallPlan): Promise<void> {
  await underMigrationLock(owner, LOCK_MS, async (client) => {
    for (const sql of [...plan.dropping, ...plan.leaving]) await client.query(sql);
  });
}

/** The SQL that does it, for a DBA. */
export function uninstallSql(plan: UninstallPlan): string {
  const lines = (statements: readonly string[]): string => statements.map((sql) => `${sql};\n`).join('');
  return `-- Portcullis leaves the database ${plan.database}. Run it connected to that database, as a superuser. All or nothing.
begin;
${lines(plan.dropping)}
-- Its roles, with the rights that they were given in this database.
${lines(plan.leaving)}
commit;
`;
}

async function readSchemas(owner: pg.Pool, names: readonly string[]): Promise<Omit<DroppedSchema, 'job'>[]> {
  const { rows } = await owner.query<Omit<DroppedSchema, 'job'>>(
    `select n.nspname as name, count(c.oid)::integer as tables,
       coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint as rows
     from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind = 'r'
     where n.nspname = any ($1) group by n.nspname order by array_position($1, n.nspname::text)`,
    [names],
  );
  return rows;
}

async function runsUnderWay(owner: pg.Pool, schemas: readonly string[]): Promise<string[]> {
  if (!schemas.includes('portcullis_region')) return [];
  const { rows } = await owner.query<{ n: number }>(
    `select count(*)::integer as n from portcullis_region.run where status in ('planning', 'applying')`,
  );
  const n = rows[0]?.n ?? 0;
  return n === 0 ? [] : [`${countOf(n, 'run')} ${n === 1 ? 'is' : 'are'} under way: portcullis stop --all`];
}

/** A process that serves keeps connections, or has them again a second later. */
async function sessionsOf(owner: pg.Pool, roles: readonly string[]): Promise<string[]> {
  const { rows } = await owner.query<{ who: string }>(
    `select distinct application_name || ' of ' || coalesce(client_addr::text, 'this machine') as who
     from pg_stat_activity where datname = current_database() and usename = any ($1) order by 1 limit 5`,
    [roles],
  );
  return rows.map(({ who }) => `${who} is connected: end the process`);
}

async function incidentsOf(name: string, { control }: Surroundings): Promise<string[]> {
  const read = async (): Promise<{ id: string; title: string }[]> => {
    const places = await jobPlacesInForce(control);
    const here = places
      .filter(({ variable }) => (variable ?? 'control') === name)
      .map(({ region }) => region);
    const { rows } = await control.query<{ id: string; title: string }>(
      `select distinct i.id, i.title from portcullis_control.incident i
       join portcullis_control.incident_region r on r.incident = i.id
       where i.state <> 'closed' and ($1 or r.region = any ($2)) order by i.id`,
      [name === 'control', here],
    );
    return rows;
  };
  const open = await read().catch((error: unknown) => {
    const { code } = error as { code?: unknown };
    if (code === '42P01' || code === '3F000' || isUnreachable(error)) return [];
    throw error;
  });
  return open.map(({ id, title }) => `incident ${id} is not closed: ${title}`);
}

async function installedElsewhere({ databases }: Surroundings): Promise<string[]> {
  const found = await Promise.all(
    databases.map(async ({ name, owner }) => {
      if (name === 'control') return [];
      const { rows } = await owner
        .query<{ there: boolean }>(`select to_regnamespace('portcullis_region') is not null as there`)
        .catch(() => ({ rows: [{ there: true }] }));
      return rows[0]?.there === true
        ? [`${name} holds regions that this database decides for, or cannot be reached: uninstall it first`]
        : [];
    }),
  );
  return found.flat();
}

/** What somebody made that hangs on what is dropped: the database would drop it too. */
const DEPENDENTS = `
  with ours as (select oid, nspname from pg_namespace where nspname = any ($1)),
  held as (
    select 'pg_class'::regclass as classid, c.oid from pg_class c join ours on ours.oid = c.relnamespace
    union all select 'pg_proc'::regclass, p.oid from pg_proc p join ours on ours.oid = p.pronamespace
    union all select 'pg_type'::regclass, t.oid from pg_type t join ours on ours.oid = t.typnamespace
  ), hanging as (
    select d.classid, d.objid, d.refclassid, d.refobjid,
      case d.classid
        when 'pg_class'::regclass then (select relnamespace from pg_class where oid = d.objid)
        when 'pg_proc'::regclass then (select pronamespace from pg_proc where oid = d.objid)
        when 'pg_type'::regclass then (select typnamespace from pg_type where oid = d.objid)
        when 'pg_constraint'::regclass then (select connamespace from pg_constraint where oid = d.objid)
        when 'pg_rewrite'::regclass then (select c.relnamespace from pg_rewrite r join pg_class c on c.oid = r.ev_class where r.oid = d.objid)
        when 'pg_trigger'::regclass then (select c.relnamespace from pg_trigger t join pg_class c on c.oid = t.tgrelid where t.oid = d.objid)
        when 'pg_attrdef'::regclass then (select c.relnamespace from pg_attrdef a join pg_class c on c.oid = a.adrelid where a.oid = d.objid)
        when 'pg_policy'::regclass then (select c.relnamespace from pg_policy p join pg_class c on c.oid = p.polrelid where p.oid = d.objid)
      end as space
    from pg_depend d join held on held.classid = d.refclassid and held.oid = d.refobjid
    where d.deptype in ('n', 'a')
  )
  select pg_describe_object(classid, objid, 0) || ' depends on ' || min(pg_describe_object(refclassid, refobjid, 0)) as what
  from hanging where space is null or space not in (select oid from ours) group by classid, objid order by 1 limit 20`;

async function dependents(owner: pg.Pool, schemas: readonly string[]): Promise<string[]> {
  const { rows } = await owner.query<{ what: string }>(DEPENDENTS, [schemas]);
  return rows.map(({ what }) => `${what}, and would be dropped with it: drop or alter it first`);
}

/** What our roles own outside of what is dropped, or may do in another database. */
async function rightsElsewhere(
  owner: pg.Pool,
  roles: readonly string[],
  schemas: readonly string[],
): Promise<string[]> {
  const { rows } = await owner.query<{ what: string }>(
    `select distinct case
         when s.dbid not in (0, here.oid) then format('the role %s has rights or objects in the database %s', r.rolname, other.datname)
         else format('the role %s owns %s', r.rolname, pg_describe_object(s.classid, s.objid, 0)) end as what
     from pg_shdepend s join pg_roles r on r.oid = s.refobjid and s.refclassid = 'pg_authid'::regclass
     join pg_database here on here.datname = current_database()
     left join pg_database other on other.oid = s.dbid
     where r.rolname = any ($1)
       and (s.dbid not in (0, here.oid)
         or (s.dbid = here.oid and s.deptype = 'o'
           and not (s.classid = 'pg_proc'::regclass and s.objid in (
             select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = any ($2)))))
     order by 1 limit 20`,
    [roles, schemas],
  );
  return rows.map(({ what }) => `${what}: give it to somebody else, or drop it`);
}

/** What a role was given in this database goes with it: `drop owned` needs a member's rights, which the owner may lack. */
async function leavingOf(
  owner: pg.Pool,
  roles: readonly string[],
  version: number,
  asDba: boolean,
): Promise<string[]> {
  const { rows } = await owner.query<{ role: string; member: boolean }>(
    `select rolname as role, pg_has_role(oid, 'usage') as member from pg_roles where rolname = any ($1) order by rolname`,
    [roles],
  );
  return rows.flatMap(({ role, member }) => {
    const name = pg.escapeIdentifier(role);
    const joining = `grant ${name} to current_user${version >= 160_000 ? ' with inherit true' : ''}`;
    return [...(member && !asDba ? [] : [joining]), `drop owned by ${name}`, `drop role ${name}`];
  });
}

/** What would be removed, for a person. */
export function uninstallText({ schemas, roles, inUse, impossible }: UninstallPlan): string {
  const lines = [
    ...schemas.map(
      ({ name, job, tables, rows }) =>
        `schema ${name}: ${countOf(tables, 'table')}, about ${number(rows)} rows${job === null ? '' : `, the tables of ${job}`}`,
    ),
    ...roles.map((role) => `role ${role}, with the rights that it was given in this database`),
    ...inUse.map((what) => `in use: ${what}`),
    ...impossible.map((what) => `in the way: ${what}`),
  ];
  return lines.map((line) => `  ${line}\n`).join('');
}

/** Throws UNINSTALL_REFUSED where something is in the way, or in use and nobody insists. */
export function requireUnused({ database, inUse, impossible }: UninstallPlan, force: boolean): void {
  const faults = [...impossible, ...(force ? [] : inUse)];
  if (faults.length === 0) return;
  throw new PortcullisError('UNINSTALL_REFUSED', `${database}: ${faults.join('; ')}`, {
    hint:
      impossible.length > 0
        ? 'nothing was changed; see to what is named first'
        : 'nothing was changed; see to what is named first, or add --force: what runs did can then never be restored',
    details: { database, inUse, impossible },
  });
}
