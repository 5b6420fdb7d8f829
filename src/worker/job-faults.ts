import type pg from 'pg';
import { readFacts, type TableFacts } from '../journal/catalogue.js';
import { keyColumns, type Resource } from '../journal/change.js';
import { branchesOf } from '../journal/branches.js';
import { declarationFaults, tableFaults } from '../journal/declaration-faults.js';
import { faultsOfUse } from '../journal/product-use.js';
import { PortcullisError } from '../kernel/errors.js';
import { quoteTable, type Shape } from '../journal/shape.js';
import { missingGrants, type WantedGrant } from '../postgres/missing-grants.js';
import type { JobDefinition } from '../sdk/contract.js';

/** The roles that work for jobs: `guard` is what a policy's invariants run as. */
export type JobRoles = Partial<Readonly<Record<'worker' | 'planner' | 'guard', string>>>;

/** What the database's catalogue says of the tables that a job names, at one moment. */
export interface JobCatalogue {
  /** By the quoted name; a table that is not there is absent. */
  readonly tables: ReadonlyMap<string, TableFacts>;
  /** The roles from which row-level security hides rows of a table, by its quoted name. */
  readonly hidden: ReadonlyMap<string, readonly string[]>;
  /** What is wrong with where rows are said to be used, by resource. */
  readonly uses: ReadonlyMap<string, readonly string[]>;
  /** GRANTs that are missing, ready to be run. */
  readonly missing: readonly string[];
}

/** Reads what {@link jobFaults} decides on. Changes nothing. */
export async function readCatalogue(
  pool: pg.Pool,
  job: JobDefinition,
  given: JobRoles = {},
): Promise<JobCatalogue> {
  const roles = await rolesOf(pool, given);
  const tables = await readFacts(pool, tablesOf(job));
  const uses = new Map<string, readonly string[]>();
  for (const [name, { usedIn }] of Object.entries(job.resources))
    if (usedIn !== undefined) uses.set(name, await faultsOfUse(pool, usedIn));
  return {
    tables,
    hidden: await readHidden(pool, [...tables.keys()], Object.values(roles)),
    uses,
    missing: await missingGrants(pool, wantedGrants(job, tables, roles)),
  };
}

/** Everything that keeps a job from being exact on these tables, each with what to do. Pure; nothing: []. */
export function jobFaults(job: JobDefinition, catalogue: JobCatalogue): string[] {
  const { tables, hidden, uses, missing } = catalogue;
  const ofResources = Object.entries(job.resources).flatMap(([name, resource]) => {
    const table = quoteTable(resource.table);
    const facts = tables.get(table);
    const faults = [
      ...(facts ? tableFaults(resource, facts, hidden.get(table) ?? []) : []),
      ...declarationFaults(resource, facts),
      ...(facts && resource.deletes === true ? branchesOf(resource, tables, facts).faults : []),
      ...cascadedResources(job, resource),
      ...hiddenCascades(resource, hidden),
      ...(uses.get(name) ?? []),
      ...(resource.usedIn !== undefined && keyColumns(resource).length > 1
        ? ['usedIn needs a key of one column']
        : []),
    ];
    return faults.length === 0 ? [] : [`resource ${name} (${resource.table}): ${faults.join('; ')}`];
  });
  const unit = unitFaults(job, catalogue);
  return [
    ...ofResources,
    ...(unit.length === 0 ? [] : [`unit (${job.unit.table}): ${unit.join('; ')}`]),
    ...kindFaults(job),
    ...(missing.length === 0 ? [] : [`its logins may not do what it needs; run: ${missing.join('; ')}`]),
  ];
}

/** What goes with rows is restored with them, in another order than the rest of a run. */
function cascadedResources({ resources }: JobDefinition, resource: Resource): string[] {
  const { cascades = [] } = resource;
  return Object.entries(resources).flatMap(([name, other]) =>
    other !== resource &&
    cascades.includes(other.table) &&
    (other.changes.length > 0 || other.deletes === true)
      ? [
          `its cascades name ${other.table}, which resource ${name} changes too; leave one of them to another job`,
        ]
      : [],
  );
}

function hiddenCascades({ cascades = [] }: Resource, hidden: JobCatalogue['hidden']): string[] {
  return cascades.flatMap((table) => {
    const roles = hidden.get(quoteTable(table)) ?? [];
    return roles.length === 0
      ? []
      : [
          `row-level security of ${table} hides rows from ${roles.join(', ')}; alter these roles with bypassrls`,
        ];
  });
}

function unitFaults({ unit }: JobDefinition, { tables, hidden }: JobCatalogue): string[] {
  const table = quoteTable(unit.table);
  const facts = tables.get(table);
  if (!facts) return ['there is no such table'];
  const roles = hidden.get(table) ?? [];
  return [
    ...[unit.key, unit.region]
      .filter((column) => !facts.columns.some(({ name }) => name === column))
      .map((column) => `there is no column ${column}`),
    ...(roles.length === 0
      ? []
      : [`row-level security hides rows from ${roles.join(', ')}; alter these roles with bypassrls`]),
  ];
}

function kindFaults({ kinds, resources }: JobDefinition): string[] {
  return Object.entries(kinds).flatMap(([kind, name]) => {
    const resource = resources[name];
    if (!resource) return [`kind ${kind} changes resource ${name}, which is not declared`];
    return resource.changes.length === 0 && resource.deletes !== true
      ? [`kind ${kind} changes resource ${name}, which declares no column that a change may set`]
      : [];
  });
}

function tablesOf({ resources, unit }: JobDefinition): Set<string> {
  return new Set([
    ...Object.values(resources).flatMap(({ table, cascades = [] }) => [table, ...cascades].map(quoteTable)),
    quoteTable(unit.table),
  ]);
}

/** What the logins need: as far as the declaration tells, without what triggers do and what policies and plans read besides. */
export function wantedGrants(
  { resources, unit }: JobDefinition,
  tables: ReadonlyMap<string, TableFacts>,
  { worker, planner }: JobRoles,
): WantedGrant[] {
  const both = [worker, planner].flatMap((role) => role ?? []);
  const units = both.map((role) => ({
    ...{ role, table: quoteTable(unit.table), privilege: 'select' as const },
    columns: [unit.key, unit.region],
  }));
  const ofResources = Object.values(resources).flatMap((resource): WantedGrant[] => {
    const table = quoteTable(resource.table);
    const all = (tables.get(table)?.columns ?? []).map(({ name }) => name);
    const read = resource.deletes === true ? all : readColumns(resource);
    const set = resource.changes;
    const deleted = ['insert', 'delete'] as const;
    return [
      ...both.map((role) => ({ role, table, privilege: 'select' as const, columns: read })),
      ...(worker === undefined
        ? []
        : resource.deletes === true
          ? deleted.map((privilege) => ({ role: worker, table, privilege, columns: all }))
          : set.length > 0
            ? [{ role: worker, table, privilege: 'update' as const, columns: set }]
            : []),
      ...(worker === undefined ? [] : cascadeGrants(worker, resource, tables)),
    ];
  });
  return [...units, ...ofResources];
}

/** What goes with rows is locked, which takes the right to update some column, and put back. */
function cascadeGrants(
  role: string,
  { table, key, cascades = [] }: Resource,
  tables: ReadonlyMap<string, TableFacts>,
): WantedGrant[] {
  if (cascades.length === 0) return [];
  const own = { role, table: quoteTable(table), privilege: 'update' as const, columns: keyColumns({ key }) };
  return [
    own,
    ...cascades.flatMap((each) => {
      const columns = (tables.get(quoteTable(each))?.columns ?? []).map(({ name }) => name);
      return (['select', 'insert', 'update'] as const).map((privilege) => ({
        ...{ role, table: quoteTable(each), privilege, columns },
      }));
    }),
  ];
}

function readColumns(resource: Resource): string[] {
  const { changes, compares = [], region } = resource;
  return [...keyColumns(resource), ...changes, ...compares, ...(region === undefined ? [] : [region])];
}

/**
 * Throws TABLE_UNWRITABLE, before anything is written, where the login of `client` may not make and delete the rows that
 * were planned, and restore them; with the GRANTs to run.
 */
export async function requireWritable(
  client: pg.PoolClient,
  shapes: ReadonlyMap<string, Shape>,
  operations: readonly string[],
): Promise<void> {
  const written = new Set(
    operations
      .filter((each) => !each.endsWith(':update'))
      .map((each) => each.slice(0, each.lastIndexOf(':'))),
  );
  if (written.size === 0) return;
  const of = [...shapes.values()].filter(({ name }) => written.has(name));
  const wanted = of.flatMap(({ table, facts }) =>
    (['insert', 'delete'] as const).map((privilege) => ({
      ...{ table, privilege },
      columns: facts.columns.map(({ name }) => name),
    })),
  );
  // A restore puts a row back with the key that it had.
  const inserted = new Set(operations);
  const sequences = of.flatMap(({ name, key: [first], facts }) => {
    const sequence = facts.columns.find((column) => column.name === first.name)?.sequence;
    return sequence == null || !inserted.has(`${name}:insert`) ? [] : [{ sequence }];
  });
  const missing = await missingGrants(client, wanted, sequences);
  if (missing.length === 0) return;
  throw new PortcullisError(
    'TABLE_UNWRITABLE',
    `the worker may not make and delete the rows that were planned; run: ${missing.join('; ')}`,
  );
}

/** The roles that were given, or else that this database has recorded; of a login that may not read these, its own. */
async function rolesOf(pool: pg.Pool, given: JobRoles): Promise<JobRoles> {
  const { rows: readable } = await pool.query<{ role: string; readable: boolean | null }>(
    `select current_user::text as role,
       case when has_schema_privilege(to_regnamespace('portcullis_store'), 'usage')
         then has_table_privilege(to_regclass('portcullis_store.login'), 'select') end as readable`,
  );
  const [me] = readable;
  if (me?.readable !== true) return { worker: me?.role ?? '', ...given };
  const { rows } = await pool.query<{ login: keyof JobRoles; role: string }>(
    `select l.login, l.role from portcullis_store.login l join pg_roles r on r.rolname = l.role
     where l.login in ('worker', 'planner', 'guard')`,
  );
  return { ...Object.fromEntries(rows.map(({ login, role }) => [login, role])), ...given };
}

async function readHidden(
  pool: pg.Pool,
  tables: readonly string[],
  roles: readonly string[],
): Promise<Map<string, readonly string[]>> {
  const { rows } = await pool.query<{ table: string; roles: string[] }>(
    `select w."table", array_agg(r.rolname::text order by r.rolname) as roles
     from unnest($1::text[]) w ("table")
     join pg_class t on t.oid = to_regclass(w."table") and t.relrowsecurity
     join pg_roles r on r.rolname = any ($2) and not r.rolsuper and not r.rolbypassrls
       and (t.relforcerowsecurity or not pg_has_role(r.oid, t.relowner, 'usage'))
     group by w."table"`,
    [tables, roles],
  );
  return new Map(rows.map((row) => [row.table, row.roles]));
}
