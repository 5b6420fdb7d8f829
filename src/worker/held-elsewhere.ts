import type pg from 'pg';
import { jobPlacesInForce } from '../flags/policy-places.js';
import { isUnique, uniqueColumns, type Resource } from '../journal/change.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { isUnreachable } from '../postgres/pool.js';
import type { HeldElsewhere, PlanContext } from '../sdk/contract.js';
import type { Log } from '../telemetry/log.js';

type Ask = (job: string, resource: string, value: readonly string[]) => Promise<HeldElsewhere | undefined>;

/**
 * What a plan may know of a value that a row of another database than `place` has. Known for certain is only what no run may
 * be writing: see reservations.ts.
 */
export async function heldElsewhere(
  control: pg.Pool,
  place: string,
  job: string,
  resource: string,
  value: readonly string[],
): Promise<HeldElsewhere | undefined> {
  // In one statement: a reservation that a reading has ended does not go with the time of that reading.
  const { rows } = await control.query<{
    place: string;
    at: Date;
    read: Readonly<Record<string, string>> | null;
  }>(
    `select place, at, (select jsonb_object_agg(region, read_at) from portcullis_control.reserved_region
                        where job = $1 and resource = $2) as read
     from portcullis_control.reservation
     where job = $1 and resource = $2 and place <> $3 and run is null
       and value = case cardinality($4::text[]) when 1 then ($4::text[])[1] else to_jsonb($4::text[])::text end`,
    [job, resource, place, value],
  );
  const [held] = rows;
  if (held === undefined) return undefined;
  const places = await jobPlacesInForce(control);
  const regions = places
    .filter((each) => each.job === job && (each.variable ?? 'control') === held.place)
    .map(({ region }) => region);
  const readMs = Math.min(...regions.map((region) => Date.parse(held.read?.[region] ?? '1970-01-01')));
  const asOf = Number.isFinite(readMs) && readMs > held.at.getTime() ? new Date(readMs) : held.at;
  return { regions, asOf };
}

/** Asks for a plan of the job as {@link heldElsewhere} does. A database that is away is asked once a plan. */
export function heldElsewhereFor(
  { reservations, log }: { reservations?: { heldElsewhere: Ask } | undefined; log: Log },
  job: string,
  resources: Readonly<Record<string, Resource>>,
): PlanContext['heldElsewhere'] {
  let asked = reservations;
  return async (resource, value) => {
    const declared = resources[resource];
    if (declared === undefined || !isUnique(declared))
      throw new PortcullisError(
        'PLAN_INVALID',
        `${job} asks which rows elsewhere have a value of ${JSON.stringify(resource)}, which declares none that is unique across regions`,
        { hint: 'declare uniqueAcross for the resource, or name one that does' },
      );
    const { columns } = uniqueColumns(declared);
    const values = typeof value === 'string' ? [value] : value;
    if (values.length !== columns.length)
      throw new PortcullisError(
        'PLAN_INVALID',
        `${job} asks for ${values.length} values of ${resource}, which has ${columns.length}: ${columns.join(', ')}`,
        { hint: 'give the values in the order of the columns of uniqueAcross' },
      );
    try {
      return await asked?.heldElsewhere(job, resource, values);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      asked = undefined;
      log.warn({ code: 'reservations-unasked', job, err: error }, messageOf(error));
      return undefined;
    }
  };
}
