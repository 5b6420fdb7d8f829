import { listDatabases, unrecordedText, type DatabaseView } from '../regions/databases.js';
import type { Check, Found, Patient } from './patient.js';

/** Whether a failover would be noticed, and whether each database is confirmed. */
export const identity: Check<Patient> = {
  name: 'failover',
  examine: async ({ control, regionDatabases }) =>
    (await listDatabases(control, regionDatabases)).databases.map((database) => identityFinding(database)),
};

export function identityFinding({ database, identity: is, confirmed, hidden, last }: DatabaseView): Found {
  if (!confirmed) {
    return {
      mark: 'fail',
      found: `${database} is another database than before (${is}, before ${last ?? 'unknown'}): nothing is written to it`,
      hint: 'see the incident for what may be lost, kill again what must stay killed, then: portcullis database confirm',
    };
  }
  if (hidden) {
    return {
      mark: 'warn',
      found: `${database} does not tell which database it is (${is}): a failover to a replica that lags goes unnoticed`,
      hint: "grant execute on pg_control_system(), pg_walfile_name(pg_lsn) and pg_current_wal_lsn() to the owner's login; or stop everything during a failover",
    };
  }
  return { mark: 'ok', found: `${database} is ${is}, confirmed` };
}

/** Kills and trips that hold and wait to be put on record. */
export const unrecorded: Check<Patient> = {
  name: 'record',
  examine: async ({ control, regionDatabases }) => {
    const { databases } = await listDatabases(control, regionDatabases);
    const waiting = unrecordedText({
      kills: databases.reduce((sum, { unrecordedKills }) => sum + unrecordedKills, 0),
      trips: databases.reduce((sum, { unrecordedTrips }) => sum + unrecordedTrips, 0),
    });
    if (waiting === undefined)
      return [{ mark: 'ok', found: 'every kill and every trip is in the audit log' }];
    return [
      {
        mark: 'warn',
        found: waiting,
        hint: 'start a process that serves (portcullis start or worker), and look who holds the audit log: portcullis audit verify',
      },
    ];
  },
};
