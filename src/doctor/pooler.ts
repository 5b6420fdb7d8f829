import { queryRegions } from '../regions/query-regions.js';
import { isPooled, openPool } from '../postgres/pool.js';
import { unreachableFindings, type Check, type Found, type Patient } from './patient.js';

/** A connection pooler between Portcullis and a database, and what it changes. */
export const pooler: Check<Patient> = {
  name: 'pooler',
  examine: async (patient) => {
    const { control, regionDatabases, flagSource, directDatabaseUrl } = patient;
    const { answers, unreachable } = await queryRegions(regionDatabases, ({ owner }) => isPooled(owner));
    const pooled = answers.filter(({ answer }) => answer).map(({ regionDatabase: { name } }) => name);
    const found: Found[] =
      pooled.length === 0
        ? [{ mark: 'ok', found: 'none between Portcullis and its databases' }]
        : pooled.map((name) => ({
            mark: 'warn',
            found:
              `${name} is reached through a connection pooler: every statement outside a transaction takes ` +
              'three round trips, and a kill waits for a connection of the pool',
            hint: "leave the owner's login connections of its own in the pooler, such as pool_size = 5 for its user",
          }));
    if (flagSource.kind === 'embedded' && (await isPooled(control)))
      found.push(await hearing(directDatabaseUrl));
    return [...found, ...unreachableFindings(patient, unreachable)];
  },
};

/** How flag changes arrive where the control database is behind a pooler. */
async function hearing(directUrl: string | undefined): Promise<Found> {
  const polled = 'flags are read once a second: a connection pooler passes no notifications on';
  const hint = "set PORTCULLIS_DIRECT_DATABASE_URL to the control database's own address, not the pooler's";
  if (directUrl === undefined) return { mark: 'warn', found: polled, hint };
  const pool = openPool(directUrl, { name: 'doctor', max: 1 });
  try {
    if (await isPooled(pool)) {
      return {
        mark: 'fail',
        found: `PORTCULLIS_DIRECT_DATABASE_URL leads through a pooler too, so ${polled}`,
        hint,
      };
    }
    return { mark: 'ok', found: 'flag changes are heard at once, over PORTCULLIS_DIRECT_DATABASE_URL' };
  } finally {
    await pool.end();
  }
}
