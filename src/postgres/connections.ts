import type pg from 'pg';

/** The most connections that one process opens to one database. */
export interface Connections {
  /** Runs: their batches, plans and leases. */
  readonly worker: number;
  /** What jobs read while they plan. */
  readonly planner: number;
  /** Everything else, over the owner's login. */
  readonly owner: number;
  /** Kills, over the owner's login: of a process that serves. */
  readonly kills: number;
  /** Listening for flags, and the folder's lock: on the control database alone. */
  readonly listening: number;
  readonly all: number;
}

const WORKER_EACH = 8;
const PLANNER_EACH = 4;
const OWNER = 5;
const LISTENING = 4;

/** For kills, of a process that serves: orders, and ending who holds a gate's lock meanwhile. */
export const KILL_CONNECTIONS = { orders: 3, holders: 1 };

/** The formula of docs/reference/configuration.md. `concurrentRuns`: PORTCULLIS_CONCURRENT_RUNS. */
export function connectionsOf(concurrentRuns: number, control: boolean): Connections {
  const worker = WORKER_EACH * concurrentRuns;
  const planner = PLANNER_EACH * concurrentRuns;
  const listening = control ? LISTENING : 0;
  const kills = KILL_CONNECTIONS.orders + KILL_CONNECTIONS.holders;
  return {
    worker,
    planner,
    owner: OWNER,
    kills,
    listening,
    all: worker + planner + OWNER + kills + listening,
  };
}

export interface ServerConnections {
  /** Connections that ordinary logins may have in all. */
  readonly usable: number;
  /** Whether connections are reserved for this login. */
  readonly reserving: boolean;
  readonly superuser: boolean;
  readonly login: string;
  readonly version: number;
  /** Connections that clients have now, ours and others'. */
  readonly used: number;
}

/** Reads what the server allows. */
export async function readConnections(owner: pg.Pool): Promise<ServerConnections> {
  const { rows } = await owner.query<ServerConnections>(`
    select current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true)::integer, 0) as usable,
      coalesce(current_setting('reserved_connections', true)::integer, 0) > 0
        and exists (select from pg_roles r where r.rolname = 'pg_use_reserved_connections'
                    and pg_has_role(current_user, r.oid, 'usage')) as reserving,
      (select rolsuper from pg_roles where rolname = current_user) as superuser,
      current_user as login, current_setting('server_version_num')::integer as version,
      (select count(*) from pg_stat_activity where backend_type = 'client backend')::integer as used`);
  const [row] = rows;
  if (!row) throw new Error('the server does not say how many connections it allows');
  return row;
}
