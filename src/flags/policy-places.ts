import type pg from 'pg';

/**
 * A variable that holds the address of a region's database. A name of this form and no other: a policy neither
 * holds an address, which has a password, nor can it make Portcullis read another of its variables.
 */
export const DATABASE_VARIABLE = /^PORTCULLIS_DATABASE_URL_[A-Z0-9_]{1,60}$/;

/** The regions of a policy as its document has them: a list, or a map where some have a database of their own. */
type Regions = readonly string[] | Readonly<Record<string, { readonly database?: string | undefined }>>;

/** The names of the regions, in the order in which they are written. */
export function regionNames(regions: Regions): readonly string[] {
  return isList(regions) ? regions : Object.keys(regions);
}

/** The regions that have a database of their own, with the variable that holds its address. */
export function regionDatabases(regions: Regions): Record<string, string> {
  if (isList(regions)) return {};
  return Object.fromEntries(
    Object.entries(regions).flatMap(([key, { database }]) =>
      database === undefined ? [] : [[key, database]],
    ),
  );
}

function isList(regions: Regions): regions is readonly string[] {
  return Array.isArray(regions);
}

/**
 * Where the policies in force say that regions are, in the order of the jobs' names: whatever else is in a policy, and
 * without what it takes to check all of it. A kill asks for no more.
 */
export async function placesInForce(
  control: pg.Pool,
): Promise<{ readonly databases: Readonly<Record<string, string>> }[]> {
  const { rows } = await control.query<{ region: string; variable: string }>(
    `select p.job, r.key as region, r.value->>'database' as variable
     from portcullis_control.policy p, jsonb_each(
       case jsonb_typeof(p.policy->'regions') when 'object' then p.policy->'regions' else '{}' end) as r
     where jsonb_typeof(r.value->'database') = 'string'
     order by p.job`,
  );
  return rows
    .filter(({ variable }) => DATABASE_VARIABLE.test(variable))
    .map(({ region, variable }) => ({ databases: { [region]: variable } }));
}

/** A region of a job's policy, and the variable of its own database; null: it stands beside the control plane. */
export interface JobPlace {
  readonly job: string;
  readonly region: string;
  readonly variable: string | null;
}

/** Where the policies in force have regions of which job, without what it takes to check all of a policy. */
export async function jobPlacesInForce(control: pg.Pool): Promise<JobPlace[]> {
  const { rows } = await control.query<JobPlace>(
    `select p.job, r.region, r.variable
     from portcullis_control.policy p, lateral (
       select value #>> '{}' as region, null as variable from jsonb_array_elements(
         case jsonb_typeof(p.policy->'regions') when 'array' then p.policy->'regions' else '[]' end)
       union all
       select key, value->>'database' from jsonb_each(
         case jsonb_typeof(p.policy->'regions') when 'object' then p.policy->'regions' else '{}' end)) as r
     order by p.job, r.region`,
  );
  return rows;
}
