import { open } from 'node:fs/promises';
import pg from 'pg';
import { jobPlacesInForce } from '../flags/policy-places.js';
import { PortcullisError } from '../kernel/errors.js';
import { countOf, number } from '../kernel/words.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import { marking, readLeft } from '../postgres/left-schemas.js';
import { ranOf, readInstalled, underMigrationLock, type InstalledSchema } from '../postgres/migrate.js';
import { fileError } from '../postgres/file-error.js';
import { isUnreachable } from '../postgres/pool.js';
import { readFacts, readRecorded } from '../postgres/role-plan.js';
import {
  dependents,
  readJournal,
  readSchemas,
  rightsElsewhere,
  type JournalKept,
  type MadeSchema,
  type TableRows,
} from './made-objects.js';

const OWN_SCHEMAS = ['portcullis_control', 'portcullis_region', 'portcullis_guard', 'portcullis_store'];
const LOCK_MS = 15_000;
const ROWS_AT_ONCE = 500;

/** What an uninstall would remove from a database. */
export interface UninstallPlan {
  readonly database: string;
  readonly schemas: readonly MadeSchema[];
  /** The tables that jobs brought stay, unless they are to go too. */
  readonly staying: readonly MadeSchema[];
  readonly journal: JournalKept;
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

interface UninstallOptions {
  /** Somebody else runs the statements, who may drop roles. */
  readonly asDba?: boolean;
  /** Also the tables that jobs brought. */
  readonly withData?: boolean;
}

/**
 * Reads what Portcullis made in a database, and what stands in the way of removing it. Writes nothing and waits for no
 * lock.
 */
export async function planUninstall(
  { name, owner }: Pick<DatabaseSetup, 'name' | 'owner'>,
  surroundings: Surroundings,
  { asDba = false, withData = false }: UninstallOptions = {},
): Promise<UninstallPlan> {
  const installed = await readInstalled(owner);
  // What an earlier one left may be dropped by a later one.
  const left = (await readLeft(owner)).filter(({ job }) => installed.every((each) => each.job !== job));
  const jobOf = new Map(
    [...installed, ...left].flatMap(({ job, schemas }) => schemas.map((each) => [each, job])),
  );
  const made = (await readSchemas(owner, [...OWN_SCHEMAS, ...jobOf.keys()])).map((each) => ({
    ...each,
    job: jobOf.get(each.name) ?? null,
  }));
  const schemas = made.filter(({ job }) => job === null || withData);
  const facts = await readFacts(owner);
  const recorded = [...(await readRecorded(owner, facts)).values()];
  const roles = recorded.map(({ role }) => role);
  const names = schemas.map((each) => each.name);
  const fixed = asDba ? [] : recorded.filter(({ mayAlter }) => !mayAlter).map(({ role }) => role);
  return {
    database: name,
    schemas,
    staying: made.filter((each) => !schemas.includes(each)),
    journal: await readJournal(owner, names),
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
    dropping: [
      ...(withData ? [] : await markings(owner, installed)),
      ...(names.length === 0
        ? []
        : [`drop schema ${names.map((each) => pg.escapeIdentifier(each)).join(', ')} cascade`]),
    ],
    leaving: await leavingOf(owner, roles, facts.version, asDba),
  };
}

/** What says afterwards whose the tables are that stay, so that they can be taken up again. */
async function markings(owner: pg.Pool, installed: readonly InstalledSchema[]): Promise<string[]> {
  const all = await Promise.all(
    installed.map(async ({ job, schemas }) => marking(owner, job, schemas, await ranOf(owner, job))),
  );
  return all.flat();
}

/** Whether there is nothing of Portcullis in the database. */
export function isUninstalled({ schemas, roles }: UninstallPlan): boolean {
  return schemas.length + roles.length === 0;
}

/**
 * Removes what the plan names, all or nothing. `journal`: a file that gets the journal first, which nobody writes meanwhile.
 * Throws MIGRATION_LOCKED, and FILE_UNWRITABLE where that cannot be written: nothing is removed then.
 */
export async function uninstall(
  { owner }: Pick<DatabaseSetup, 'owner'>,
  plan: UninstallPlan,
  journal?: string,
): Promise<void> {
  await underMigrationLock(owner, LOCK_MS, async (client) => {
    if (journal !== undefined && plan.schemas.some(({ name }) => name === 'portcullis_region'))
      await writeJournal(client, journal).catch((error: unknown) => {
        throw fileError(
          'FILE_UNWRITABLE',
          error,
          'nothing was removed; name a file that is not there yet, in a folder that you may write to',
        );
      });
    for (const sql of [...plan.dropping, ...plan.leaving]) await client.query(sql);
  });
}

/** The tables of the region's schema, row by row, as JSON Lines: `{ "table": "run", "row": { … } }`. Memory stays flat. */
async function writeJournal(client: pg.PoolClient, path: string): Promise<void> {
  const { rows: tables } = await client.query<{ name: string }>(
    `select relname as name from pg_class
     where relnamespace = 'portcullis_region'::regnamespace and relkind = 'r' order by relname`,
  );
  const quoted = tables.map(({ name }) => [name, `portcullis_region.${pg.escapeIdentifier(name)}`] as const);
  await client.query(`lock table ${quoted.map(([, table]) => table).join(', ')} in share mode`);
  const file = await open(path, 'wx', 0o600);
  try {
    for (const [name, table] of quoted) {
      await client.query(
        `declare journal no scroll cursor for
         select jsonb_build_object('table', ${pg.escapeLiteral(name)}, 'row', to_jsonb(t))::text as line from ${table} t`,
      );
      for (;;) {
        const { rows } = await client.query<{ line: string }>(`fetch ${ROWS_AT_ONCE} from journal`);
        if (rows.length === 0) break;
        await file.appendFile(rows.map(({ line }) => `${line}\n`).join(''));
      }
      await client.query('close journal');
    }
    await file.sync();
  } finally {
    await file.close();
  }
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

/** What would be removed, for a person. `journal`: the file that gets the journal. */
export function uninstallText(
  { schemas, staying, journal, roles, inUse, impossible }: UninstallPlan,
  file?: string,
): string {
  const lines = [
    ...schemas.map(schemaText),
    ...(journal.changes === 0
      ? []
      : [
          `the journal of ${countOf(journal.changes, 'change')} by ${countOf(journal.runs, 'run')}, which can then never be restored; ${
            file === undefined
              ? 'it is in no file: --journal FILE writes it to one first'
              : `it is written to ${file} first`
          }`,
        ]),
    ...roles.map((role) => `role ${role}, with the rights that it was given in this database`),
    ...staying.map((schema) => `stays (--with-data drops it too): ${schemaText(schema)}`),
    ...inUse.map((what) => `in use: ${what}`),
    ...impossible.map((what) => `in the way: ${what}`),
  ];
  return lines.map((line) => `  ${line}\n`).join('');
}

function schemaText({ name, job, tables }: MadeSchema): string {
  const all = rowsOf(tables);
  const each = tables.map((table) => `${table.name} ${rowsText(table)}`).join(', ');
  return `schema ${name}: ${countOf(tables.length, 'table')}, ${rowsText(all)}${job === null ? '' : `, the tables of ${job}: ${each}`}`;
}

/** The business rows that go, for the question whether they may; undefined: none. */
export function dataText({ schemas }: UninstallPlan): string | undefined {
  const lost = schemas.filter(({ job }) => job !== null);
  if (lost.length === 0) return undefined;
  const names = lost.map(({ name, job }) => `${name} (${job ?? ''})`).join(', ');
  return `${rowsText(rowsOf(lost.flatMap(({ tables }) => tables)))} of ${names}`;
}

function rowsOf(tables: readonly TableRows[]): Omit<TableRows, 'name'> {
  return {
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    exact: tables.every(({ exact }) => exact),
  };
}

function rowsText({ rows, exact }: Omit<TableRows, 'name'>): string {
  return `${exact ? '' : 'about '}${number(rows)} ${rows === 1 ? 'row' : 'rows'}`;
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
