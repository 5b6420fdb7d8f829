import type pg from 'pg';

/** What a login needs of a table. */
export interface WantedGrant {
  /** The login's role; absent for the one that asks. */
  readonly role?: string;
  /** Schema-qualified and quoted. */
  readonly table: string;
  readonly privilege: 'select' | 'insert' | 'update' | 'delete';
  /** The columns that it is needed of; enough where the privilege can be given by column. */
  readonly columns: readonly string[];
}

/**
 * The GRANTs that are missing for what is wanted, each once, ready to be run; of a table that is not there, none.
 * `sequences`, schema-qualified and quoted, are those that the login draws keys from.
 */
export async function missingGrants(
  database: pg.Pool | pg.PoolClient,
  wanted: readonly WantedGrant[],
  sequences: readonly { readonly role?: string; readonly sequence: string }[] = [],
): Promise<string[]> {
  const { rows } = await database.query<{ statement: string }>(
    `with wanted as (
       select t.oid, n.oid as schema, n.nspname, w."table", w.privilege, w.columns, coalesce(w.role, current_user::text) as role
       from jsonb_to_recordset($1) as w (role text, "table" text, privilege text, columns text[])
       join pg_class t on t.oid = to_regclass(w."table")
       join pg_namespace n on n.oid = t.relnamespace
     ), drawn as (
       select coalesce(w.role, current_user::text) as role, w.sequence, s.oid from jsonb_to_recordset($2) as w (role text, sequence text)
       join pg_class s on s.oid = to_regclass(w.sequence)
     )
     select distinct 1 as place, format('grant usage on schema %I to %I', nspname, role) as statement
     from wanted where not has_schema_privilege(role, schema, 'usage')
     union
     select distinct 2, format('grant %s on %s to %I', privilege, "table", role)
     from wanted
     where not has_table_privilege(role, oid, privilege)
       and (privilege = 'delete'
         or not coalesce((select bool_and(has_column_privilege(role, oid, a.attnum, privilege))
                          from pg_attribute a where a.attrelid = oid and a.attname = any (columns)), false))
     union
     select distinct 3, format('grant usage on sequence %s to %I', sequence, role)
     from drawn where not has_sequence_privilege(role, oid, 'usage')
     order by place, statement`,
    [JSON.stringify(wanted), JSON.stringify(sequences)],
  );
  return rows.map(({ statement }) => statement);
}
