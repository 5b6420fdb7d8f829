import { PortcullisError } from '../kernel/errors.js';
import { countOf, number } from '../kernel/words.js';
import { workersAtWork } from '../rollout/announce.js';
import { connectionsOf, readConnections } from '../postgres/connections.js';
import { isDone, planRoles } from '../postgres/role-plan.js';
import { rolesGiven, type DatabaseSetup } from '../postgres/logins.js';
import { reasonFor, type Check, type Found, type Patient } from './patient.js';

const MIGRATE = 'portcullis migrate; or portcullis migrate --sql, for a DBA';

export const migrations: Check<Patient> = {
  name: 'migrations',
  examine: async (patient) => eachOf(patient, ({ schema }) => Promise.resolve([schemaFinding(schema)])),
};

export function schemaFinding(schema: DatabaseSetup['schema']): Found {
  if (schema === undefined) return { mark: 'fail', found: 'could not be read' };
  const [first = ''] = schema.unknown;
  switch (schema.standing) {
    case 'current':
      return { mark: 'ok', found: "the schema is this program's" };
    case 'empty':
      return { mark: 'fail', found: 'there is no Portcullis schema', hint: MIGRATE };
    case 'older':
      return {
        mark: 'fail',
        found: `the schema is older than this program: ${countOf(schema.missing.length, 'migration')} missing, ${schema.missing[0]?.name ?? ''} first; kill and stop work`,
        hint: MIGRATE,
      };
    case 'newer':
      return {
        mark: 'fail',
        found: `the schema is newer than this program: ${first}; kill and stop work`,
        hint: 'run the newer Portcullis',
      };
    case 'changed':
      return {
        mark: 'fail',
        found: `migration ${first} is not the one that ran on this database`,
        hint: 'restore the file as it was released; changes belong in a new migration',
      };
  }
}

/** Whether the roles are there and may do what they must, and each login is let in. */
export const logins: Check<Patient> = {
  name: 'logins',
  examine: async (patient) =>
    eachOf(patient, async (database) => {
      const { owner, schemas, given } = database;
      const plan = await planRoles(owner, schemas, await rolesGiven(given));
      const refused: Found[] = [];
      for (const login of ['worker', 'planner'] as const) {
        const why = await rolesGiven({ [login]: await database.loginUrl(login) }).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (why === undefined) continue;
        const hint = why instanceof PortcullisError ? why.hint : undefined;
        refused.push({ mark: 'fail', found: reasonFor(patient, why), ...(hint !== undefined && { hint }) });
      }
      if (refused.length > 0) return refused;
      const names = plan.roles.map(({ role }) => role).join(', ');
      if (isDone(plan)) return [{ mark: 'ok', found: `${names} are set up` }];
      const todo = [...plan.creating, ...plan.joining, ...plan.granting].length + plan.passwordless.length;
      return [{ mark: 'warn', found: `${names}: ${countOf(todo, 'statement')} to run`, hint: MIGRATE }];
    }),
};

/** Whether a kill finds a connection whatever the others do. */
export const connections: Check<Patient> = {
  name: 'connections',
  examine: async (patient) => {
    const { concurrentRuns, control, regionDatabases } = patient;
    const workers = await workersAtWork(control).catch(() => []);
    return eachOf(patient, async ({ owner, name }) => {
      const { usable, used, reserving, login, version, superuser } = await readConnections(owner);
      const { all } = connectionsOf(concurrentRuns, name === 'control');
      // Every process that serves asks the control database; another one only for its own regions.
      const fleet = workers.filter(
        ({ regions }) =>
          name === 'control' || regions.some((region) => regionDatabases.of(region).name === name),
      ).length;
      const findings: Found[] = [connectionsFinding({ usable, used, all, fleet })];
      if (superuser || reserving) return findings;
      const sql =
        version >= 160_000
          ? `as a superuser: alter system set reserved_connections = 5; grant pg_use_reserved_connections to "${login.replaceAll('"', '""')}"; then restart the server`
          : 'PostgreSQL 16 can reserve connections for a login (reserved_connections); until then the limits of our roles leave room';
      findings.push({
        mark: 'warn',
        found: `no connections are reserved for ${login}, which kills`,
        hint: sql,
      });
      return findings;
    });
  },
};

/**
 * Whether the processes that are at work fit the server, each with the concurrent runs that are configured here, and
 * one more.
 */
export function connectionsFinding({
  usable,
  used,
  all,
  fleet,
}: {
  readonly usable: number;
  readonly used: number;
  readonly all: number;
  readonly fleet: number;
}): Found {
  const fit = Math.floor(usable / all);
  const found =
    `a serving process may take ${all} of ${usable} connections: ${countOf(fit, 'such process', 'such processes')} fit, ` +
    `${countOf(fleet, 'is', 'are')} at work (up to ${number(fleet * all)} connections); ${number(used)} are in use now`;
  return fit > 0 && fit >= fleet
    ? { mark: 'ok', found }
    : {
        mark: 'warn',
        found,
        hint: 'raise max_connections, lower PORTCULLIS_CONCURRENT_RUNS, or put PgBouncer before the database: docs/reference/configuration.md, Connections',
      };
}

/** What was found of each database, with its name where there are several. */
async function eachOf(
  patient: Patient,
  examine: (database: DatabaseSetup) => Promise<readonly Found[]>,
): Promise<Found[]> {
  const { databases } = patient;
  const findings: Found[] = [];
  for (const database of databases) {
    const found = await examine(database).catch((error: unknown): Found[] => [
      { mark: 'fail', found: reasonFor(patient, error) },
    ]);
    findings.push(
      ...found.map((each) =>
        databases.length === 1 ? each : { ...each, found: `${database.name}: ${each.found}` },
      ),
    );
  }
  return findings;
}
