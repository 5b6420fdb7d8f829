import pg from 'pg';

/** Where the roles' rights are granted. */
export interface GrantScope {
  /** The database to grant `connect` on; absent where every login may connect. */
  readonly connectTo: string | undefined;
  /** Whether the database holds the control plane too. */
  readonly control: boolean;
  /** Schemas that jobs' migrations made. */
  readonly jobSchemas: readonly string[];
}

/**
 * What each role needs on our own schemas, and no more. Run by the owner. Repeated after a migration, which may
 * have added tables.
 */
export function grantsOf(
  names: Readonly<Record<'planner' | 'worker' | 'guard', string>>,
  scope: GrantScope,
): readonly string[] {
  const planner = pg.escapeIdentifier(names.planner);
  const worker = pg.escapeIdentifier(names.worker);
  const guard = pg.escapeIdentifier(names.guard);
  return [
    ...(scope.connectTo === undefined
      ? []
      : [`grant connect on database ${pg.escapeIdentifier(scope.connectTo)} to ${planner}, ${worker}`]),
    `grant usage on schema portcullis_region to ${worker}`,
    `grant select, insert, update on portcullis_region.gate, portcullis_region.run, portcullis_region.lane to ${worker}`,
    `grant select on portcullis_region.quarantine, portcullis_region.baseline to ${worker}`,
    `grant select, insert, update on portcullis_region.version_epoch to ${worker}`,
    `grant select on portcullis_region.confirmed_database to ${worker}`,
    `grant select, insert, update on portcullis_region.verdict, portcullis_region.rate to ${worker}`,
    `grant select, insert on portcullis_region.trip to ${worker}`,
    `grant select, insert, update on portcullis_region.plan to ${worker}`,
    `grant select, insert on portcullis_region.change, portcullis_region.batch, portcullis_region.conflict, portcullis_region.stored, portcullis_region.cascaded to ${worker}`,
    `grant update (found, refusal) on portcullis_region.conflict to ${worker}`,
    `grant update (image) on portcullis_region.stored to ${worker}`,
    `grant update (seq, branch, "constraint") on portcullis_region.cascaded to ${worker}`,
    ...scope.jobSchemas.flatMap((schema) =>
      jobGrants(pg.escapeIdentifier(schema), { planner, worker, guard }),
    ),
    ...guardGrants(guard, worker, names.guard),
    ...(scope.control ? controlGrants(worker) : []),
  ];
}

/** A schema that a job's migrations made is the job's alone. */
function jobGrants(
  schema: string,
  { planner, worker, guard }: Readonly<Record<'planner' | 'worker' | 'guard', string>>,
): readonly string[] {
  return [
    `grant usage on schema ${schema} to ${planner}, ${worker}, ${guard}`,
    `grant select on all tables in schema ${schema} to ${planner}, ${worker}, ${guard}`,
    `grant insert, update, delete on all tables in schema ${schema} to ${worker}`,
    // A key that a table draws itself.
    `grant usage on all sequences in schema ${schema} to ${worker}`,
  ];
}

/**
 * The role that invariants run as, and the function that it owns; the worker may only call it. The owner is a member
 * of the role, without which it could not give it the function.
 */
function guardGrants(guard: string, worker: string, name: string): readonly string[] {
  return [
    `delete from portcullis_guard.reader`,
    `insert into portcullis_guard.reader (role) values (${pg.escapeLiteral(name)})`,
    `grant usage on schema portcullis_guard to ${guard}, ${worker}`,
    `grant select on portcullis_guard.proposed, portcullis_guard.this_run, portcullis_guard.reader to ${guard}`,
    `grant create on schema portcullis_guard to ${guard}`,
    `alter function portcullis_guard.ask owner to ${guard}`,
    `revoke create on schema portcullis_guard from ${guard}`,
    `grant execute on function portcullis_guard.ask to ${worker}`,
    `revoke select on portcullis_guard.reader from ${worker}`,
  ];
}

function controlGrants(worker: string): readonly string[] {
  return [
    `grant usage on schema portcullis_control to ${worker}`,
    `revoke all on all tables in schema portcullis_control from ${worker}`,
    `grant select on portcullis_control.policy, portcullis_control.flag, portcullis_control.flag_change, portcullis_control.admission, portcullis_control.break_glass to ${worker}`,
  ];
}
