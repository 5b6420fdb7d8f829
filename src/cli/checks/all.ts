import type { Check, Patient } from './check.js';
import { clock, databaseVersion, planner } from './database.js';
import type { Installation, Settings } from '../app-port.js';
import { connections, logins, migrations } from './set-up.js';
import { identity, unrecorded } from './identity.js';
import { disk, folder, node } from './machine.js';
import { http, resolvers } from './network.js';
import { pooler } from './pooler.js';
import { installedJobs, policyFiles } from './policies.js';
import { flags, permits, runs } from './running.js';

/** What can be looked at without a database. */
export const MACHINE_CHECKS: readonly Check<Settings>[] = [node, folder, disk, http];

/** What the databases show, whatever schema they have. */
export const SET_UP_CHECKS: readonly Check<Installation>[] = [migrations, logins, connections];

/** What an open installation shows. */
export const CHECKS: readonly Check<Patient>[] = [
  databaseVersion,
  pooler,
  clock,
  identity,
  unrecorded,
  planner,
  policyFiles,
  installedJobs,
  flags,
  permits,
  runs,
  resolvers,
];
